"""Videos that no customer should see, and those that only look odd."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.quality.films import film
from topview_pipeline.probes import MediaUnreadError
from topview_pipeline.quality import Outcome
from topview_pipeline.quality.expectations import Speech, expected_seconds
from topview_pipeline.quality.videos import measure_video


@cache
def good() -> bytes:
    """Made once, when the first test needs it."""
    return film()


def test_a_good_video_passes_with_its_numbers() -> None:
    verdict = measure_video(good(), mode="lite", speech=Speech(6.0, is_recorded=False))

    assert (verdict.outcome, verdict.mend, verdict.not_measured) == (Outcome.PASSED, "", ())
    numbers = verdict.numbers
    assert numbers["video_seconds"] == pytest.approx(5.0, abs=0.1)
    assert (numbers["width_pixels"], numbers["height_pixels"]) == (480, 854)
    assert -25 < numbers["sound_decibels"] < -10
    assert numbers["heard_seconds"] == pytest.approx(5.0, abs=0.3)
    assert numbers["moved_share"] > 0.005
    assert (numbers["black_share"], numbers["still_share"], numbers["unseen_seconds"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"picture": "black"}, "its picture is black for 5.0 of 5.0 s"),
        ({"picture": "frozen"}, "its picture is frozen for 5.0 of 5.0 s"),
        ({"sound": "silence"}, "its sound is silence"),
        ({"sound": "quiet"}, "its sound is silence"),
        ({"sound": None}, "it has no sound"),
        ({"size": (360, 640)}, "it is 360 x 640, and mode lite gives 480p"),
        ({"seconds": 1.0}, "it is 1.0 s long, and what is said takes 4.0 to 6.0 s"),
    ],
    ids=["black", "frozen", "silent", "nearly silent", "no sound", "too small", "too short"],
)
def test_what_cannot_be_shown_fails_with_a_sentence(what: dict[str, object], said: str) -> None:
    verdict = measure_video(film(**what), mode="lite", speech=None)  # type: ignore[arg-type]  # one argument each

    assert verdict.outcome is Outcome.FAILED
    assert said.lower() in verdict.why.lower()
    assert "force" in verdict.mend


def test_a_person_of_whom_only_the_mouth_moves_is_not_frozen() -> None:
    assert measure_video(film(picture="speaking"), mode="lite", speech=None).why.startswith("5.0 s")


@pytest.mark.parametrize("share", [0.5, 0.8, 0.97])
def test_a_video_that_breaks_off_fails_though_its_header_is_whole(share: float) -> None:
    verdict = measure_video(good()[: int(len(good()) * share)], mode="lite", speech=None)

    assert verdict.outcome is Outcome.FAILED
    assert "breaks off" in verdict.why or "cannot be decoded" in verdict.why


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_a_hole_in_the_middle_fails(place: float) -> None:
    holed = bytearray(good())
    begin = int(len(holed) * place)
    holed[begin : begin + 3000] = bytes(3000)
    assert measure_video(bytes(holed), mode="lite", speech=None).outcome is Outcome.FAILED


@pytest.mark.parametrize("data", [b"", b"<html>not here</html>", b"\0\0\0\x20ftypisom"])
def test_what_is_no_video_fails(data: bytes) -> None:
    verdict = measure_video(data, mode="lite", speech=None)

    assert verdict.outcome is Outcome.FAILED
    assert "decoded" in verdict.why


def test_a_file_that_is_not_there_is_no_bad_video(tmp_path: Path) -> None:
    with pytest.raises(MediaUnreadError):
        measure_video(tmp_path / "video.mp4", mode="lite", speech=None)


def test_several_faults_are_all_named() -> None:
    verdict = measure_video(film(picture="black", sound=None), mode="pro", speech=None)

    for said in ("black", "no sound", "720p", "5.0 s long"):
        assert said in verdict.why


def test_what_nothing_says_is_left_open_and_not_bad() -> None:
    verdict = measure_video(good(), mode=None, speech=None)

    assert verdict.outcome is Outcome.PASSED
    assert [one.split(":")[0] for one in verdict.not_measured] == ["the size", "the length"]


def test_a_stand_in_cannot_be_measured() -> None:
    odd = film(size=(54, 96), seconds=1.0, sound="silence", comment="stand-in")
    assert measure_video(odd, mode="lite", speech=None).outcome is Outcome.UNMEASURED
    odd = film(size=(54, 96), seconds=1.0, sound="silence", comment="nice")
    assert measure_video(odd, mode="lite", speech=None).outcome is Outcome.FAILED


def test_a_recording_says_the_length_more_closely_than_a_script() -> None:
    spoken = expected_seconds("avatar4", Speech(30.0, is_recorded=False))
    recorded = expected_seconds("avatar4", Speech(30.0, is_recorded=True))
    assert spoken is not None
    assert recorded is not None
    assert spoken[0] < recorded[0] < 30.0 < recorded[1] < spoken[1]


@given(
    mode=st.sampled_from(["lite", "pro", "avatar2", "avatar4", "avatar4Fast", None]),
    speech=st.builds(Speech, st.floats(0.5, 4000), st.booleans()),
)
def test_every_limit_can_be_kept(mode: str | None, speech: Speech) -> None:
    """Whatever a row says, some video of its mode fits."""
    limits = expected_seconds(mode, speech)
    assert limits is not None
    assert 0 < limits[0] < limits[1]
    longest = {"avatar2": 28.0, "avatar4": 120.0, "avatar4Fast": 120.0}
    assert limits[0] <= min(speech.seconds, longest.get(mode or "", float("inf"))) or mode in (
        "lite",
        "pro",
    )
