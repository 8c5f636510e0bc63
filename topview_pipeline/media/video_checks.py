"""The check of a finished video: is it whole, large and long enough, heard, and does it move?

Not here: the decoding and FFmpeg's detectors (`detectors`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from topview_pipeline.media.detectors import Watched, watch
from topview_pipeline.media.probe import Media, is_stand_in
from topview_pipeline.media.verdict import MAKE_AGAIN, STAND_IN, Findings, Verdict
from topview_pipeline.prices import FIXED_SECONDS, LONGEST_SECONDS, too_long

SHORT_SIDES: Final[Mapping[str, int]] = {
    "lite": 480,
    "pro": 720,
    "avatar2": 1080,
    "avatar4": 1080,
    "avatar4Fast": 1080,
}
"""Pixels by mode (docs: pa2_image2video_submit_task)."""
SIZE_TOLERANCE: Final = 0.03  # encoders round sides to multiples of 16
LEAST_HEARD: Final = 1 / 3  # of the time of the speech: below it most of the speech is missing
DOUBTFUL_HEARD: Final = 2 / 3  # below it there are longer pauses than speech has
MOST_BLACK: Final = 0.25  # of the time
DOUBTFUL_BLACK: Final = 0.1  # fading in and out takes less
MOST_STILL: Final = 0.5  # of the time: half a video that stands still is a picture with sound
DOUBTFUL_STILL: Final = 0.2  # a closing picture may stand for so long
_LEAST_THERE: Final = 0.95
"""Of the length that the header says; the last pictures' times are often rounded."""
_LEAST_SECONDS_HEARD: Final = 0.1  # less is a click
_LOOK: Final = "check whether that is intended"


@dataclass(frozen=True)
class Speech:
    """The speech of a video: a recording, or a script, which takes as long as its reader."""

    seconds: float  # of the recording, or about how long a slow reader takes
    is_recorded: bool
    usual: float | None = None  # of a script at the usual pace

    @property
    def usual_seconds(self) -> float:
        """Seconds at the usual pace."""
        return self.seconds if self.usual is None else self.usual


def check_video(video: Media, *, mode: str | None, speech: Speech | None) -> Verdict:
    """Check whether customers can be shown a video.

    Args:
        mode: As it was sent; None leaves the size unmeasured.
        speech: None when its length is unknown.

    Raises:
        MediaError: It cannot be decoded, or the machine could not read it.
    """
    seen = watch(video)
    if is_stand_in(seen.texts):
        return STAND_IN
    found = Findings()
    _check_whole(found, seen)
    _check_size(found, seen, mode)
    _check_length(found, seen, mode, speech)
    _check_sound(found, seen, mode, speech)
    _check_picture(found, seen)
    return found.verdict(f"{seen.seconds:.1f} s of {seen.width} x {seen.height}, whole.")


def expected_seconds(mode: str | None, speech: Speech | None) -> tuple[float, float] | None:
    """The shortest and the longest that a video may be; None when neither argument says it.

    A script is read at up to three times the slow pace that its seconds are computed with, and may
    be slower by half, with pauses before and after.
    """
    fixed = None if mode is None else FIXED_SECONDS.get(mode)
    if fixed is not None:
        return fixed * 0.8, fixed * 1.2
    if speech is None:
        return None
    seconds = min(speech.seconds, LONGEST_SECONDS.get(mode or "", float("inf")))
    if speech.is_recorded:
        return max(seconds * 0.9 - 0.5, 0.1), seconds * 1.1 + 2.0
    return max(seconds / 3 - 0.5, 0.3), seconds * 1.5 + 3.0


def _check_whole(found: Findings, seen: Watched) -> None:
    found.numbers |= {
        "video_seconds": seen.seconds,
        "frames": seen.frames,
        "frames_decoded": seen.frames_decoded,
    }
    if not seen.frames_decoded:
        found.error("none of its frames can be decoded", MAKE_AGAIN)
    elif seen.is_cut_off or seen.seconds < seen.header_seconds * _LEAST_THERE:
        there = f"{seen.seconds:.1f} of {seen.header_seconds:.1f} s"
        found.error(f"it breaks off after {there}", MAKE_AGAIN)


def _check_size(found: Findings, seen: Watched, mode: str | None) -> None:
    found.numbers |= {"width_pixels": seen.width, "height_pixels": seen.height}
    wanted = None if mode is None else SHORT_SIDES.get(mode)
    if wanted is None:
        found.not_measured("the size: none is documented for its mode")
    elif min(seen.width, seen.height) < wanted * (1 - SIZE_TOLERANCE):
        size = f"{seen.width} x {seen.height}"
        found.error(f"it is {size}, and mode {mode} gives {wanted}p", MAKE_AGAIN)


def _check_length(found: Findings, seen: Watched, mode: str | None, speech: Speech | None) -> None:
    limits = expected_seconds(mode, speech)
    if limits is None:
        found.not_measured("the length: nothing says how long the speech is")
        return
    shortest, longest = limits
    found.numbers |= {"shortest_seconds": shortest, "longest_seconds": longest}
    if not shortest <= seen.seconds <= longest:
        wanted = f"{shortest:.1f} to {longest:.1f} s"
        found.error(f"it is {seen.seconds:.1f} s long, and should be {wanted} long", MAKE_AGAIN)
    if speech and (cut := too_long(speech.usual_seconds, mode, is_recorded=speech.is_recorded)):
        (found.error if cut.is_refused else found.warn)(
            f"its speech may be cut off: {cut.what}",
            "listen to its end; shorten the speech, or use a mode of longer videos",
        )


def _check_sound(found: Findings, seen: Watched, mode: str | None, speech: Speech | None) -> None:
    if seen.sound_seconds is None:
        found.error("it has no sound", MAKE_AGAIN)
        return
    heard = seen.heard_seconds
    found.numbers |= {"sound_seconds": seen.sound_seconds, "heard_seconds": heard}
    if heard < _LEAST_SECONDS_HEARD:
        found.error("its sound is silence", MAKE_AGAIN)
        return
    seconds, is_known = _seconds_to_hear(seen.seconds, mode, speech)
    share = heard / max(seconds, 0.001)
    what = f"there is sound for {heard:.1f} of {seconds:.1f} s"
    if is_known and share < LEAST_HEARD:
        found.error(what, MAKE_AGAIN)
    elif share < (DOUBTFUL_HEARD if is_known else LEAST_HEARD):
        found.warn(what, "listen and check that all of it is said")


def _seconds_to_hear(seconds: float, mode: str | None, speech: Speech | None) -> tuple[float, bool]:
    """The least time of speech in a video of that length, and whether it is known.

    A mode of fixed length may be silent after a short speech; the others end with it.
    """
    if mode not in FIXED_SECONDS:
        return seconds, mode in SHORT_SIDES
    limits = expected_seconds(None, speech)
    return (seconds, False) if limits is None else (min(limits[0], seconds), True)


def _check_picture(found: Findings, seen: Watched) -> None:
    whole = max(seen.seconds, 0.001)
    black, still = seen.black_seconds / whole, seen.still_seconds / whole
    found.numbers |= {"black_share": black, "still_share": still}
    is_black = f"its picture is black for {seen.black_seconds:.1f} of {whole:.1f} s"
    is_still = f"its picture stands still for {seen.still_seconds:.1f} of {whole:.1f} s"
    if black > MOST_BLACK:
        found.error(is_black, MAKE_AGAIN)
    elif black > DOUBTFUL_BLACK:
        found.warn(is_black, _LOOK)
    if still > MOST_STILL:
        found.error(is_still, MAKE_AGAIN)
    elif still > DOUBTFUL_STILL:
        found.warn(is_still, _LOOK)
