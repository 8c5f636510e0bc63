"""Clips that a player plays: size, length, picture, captions and sound."""

import os
import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from topview_pipeline.sandbox.captions import captions_for
from topview_pipeline.sandbox.media import MediaError, Video
from topview_pipeline.sandbox.realmedia import RealMedia
from topview_pipeline.sandbox.script import timed, words_of

_MAKES_IT_TOO = """
import sys
from tests.sandbox.test_video import make
made = make()
sys.stdout.buffer.write(made.mp4 + made.cover_jpg)
"""
SCRIPT = "Ice cold for a full day. This is Aqua, and it never sweats."


@dataclass(frozen=True)
class Played:
    """A clip decoded to the end: every frame's luma, and both channels of sound."""

    size: tuple[int, int]
    codecs: tuple[str, str]
    pixel_format: str | None
    frames: list[npt.NDArray[np.float64]]
    sound: npt.NDArray[np.float32]
    rate: int

    def loudness(self, start: float, end: float) -> float:
        """Root mean square of the sound between two seconds."""
        part = self.sound[:, int(start * self.rate) : int(end * self.rate)]
        return float(np.sqrt((part.astype(np.float64) ** 2).mean()))


def scene_png(width: int = 90, height: int = 160) -> bytes:
    y, x = np.mgrid[0:height, 0:width]
    picture = np.stack(
        [120 + 60 * np.sin(x / 9), 130 + 50 * np.cos(y / 11), 90 + x + 0 * y], axis=-1
    )
    target = BytesIO()
    Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(target, "PNG")
    return target.getvalue()


def make(**changes: object) -> Video:
    arguments: dict[str, object] = {
        "scene": scene_png(),
        "mode": "lite",
        "text": SCRIPT,
        "audio": None,
        "caption_id": "3cfcb29df99746d4b438e169dda47647",
        "seed": 5,
    }
    return RealMedia().video(**{**arguments, **changes})  # type: ignore[arg-type]  # by name


def play(made: Video) -> Played:
    with av.open(BytesIO(made.mp4), "r") as container:
        picture, voice = container.streams.video[0], container.streams.audio[0]
        frames: list[npt.NDArray[np.float64]] = []
        sound: list[npt.NDArray[np.float32]] = []
        for packet in container.demux(picture, voice):
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    frames.append(frame.to_ndarray(format="gray").astype(np.float64))
                elif isinstance(frame, av.AudioFrame):
                    sound.append(frame.to_ndarray().astype(np.float32))
        return Played(
            size=(picture.width, picture.height),
            codecs=(picture.codec_context.name, voice.codec_context.name),
            pixel_format=picture.pix_fmt,
            frames=frames,
            sound=np.concatenate(sound, axis=1),
            rate=voice.rate,
        )


def tone(seconds: float, form: str = "wav") -> bytes:
    target = BytesIO()
    with av.open(target, "w", format=form) as container:
        stream = container.add_stream("pcm_s16le", rate=22_050, layout="mono")
        wave = np.sin(np.arange(int(seconds * 22_050)) * (2 * np.pi * 440 / 22_050))
        samples = (wave * 9000).astype(np.int16)[None, :]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.rate = 22_050
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return target.getvalue()


@pytest.fixture(scope="module")
def lite() -> Video:
    return make()


@pytest.fixture(scope="module")
def played(lite: Video) -> Played:
    return play(lite)


def test_a_clip_plays_to_its_end_in_the_size_and_codecs_of_its_mode(
    lite: Video, played: Played
) -> None:
    assert played.size == (480, 854)
    assert played.codecs == ("h264", "aac")
    assert played.pixel_format == "yuv420p"
    assert lite.seconds == 5.0
    assert len(played.frames) == 120
    assert played.sound.shape[1] / played.rate == pytest.approx(5.0, abs=0.06)


def test_a_browser_can_start_before_the_file_is_whole(lite: Video) -> None:
    assert lite.mp4.find(b"moov") < lite.mp4.find(b"mdat")


def test_the_picture_is_not_black_and_moves_slowly(played: Played) -> None:
    assert min(frame.std() for frame in played.frames) > 10
    upper = slice(0, 500)
    steps = [
        np.abs(after[upper] - before[upper]).mean()
        for before, after in zip(played.frames[::10], played.frames[10::10], strict=False)
    ]
    assert min(steps) > 0.05
    assert np.abs(played.frames[0][upper] - played.frames[-1][upper]).mean() > 2


def test_the_camera_glides_without_trembling(played: Played) -> None:
    """Whole-pixel steps would make some frames stand still and the next ones jump."""
    part = slice(100, 400)
    steps = np.array(
        [
            np.abs(after[part] - before[part]).mean()
            for before, after in zip(played.frames[30:90], played.frames[31:91], strict=True)
        ]
    )
    assert steps.max() < 4 * np.median(steps)


def test_the_voice_is_heard_while_the_script_lasts_and_does_not_clip(played: Played) -> None:
    assert played.loudness(0.2, 4.4) > 0.03
    assert np.abs(played.sound).max() < 0.98
    assert played.loudness(4.9, 5.0) < 0.3 * played.loudness(0.2, 4.4)


def test_captions_come_with_their_words_and_the_cover_has_none(lite: Video, played: Played) -> None:
    other = play(make(text="Hi there."))
    captions = slice(700, 854)
    late, first = 100, 0
    assert np.abs(played.frames[first][captions] - other.frames[first][captions]).mean() < 1
    assert np.abs(played.frames[late][captions] - other.frames[late][captions]).mean() > 5
    cover = np.asarray(Image.open(BytesIO(lite.cover_jpg)).convert("L")).astype(np.float64)
    assert cover.shape == (854, 480)
    assert np.abs(cover - played.frames[0]).mean() < 25
    assert cover.std() > 10


@pytest.mark.parametrize(
    ("mode", "scene_size", "size"),
    [
        ("lite", (160, 90), (854, 480)),
        ("lite", (100, 100), (480, 480)),
        ("lite", (61, 90), (480, 708)),
        ("avatar2", (90, 160), (1080, 1920)),
    ],
)
def test_the_short_side_is_the_modes_and_the_shape_is_the_scenes(
    mode: str, scene_size: tuple[int, int], size: tuple[int, int]
) -> None:
    made = make(mode=mode, scene=scene_png(*scene_size), text="One two three")
    with av.open(BytesIO(made.mp4), "r") as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == size


@pytest.mark.slow
def test_pro_is_ten_seconds_of_720p() -> None:
    made = make(mode="pro", scene=scene_png(90, 90))
    with av.open(BytesIO(made.mp4), "r") as container:
        assert container.streams.video[0].width == 720
    assert made.seconds == 10.0


@pytest.mark.slow
def test_an_avatar_speaks_as_long_as_its_script_needs() -> None:
    scene = scene_png(40, 40)
    assert make(mode="avatar4", scene=scene, text="word " * 7).seconds == pytest.approx(
        2.8, abs=0.05
    )
    assert make(mode="avatar4Fast", scene=scene, text="Hi!").seconds == 2.0


def test_an_avatar_clip_is_as_long_as_its_audio_and_plays_it() -> None:
    made = make(mode="avatar2", scene=scene_png(40, 40), text=None, audio=tone(1.5))
    assert made.seconds == pytest.approx(1.5, abs=0.05)
    sound = play(made).sound[0]
    spectrum = np.abs(np.fft.rfft(sound[4000:48000]))
    assert np.argmax(spectrum) * 44_100 / 44_000 == pytest.approx(440, abs=3)


def test_audio_shorter_and_longer_than_a_fixed_clip_is_padded_and_cut() -> None:
    short, long = play(make(text=None, audio=tone(1.0))), play(make(text=None, audio=tone(7.0)))
    assert short.loudness(0.2, 0.9) > 0.1
    assert short.loudness(1.5, 4.5) < 0.005
    assert long.sound.shape[1] / long.rate == pytest.approx(5.0, abs=0.06)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"mode": "ultra"}, "Unknown mode 'ultra'", id="a mode that is none"),
        pytest.param({"text": " \n"}, "neither a script nor", id="nothing to say"),
        pytest.param({"audio": b"ID3 nonsense"}, "cannot be decoded", id="broken audio"),
        pytest.param({"audio": scene_png()}, "contains no sound", id="a picture as audio"),
        pytest.param({"scene": b"?"}, "The scene is not an image", id="no scene"),
    ],
)
def test_what_cannot_become_a_video_is_refused_with_a_sentence(
    changes: dict[str, object], says: str
) -> None:
    with pytest.raises(MediaError, match=says):
        make(**changes)


@pytest.mark.slow
@pytest.mark.parametrize("byte", [1, 2])
def test_the_same_work_gives_the_same_bytes_in_another_process(lite: Video, byte: int) -> None:
    """Whatever stands in memory that nobody wrote: glibc fills it by this byte; others do not."""
    made = subprocess.run(
        [sys.executable, "-c", _MAKES_IT_TOO],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "MALLOC_PERTURB_": str(byte)},
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    assert sha256(made).digest() == sha256(lite.mp4 + lite.cover_jpg).digest()


def letters(text: str) -> npt.NDArray[np.uint8]:
    captions = captions_for(timed(words_of(text), 5.0), "", (480, 854))
    assert len(captions) == 1
    return captions[0].rgba


@pytest.mark.parametrize("text", ["Größe", "schön", "Łódź", "жара", "水"])
def test_letters_beyond_ascii_are_drawn_and_not_replaced_by_question_marks(text: str) -> None:
    replaced = "".join(c if c.isascii() else "?" for c in text)
    assert not np.array_equal(letters(replaced), letters(text))


def test_emoji_leave_no_question_marks_in_captions() -> None:
    assert np.array_equal(
        letters("Summer \U0001f60e\ufe0f sale 20 °C"), letters("Summer sale 20 °C")
    )


@pytest.mark.slow
def test_a_script_of_emoji_alone_is_a_quiet_clip_without_captions() -> None:
    clip = play(make(text="\U0001f389\U0001f389"))
    assert len(clip.frames) == 120
    assert clip.loudness(1, 4) < 0.02


def test_a_script_too_long_for_its_clip_is_cut_with_an_ellipsis_and_stays_readable() -> None:
    said = timed(words_of("word " * 500), 5.0)
    assert said[-1].text == "word…"
    assert said[-1].end <= 5.0
    assert len(said) <= 20


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=120), seconds=st.sampled_from([2.0, 5.0, 10.0]))
def test_any_script_gives_captions_inside_the_frame_one_after_the_other(
    text: str, seconds: float
) -> None:
    said = timed(words_of(text), seconds)
    assert all(0 <= word.start <= word.end <= seconds for word in said)
    captions = captions_for(said, text, (480, 854))
    for caption in captions:
        rows, columns = caption.rgba.shape[:2]
        assert caption.left >= 0
        assert caption.left + columns <= 480
        assert caption.top + rows <= 854
        assert caption.start < caption.end
    for one, following in pairwise(captions):
        assert one.end <= following.start
