"""Pictures and videos that no customer should see, or a person should look at; kept verdicts."""

import json
import struct
from typing import Any

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from tests.media.films import film, png
from topview_pipeline.media import Outcome, Verdict, is_refused, refused_images
from topview_pipeline.media.probe import MediaDamagedError, MediaUnreadError
from topview_pipeline.media.quality import (
    Findings,
    Speech,
    check_cutout,
    check_scene,
    check_video,
    expected_seconds,
)

verdicts = st.builds(
    Verdict,
    st.sampled_from(Outcome),
    st.text(),
    st.text(),
    st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)),
    st.lists(st.text()).map(tuple),
    st.lists(st.builds(Verdict, st.sampled_from(Outcome), st.text())).map(tuple),
)


@given(verdicts)
def test_a_verdict_comes_back_as_it_was_kept(verdict: Verdict) -> None:
    kept = json.loads(json.dumps(verdict.to_json()))
    assert Verdict.from_json(kept) == verdict
    assert is_refused(kept) is verdict.is_refused is (verdict.outcome is Outcome.FAILED)
    # Otherwise what failed by a rule that was wrong would never be exported.
    assert Verdict.from_json(kept | {"version": 0}) is None


def test_what_nobody_measured_is_not_refused() -> None:
    assert not is_refused(None)
    assert Verdict.from_json(None) is None


def test_an_error_outweighs_a_warning_and_every_error_is_named() -> None:
    found = Findings(frames=1 / 3)
    found.warn("it is dark", "look")
    assert found.verdict("Good.") == Verdict(
        Outcome.DOUBTFUL, "It is dark.", "Look.", {"frames": 0.3333}
    )
    found.error("it is silent", "make it again")
    found.error("it is short", "make it again")
    found.not_measured("the size")
    assert found.verdict("Good.") == Verdict(
        Outcome.FAILED,
        "It is silent. It is short.",
        "Make it again.",
        {"frames": 0.3333},
        ("the size",),
    )


# Pictures

PHOTO = png(Image.new("L", (400, 400)))
"""A mask, which has the size of the photo."""


def product() -> Image.Image:
    """A bottle, cropped to itself."""
    image = Image.new("RGBA", (120, 240))
    ImageDraw.Draw(image).rectangle((10, 0, 110, 240), "navy")
    return image


def room(size: tuple[int, int] = (360, 640)) -> bytes:
    return png(Image.linear_gradient("L").resize(size).convert("RGB"))


FLAT = png(Image.new("RGB", (360, 640), (224, 172, 140)))


@pytest.mark.parametrize(
    ("cutout", "said"),
    [
        (product(), "The product covers 84% of its cut-out."),
        (Image.new("RGBA", (200, 200)), "empty"),
        (Image.new("RGBA", (200, 200), (0, 0, 0, 10)), "empty"),
        (Image.new("RGBA", (400, 400), "red"), "whole photo"),
        (Image.new("RGB", (400, 400), "red"), "whole photo"),
        (product().resize((8, 16)), "only 8 x 16"),
    ],
    ids=["good", "transparent", "a haze", "opaque", "without alpha", "a speck"],
)
def test_an_empty_or_whole_cutout_fails(cutout: Image.Image, said: str) -> None:
    verdict = check_cutout(png(cutout), PHOTO)
    assert verdict.outcome is (Outcome.PASSED if "covers" in said else Outcome.FAILED)
    assert said in verdict.why
    assert ("photo" in verdict.fix) is (verdict.outcome is Outcome.FAILED)


@pytest.mark.parametrize("mask", [PHOTO, None], ids=["beside its mask", "without a mask"])
def test_a_box_that_fills_its_crop_is_no_whole_photo(mask: bytes | None) -> None:
    verdict = check_cutout(png(Image.new("RGBA", (200, 100), "red")), mask)
    assert verdict.outcome is Outcome.PASSED
    assert ["no mask" in said for said in verdict.not_measured] == ([] if mask else [True])


@pytest.mark.parametrize(
    ("images", "outcome", "said"),
    [
        ([(room(), True), (room(), False)], Outcome.PASSED, "2 scenes of at least 360 x 640"),
        ([(room(), None)], Outcome.PASSED, "1 scene"),
        ([(room(), False), (room(), False)], Outcome.DOUBTFUL, "Topview found no face"),
        ([(room((120, 200)), True)], Outcome.DOUBTFUL, "only 120 x 200 pixels"),
        ([(room(), True), (FLAT, True)], Outcome.DOUBTFUL, "1 of 2 scenes are one flat colour"),
        ([(FLAT, True), (FLAT, True)], Outcome.FAILED, "Every scene is one flat colour"),
        ([], Outcome.FAILED, "no picture"),
    ],
    ids=["good", "face unknown", "no face", "small", "one flat", "all flat", "nothing"],
)
def test_a_scene_shows_something_and_a_face(
    images: list[tuple[bytes, bool | None]], outcome: Outcome, said: str
) -> None:
    verdict = check_scene(images)
    assert verdict.outcome is outcome, verdict
    assert said in verdict.why
    assert bool(verdict.fix) is (outcome is not Outcome.PASSED)
    is_open = any("Topview does not say" in left for left in verdict.not_measured)
    assert is_open is (bool(images) and images[0][1] is None)


def test_each_image_of_a_scene_has_its_own_verdict() -> None:
    verdict = check_scene([(FLAT, True), (room(), False), (room(), True)])
    assert [one.outcome.value for one in verdict.images] == ["failed", "doubtful", "passed"]
    assert refused_images(verdict.to_json()) == {1}
    assert "one flat colour" in verdict.images[0].why


def test_stand_ins_among_real_images_do_not_hide_those() -> None:
    tiny = png(Image.new("RGB", (40, 40)), "stand-in")
    assert check_scene([(tiny, True), (FLAT, True)]).outcome is Outcome.FAILED


# Videos

LITE = (480, 854)


def verdict_of(data: bytes) -> Verdict:
    """Of a mode that nobody knows, so that any size and length is right."""
    return check_video(data, mode=None, speech=None)


def test_a_good_video_passes_with_its_numbers() -> None:
    verdict = check_video(film(size=LITE), mode="lite", speech=Speech(5.0, is_recorded=False))

    assert (verdict.outcome, verdict.fix, verdict.not_measured) == (Outcome.PASSED, "", ())
    assert verdict.why == "5.0 s of 480 x 854, whole."
    assert verdict.numbers == {
        "video_seconds": 5.0,
        "frames": 60,
        "frames_decoded": 31,
        "width_pixels": 480,
        "height_pixels": 854,
        "shortest_seconds": 4.0,
        "longest_seconds": 6.0,
        "sound_seconds": pytest.approx(5.0, abs=0.1),
        "heard_seconds": pytest.approx(5.0, abs=0.1),
        "black_share": 0,
        "still_share": 0,
    }


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"black_from": 0.0}, "Its picture is black for 5.0 of 5.0 s."),
        ({"picture": "frozen"}, "Its picture stands still for"),
        ({"sound": "silence"}, "Its sound is silence."),
        ({"sound": "quiet"}, "Its sound is silence."),
        ({"sound": None}, "It has no sound."),
        ({"size": (360, 640)}, "It is 360 x 640, and mode lite gives 480p."),
        ({"seconds": 1.0}, "It is 1.0 s long, and should be 4.0 to 6.0 s long."),
    ],
    ids=["black", "frozen", "silent", "nearly silent", "no sound", "too small", "too short"],
)
def test_what_cannot_be_shown_fails_with_a_sentence(what: dict[str, Any], said: str) -> None:
    verdict = check_video(film(**{"size": LITE} | what), mode="lite", speech=None)

    assert verdict.outcome is Outcome.FAILED
    assert verdict.why.startswith(said)
    assert "force" in verdict.fix


def test_several_faults_are_all_named() -> None:
    verdict = check_video(film(black_from=0.0, sound=None), mode="pro", speech=None)

    for said in ("black", "no sound", "720p", "5.0 s long"):
        assert said in verdict.why


def test_what_is_not_known_is_left_open_and_not_bad() -> None:
    verdict = verdict_of(film())

    assert verdict.outcome is Outcome.PASSED
    assert [left.split(":")[0] for left in verdict.not_measured] == ["the size", "the length"]


WEIGHED: list[tuple[dict[str, Any], Outcome, str, float, float]] = [
    ({"black_from": 2.2}, Outcome.FAILED, "black for", 7.8, 0.0),
    ({"black_from": 5.2}, Outcome.FAILED, "black for", 4.8, 0.0),
    ({"black_from": 8.2}, Outcome.DOUBTFUL, "black for", 1.8, 0.0),
    ({"black_from": 9.5}, Outcome.PASSED, "whole", 0.5, 0.0),
    ({"holds_from": 0.6}, Outcome.FAILED, "stands still for", 0.0, 9.4),
    ({"holds_from": 1.0, "is_sparse": True}, Outcome.FAILED, "stands still for", 0.0, 9.0),
    ({"holds_from": 7.0}, Outcome.DOUBTFUL, "stands still for", 0.0, 3.0),
    ({"holds_from": 8.5}, Outcome.PASSED, "whole", 0.0, 1.5),
    ({"picture": "speaking"}, Outcome.PASSED, "whole", 0.0, 0.0),
    ({"picture": "zooming"}, Outcome.PASSED, "whole", 0.0, 0.0),
]
ENCODED_AGAIN = [({**what, "key_frames": 12}, *rest) for what, *rest in WEIGHED[4:8]]
"""A key frame encodes a still picture again, with other noise."""


@pytest.mark.parametrize(("what", "outcome", "said", "black", "still"), [*WEIGHED, *ENCODED_AGAIN])
def test_a_picture_is_weighed_by_its_time(
    what: dict[str, Any], outcome: Outcome, said: str, black: float, still: float
) -> None:
    verdict = verdict_of(film(seconds=10.0, **what))
    assert verdict.outcome is outcome
    assert said in verdict.why
    assert verdict.numbers["black_share"] == pytest.approx(black / 10, abs=0.03)
    assert verdict.numbers["still_share"] == pytest.approx(still / 10, abs=0.06)


@pytest.mark.parametrize(
    ("speech", "outcome"),
    [
        (Speech(28.0, is_recorded=False), Outcome.DOUBTFUL),
        (Speech(200.0, is_recorded=True), Outcome.FAILED),
        (Speech(6.0, is_recorded=False, usual=5.1), Outcome.DOUBTFUL),
        (Speech(6.0, is_recorded=False, usual=5.0), Outcome.PASSED),
        (Speech(5.4, is_recorded=True), Outcome.PASSED),
    ],
)
def test_a_video_shorter_than_its_speech_is_not_whole(speech: Speech, outcome: Outcome) -> None:
    """Seventy words in five seconds have the right length, and no end; the catalogue warned."""
    verdict = check_video(film(size=LITE), mode="lite", speech=speech)
    assert verdict.outcome is outcome, verdict.why
    if outcome is not Outcome.PASSED:
        assert "a video in mode lite lasts 5 s" in verdict.why
        assert "use a mode of longer videos" in verdict.fix


@pytest.mark.parametrize(
    ("mode", "speech", "heard", "outcome"),
    [
        ("avatar2", None, 10.0, Outcome.PASSED),
        ("avatar2", Speech(10.0, is_recorded=True), 8.0, Outcome.PASSED),
        ("avatar2", None, 5.0, Outcome.DOUBTFUL),
        ("avatar2", None, 0.5, Outcome.FAILED),
        ("pro", Speech(10.0, is_recorded=False), 0.5, Outcome.FAILED),
        ("pro", Speech(3.0, is_recorded=True), 2.5, Outcome.PASSED),
        ("pro", None, 4.0, Outcome.PASSED),
        ("pro", None, 0.5, Outcome.DOUBTFUL),
        (None, None, 0.5, Outcome.DOUBTFUL),
    ],
)
def test_sound_has_to_last_as_long_as_the_speech(
    mode: str | None,
    speech: Speech | None,
    heard: float,
    outcome: Outcome,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("topview_pipeline.media.quality.SIZE_TOLERANCE", 1.0)
    verdict = check_video(film(seconds=10.0, sound_seconds=heard), mode=mode, speech=speech)
    assert verdict.outcome is outcome, verdict.why
    assert verdict.numbers["heard_seconds"] == pytest.approx(heard, abs=0.1)
    assert ("There is sound" in verdict.why) is (outcome is not Outcome.PASSED)


def edited(begin: float, seconds: float) -> bytes:
    """A film of ten seconds with edit lists that show a part of it, as editors trim."""
    data, at = bytearray(film(seconds=10.0, key_frames=25)), 0
    lists = []
    while (at := data.find(b"elst", at + 1)) >= 0:
        lists.append(at)
    for place, clock in zip(lists, (12_288, 16_000), strict=True):
        data[place + 12 : place + 20] = struct.pack(
            ">Ii", round(seconds * 1000), round(begin * clock)
        )
    return bytes(data)


@pytest.mark.parametrize(("begin", "seconds"), [(0.0, 8.5), (3.0, 7.0), (2.5, 4.0)])
def test_a_video_that_was_trimmed_by_an_edit_list_is_whole(begin: float, seconds: float) -> None:
    verdict = verdict_of(edited(begin, seconds))
    assert verdict.outcome is Outcome.PASSED, verdict.why
    assert verdict.numbers["video_seconds"] == pytest.approx(seconds, abs=0.2)


@pytest.mark.parametrize("share", [0.5, 0.8, 0.97, 0.999])
@pytest.mark.parametrize("is_edited", [False, True])
def test_a_video_that_breaks_off_fails_though_its_header_is_whole(
    share: float, is_edited: bool
) -> None:
    """A download that ended too early has the whole index, which comes first."""
    data = edited(0.0, 10.0) if is_edited else film(size=LITE)
    try:
        verdict = verdict_of(data[: int(len(data) * share)])
    except MediaDamagedError:
        return
    assert verdict.outcome is Outcome.FAILED
    assert "breaks off" in verdict.why


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_a_hole_in_the_middle_fails(place: float) -> None:
    holed = bytearray(film(size=LITE))
    begin = int(len(holed) * place)
    holed[begin : begin + 3000] = bytes(3000)
    with pytest.raises(MediaDamagedError):
        verdict_of(bytes(holed))


def test_a_picture_in_a_far_future_fails_at_once() -> None:
    """FFmpeg would repeat the picture before it for years."""
    data = bytearray(film())
    at = data.index(b"stts") + 12  # one entry: count of frames, then ticks of each
    data[at : at + 8] = struct.pack(">II", 60, 2**31 - 1)
    with pytest.raises(MediaDamagedError, match="a picture at"):
        verdict_of(bytes(data))


@given(
    mode=st.sampled_from(["lite", "pro", "avatar2", "avatar4", "avatar4Fast", None]),
    speech=st.builds(Speech, st.floats(0.5, 4000), st.booleans()),
)
def test_every_limit_can_be_kept(mode: str | None, speech: Speech) -> None:
    """For any row of the catalogue, some video of its mode is right."""
    limits = expected_seconds(mode, speech)
    assert limits is not None
    assert 0 < limits[0] < limits[1]
    longest = {"avatar2": 28.0, "avatar4": 120.0, "avatar4Fast": 120.0}
    if mode not in ("lite", "pro"):
        assert limits[0] <= min(speech.seconds, longest.get(mode or "", float("inf")))


def test_an_ffmpeg_without_a_detector_leaves_a_video_unmeasured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It must not refuse every video that was paid for."""

    def without() -> None:
        raise ValueError("no filter freezedetect")

    monkeypatch.setattr(av.filter, "Graph", without)
    with pytest.raises(MediaUnreadError, match=r"cannot be checked here \(no filter freeze"):
        verdict_of(film())
