"""A finished video: whole, of its mode's size, as long as what is said, heard and seen to move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageChops, ImageStat

from topview_pipeline.probes import Media, MediaProbeError
from topview_pipeline.quality.decoding import Watched, watch
from topview_pipeline.quality.standins import WHY, is_stand_in
from topview_pipeline.quality.verdict import Findings, Outcome, Verdict, unmeasured

SHORT_SIDES: Final[Mapping[str, int]] = {
    "lite": 480,
    "pro": 720,
    "avatar2": 1080,
    "avatar4": 1080,
    "avatar4Fast": 1080,
}
"""Pixels by mode, as Topview's page of `image2Video/submit` has them."""
FIXED_SECONDS: Final[Mapping[str, float]] = {"lite": 5.0, "pro": 10.0}
"""These modes give this length, whatever is said (same page); the others follow the speech."""
LONGEST_SECONDS: Final[Mapping[str, float]] = {
    "avatar2": 28.0,
    "avatar4": 120.0,
    "avatar4Fast": 120.0,
}
"""The longest recording that a mode takes (same page)."""
SIZE_TOLERANCE: Final = 0.03
"""Encoders round sides to multiples of 16."""
SILENCE_DECIBELS: Final = -60.0
"""Below this a voice is not heard over a quiet room."""
BLACK: Final = 24
"""A frame whose brightest pixel (0 to 255) is not over this shows nothing."""
_BLACK_SHARE: Final = 0.5
_MOVED: Final = 6
"""Grey values by which a pixel has to change: encoding alone stays under it."""
_LEAST_MOVED: Final = 0.001
"""Of a frame: the lips of a person who is seen whole."""
_ANEW: Final = "have it made anew with force; if it comes out the same, report its task to Topview"


@dataclass(frozen=True)
class Speech:
    """What is said in a video.

    Attributes:
        seconds: of the recording, or about how long the script takes when it is read slowly.
        is_recorded: a recording is as long as it is, a script as long as its reader takes.
    """

    seconds: float
    is_recorded: bool


def measure_video(media: Media, *, mode: str | None, speech: Speech | None) -> Verdict:
    """Whether a video can be shown.

    Args:
        mode: as it was sent.
        speech: None when nothing says how long it takes.

    Raises:
        MediaProbeError: there is no such file.
    """
    try:
        seen = watch(media)
    except MediaProbeError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise
        return Verdict(Outcome.FAILED, f"The video {error.what}.", f"Have it {_ANEW[5:]}.")
    if is_stand_in(seen.said):
        return unmeasured(WHY)
    found = Findings()
    _whole(found, seen)
    _size(found, seen, mode)
    _length(found, seen, mode, speech)
    _sound(found, seen)
    _picture(found, seen.frames)
    return found.verdict(f"{seen.last_second:.1f} s of {seen.width} x {seen.height}, whole.")


def _whole(found: Findings, seen: Watched) -> None:
    found.numbers |= {
        "video_seconds": seen.last_second,
        "frames": seen.pictures,
        "frames_decoded": seen.decoded,
    }
    if seen.pictures_said > seen.pictures:
        what = f"it breaks off: {seen.pictures} of {seen.pictures_said} frames are there"
        found.wrong(what, _ANEW)
    elif not seen.decoded:
        found.wrong("none of its frames can be decoded", _ANEW)


def _size(found: Findings, seen: Watched, mode: str | None) -> None:
    short = min(seen.width, seen.height)
    found.numbers |= {"width_pixels": seen.width, "height_pixels": seen.height}
    wanted = None if mode is None else SHORT_SIDES.get(mode)
    if wanted is None:
        found.not_measured(f"the size: nothing says what mode {mode} gives")
    elif short < wanted * (1 - SIZE_TOLERANCE):
        what = f"it is {seen.width} x {seen.height}, and mode {mode} gives {wanted}p"
        found.wrong(what, _ANEW)


def _length(found: Findings, seen: Watched, mode: str | None, speech: Speech | None) -> None:
    limits = expected_seconds(mode, speech)
    if limits is None:
        found.not_measured("the length: nothing says how long the speech is")
        return
    shortest, longest = limits
    found.numbers |= {"shortest_seconds": shortest, "longest_seconds": longest}
    if not shortest <= seen.last_second <= longest:
        found.wrong(
            f"it is {seen.last_second:.1f} s long, and what is said takes {shortest:.1f} to "
            f"{longest:.1f} s",
            _ANEW,
        )


def expected_seconds(mode: str | None, speech: Speech | None) -> tuple[float, float] | None:
    """The shortest and the longest that a video may be; None when nothing says so.

    A script is read at up to three times the slow pace that its seconds are reckoned with, and may
    be slower by half, with pauses before and after.
    """
    fixed = None if mode is None else FIXED_SECONDS.get(mode)
    if fixed is not None:
        return fixed * 0.8, fixed * 1.2
    if speech is None:
        return None
    limit = LONGEST_SECONDS.get(mode or "", float("inf"))
    seconds = min(speech.seconds, limit)
    if speech.is_recorded:
        return max(seconds * 0.9 - 0.5, 0.1), seconds * 1.1 + 2.0
    return max(seconds / 3 - 0.5, 0.3), seconds * 1.5 + 3.0


def _sound(found: Findings, seen: Watched) -> None:
    if seen.sound is None:
        found.wrong("it has no sound", _ANEW)
        return
    found.numbers |= {
        "sound_decibels": seen.sound.decibels,
        "sound_seconds": seen.sound.seconds,
    }
    if seen.sound.decibels < SILENCE_DECIBELS:
        found.wrong("its sound is silence", _ANEW)


def _picture(found: Findings, frames: Sequence[Image.Image]) -> None:
    if not frames:
        return
    black = sum(_brightest(frame) <= BLACK for frame in frames) / len(frames)
    found.numbers["black_share"] = black
    if black > _BLACK_SHARE:
        found.wrong(f"{black:.0%} of its frames are black", _ANEW)
    if len(frames) < 2:
        found.not_measured("whether it moves: there are too few frames to compare")
        return
    moved = max(_moved(frames[0], other) for other in frames[1:])
    found.numbers["moved_share"] = moved
    if moved < _LEAST_MOVED and black <= _BLACK_SHARE:
        found.wrong("its picture is frozen", _ANEW)


def _brightest(frame: Image.Image) -> int:
    return int(ImageStat.Stat(frame).extrema[0][1])


def _moved(one: Image.Image, other: Image.Image) -> float:
    """The share of pixels that changed."""
    counts = ImageChops.difference(one, other).histogram()
    return sum(counts[_MOVED + 1 :]) / sum(counts)
