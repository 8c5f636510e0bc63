"""Clips that a player plays: size, length, picture, captions and sound; and tiny media."""

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from hashlib import sha256
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import av
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from topview_pipeline.sandbox.kinds import MODES
from topview_pipeline.sandbox.media import video
from topview_pipeline.sandbox.media.captions import captions_for
from topview_pipeline.sandbox.media.engine import MediaError, Scene, SceneInputs, Video, VideoInputs
from topview_pipeline.sandbox.media.real import RealMedia
from topview_pipeline.sandbox.media.speech import natural_seconds, timed, words_of
from topview_pipeline.sandbox.media.tiny import TinyMedia

from .conftest import encoded, picture, tone

_MAKES_IT_TOO = """
import sys
from tests.sandbox.test_video import make
made = make()
sys.stdout.buffer.write(made.mp4 + made.cover_jpg)
"""
SCRIPT = "Ice cold for a full day. This is Aqua."
SMALL = {
    name: replace(mode, short_side=mode.short_side // 3, longest_seconds=mode.longest_seconds / 2)
    for name, mode in MODES.items()
}
"""The modes in a ninth of the pixels and half of the time: the same work, quickly done."""


@dataclass(frozen=True)
class Played:
    """A clip decoded to the end: every frame's luma, and both channels of sound."""

    frames: list[npt.NDArray[np.float64]]
    sound: npt.NDArray[np.float32]
    rate: int

    @property
    def seconds(self) -> float:
        return int(self.sound.shape[1]) / self.rate

    def loudness(self, start: float, end: float) -> float:
        """Root mean square of the sound between two seconds."""
        part = self.sound[:, int(start * self.rate) : int(end * self.rate)]
        return float(np.sqrt((part.astype(np.float64) ** 2).mean()))

    def steps(self, frames: slice, every: int, rows: slice) -> list[float]:
        """Mean differences of some rows between frames and those that follow `every` later."""
        shown = self.frames[frames][::every]
        return [float(np.abs(after[rows] - one[rows]).mean()) for one, after in pairwise(shown)]


def scene_png(width: int = 90, height: int = 160) -> bytes:
    y, x = np.mgrid[0:height, 0:width]
    bands = [120 + 60 * np.sin(x / 9), 130 + 50 * np.cos(y / 11), 90 + x + 0 * y]
    return encoded(Image.fromarray(np.clip(np.stack(bands, axis=-1), 0, 255).astype(np.uint8)))


def make(**changes: object) -> Video:
    arguments: dict[str, object] = {
        "scene": scene_png(),
        "mode": "lite",
        "text": SCRIPT,
        "audio": None,
        "caption_id": "3cfcb29df99746d4b438e169dda47647",
        "seed": 5,
    }
    with patch.object(video, "MODES", SMALL):
        return RealMedia().video(VideoInputs(**{**arguments, **changes}))  # type: ignore[arg-type]  # by name


def play(made: Video) -> Played:
    with av.open(BytesIO(made.mp4), "r") as container:
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    with av.open(BytesIO(made.mp4), "r") as container:
        sound = [frame.to_ndarray() for frame in container.decode(audio=0)]
        rate = container.streams.audio[0].rate
    return Played(
        [frame.astype(np.float64) for frame in frames],
        np.concatenate(sound, axis=1).astype(np.float32),
        rate,
    )


@pytest.fixture(scope="module")
def lite() -> Video:
    return make()


@pytest.fixture(scope="module")
def played(lite: Video) -> Played:
    return play(lite)


def test_a_clip_plays_to_its_end_in_size_and_codecs_of_its_mode(
    lite: Video, played: Played
) -> None:
    assert (played.frames[0].shape, lite.seconds, len(played.frames)) == ((284, 160), 2.5, 60)
    with av.open(BytesIO(lite.mp4), "r") as container:
        assert [stream.codec_context.name for stream in container.streams] == ["h264", "aac"]
        assert container.streams.video[0].pix_fmt == "yuv420p"
    assert played.seconds == pytest.approx(2.5, abs=0.06)
    # A browser can start before the file is whole.
    assert lite.mp4.find(b"moov") < lite.mp4.find(b"mdat")


def test_the_picture_is_not_black_and_glides_slowly_without_trembling(played: Played) -> None:
    assert min(frame.std() for frame in played.frames) > 10
    assert min(played.steps(slice(None), 10, slice(160))) > 0.05
    assert np.abs(played.frames[0][:160] - played.frames[-1][:160]).mean() > 2
    # Whole-pixel steps would make some frames stand still and the next ones jump.
    steps = played.steps(slice(15, 45), 1, slice(30, 130))
    assert max(steps) < 4 * np.median(steps)


def test_the_voice_is_heard_while_the_script_lasts_and_does_not_clip(played: Played) -> None:
    assert played.loudness(0.2, 2.0) > 0.03
    assert np.abs(played.sound).max() < 0.98
    assert played.loudness(2.4, 2.5) < 0.3 * played.loudness(0.2, 2.0)


def test_captions_come_with_their_words_and_the_cover_has_none(lite: Video, played: Played) -> None:
    other, captions = play(make(text="Hi there.")), slice(235, 284)
    apart = [np.abs(played.frames[n][captions] - other.frames[n][captions]) for n in (0, 50)]
    assert apart[0].mean() < 1
    assert apart[1].mean() > 5
    cover = np.asarray(Image.open(BytesIO(lite.cover_jpg)).convert("L")).astype(np.float64)
    assert cover.shape == (284, 160)
    assert np.abs(cover - played.frames[0]).mean() < 25
    assert cover.std() > 10


@pytest.mark.parametrize(
    ("mode", "words", "scene_size", "size", "seconds"),
    [
        ("lite", 3, (160, 90), (284, 160), 2.5),
        ("pro", 3, (90, 90), (240, 240), 5.0),
        ("avatar2", 3, (90, 160), (360, 640), 2.0),
        ("avatar4", 7, (40, 40), (360, 360), 2.8),
    ],
)
def test_the_mode_sets_the_short_side_the_scene_the_shape_and_the_script_the_length_of_avatars(
    mode: str, words: int, scene_size: tuple[int, int], size: tuple[int, int], seconds: float
) -> None:
    made = make(mode=mode, scene=scene_png(*scene_size), text="word " * words)
    with av.open(BytesIO(made.mp4), "r") as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == size
    assert made.seconds == pytest.approx(seconds, abs=0.05)


def test_a_clip_plays_its_audio_and_a_fixed_one_pads_or_cuts_it() -> None:
    avatar, short, long = (
        play(make(mode=mode, scene=scene_png(40, 40), text=None, audio=tone(seconds)))
        for mode, seconds in (("avatar2", 1.5), ("lite", 1.0), ("lite", 4.0))
    )
    assert avatar.seconds == pytest.approx(1.5, abs=0.05)
    spectrum = np.abs(np.fft.rfft(avatar.sound[0][4000:48000]))
    assert np.argmax(spectrum) * 44_100 / 44_000 == pytest.approx(440, abs=3)
    assert short.loudness(0.2, 0.9) > 0.1
    assert short.loudness(1.5, 2.4) < 0.005
    assert long.seconds == pytest.approx(2.5, abs=0.06)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"text": " \n"}, "neither a script nor", id="nothing to say"),
        pytest.param({"audio": b"ID3 nonsense"}, "cannot be decoded", id="broken audio"),
        pytest.param({"audio": scene_png()}, "contains no sound", id="a picture as audio"),
        pytest.param({"scene": b"?"}, "The scene is not an image", id="no scene"),
    ],
)
def test_an_input_that_cannot_become_a_video_is_refused_with_a_sentence(
    changes: dict[str, object], says: str
) -> None:
    with pytest.raises(MediaError, match=says):
        make(**changes)


@pytest.mark.slow
def test_the_same_work_gives_the_same_bytes_in_another_process(lite: Video) -> None:
    """Memory that nobody wrote must not matter: glibc fills it with a byte; others do not."""
    made = subprocess.run(
        [sys.executable, "-c", _MAKES_IT_TOO],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "MALLOC_PERTURB_": "1"},
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    assert sha256(made).digest() == sha256(lite.mp4 + lite.cover_jpg).digest()


def letters(text: str) -> npt.NDArray[np.uint8]:
    (caption,) = captions_for(timed(words_of(text), 5.0), "", (480, 854))
    return caption.rgba


@pytest.mark.parametrize("text", ["Größe", "schön", "Łódź", "жара", "水"])
def test_letters_beyond_ascii_are_drawn_and_not_replaced_by_question_marks(text: str) -> None:
    replaced = "".join(c if c.isascii() else "?" for c in text)
    assert not np.array_equal(letters(replaced), letters(text))
    # Emoji leave nothing at all.
    assert np.array_equal(letters(f"{text} \U0001f60e\ufe0f 20 °C"), letters(f"{text} 20 °C"))


def test_a_script_of_emoji_alone_is_quiet_and_one_too_long_for_its_clip_ends_in_an_ellipsis() -> (
    None
):
    clip = play(make(text="\U0001f389\U0001f389"))
    assert len(clip.frames) == 60
    assert clip.loudness(0.5, 2) < 0.02
    words = timed(words_of("word " * 500), 5.0)
    assert words[-1].text == "word…"
    assert words[-1].end <= 5.0
    assert len(words) <= 20


@pytest.mark.parametrize("pause", ['<break time="1.5s"/>', "<BREAK time='1500ms' />"])
def test_a_break_is_silence_and_no_words(pause: str) -> None:
    """A bill by the second counts it, and no caption shows it."""
    words = words_of(f"One two three. {pause} Four five six.")
    plain = words_of("One two three. Four five six.")
    assert [word.text for word in words] == [word.text for word in plain]
    assert natural_seconds(words) == pytest.approx(natural_seconds(plain) + 1.5)
    _, _, three, four, five, six = timed(words, 6.0)
    assert four.start - three.end > 1.5 > five.start - four.end
    assert six.end <= 6.0


@settings(max_examples=25, deadline=None)
@given(text=st.text(max_size=120), seconds=st.sampled_from([2.0, 5.0, 10.0]))
def test_any_script_gives_captions_inside_the_frame_one_after_the_other(
    text: str, seconds: float
) -> None:
    words = timed(words_of(text), seconds)
    assert all(0 <= word.start <= word.end <= seconds for word in words)
    captions = captions_for(words, text, (480, 854))
    for caption in captions:
        rows, columns = caption.rgba.shape[:2]
        assert caption.left >= 0
        assert caption.left + columns <= 480
        assert caption.top + rows <= 854
        assert caption.start < caption.end
    assert all(one.end <= following.start for one, following in pairwise(captions))


# Tiny media are small, but valid files of the sizes that they name.

TINY = TinyMedia()


def tiny_scenes(seed: int) -> list[Scene]:
    cutout, template = TINY.cutout(picture()).png, picture(1, "JPEG")
    given: Any = {"location": None, "prompt": "", "face": None, "count": 2, "seed": seed}
    return TINY.scenes(SceneInputs(cutout=cutout, template=template, **given))


def tiny_video(mode: str, seed: int) -> Video:
    scene = picture()
    given: Any = {"scene": scene, "mode": mode, "text": "x", "audio": None, "seed": seed}
    return TINY.video(VideoInputs(caption_id="", **given))


def test_every_task_has_bytes_of_its_own_and_the_same_task_the_same() -> None:
    assert len({scene.png for seed in range(20) for scene in tiny_scenes(seed)}) == 40
    assert tiny_scenes(3) == tiny_scenes(3)
    assert tiny_video("pro", 1).mp4 != tiny_video("pro", 2).mp4
    assert TINY.cutout(picture(1)).png != TINY.cutout(picture(2)).png


def test_the_last_of_several_scenes_sometimes_has_no_face() -> None:
    assert {tiny_scenes(seed)[1].face_existence for seed in range(40)} == {True, False}
    assert all(tiny_scenes(seed)[0].face_existence for seed in range(40))


@pytest.mark.parametrize("mode", MODES)
def test_videos_play(mode: str) -> None:
    clip = tiny_video(mode, 1)
    with av.open(BytesIO(clip.mp4), "r") as container:
        assert {stream.type for stream in container.streams} == {"video", "audio"}
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.duration == clip.seconds * av.time_base
        assert sum(1 for _ in container.decode(video=0)) == 4
    assert Image.open(BytesIO(clip.cover_jpg)).format == "JPEG"
