"""A finished video: whole, of its mode's size, as long as what is said, heard and seen to move."""

from __future__ import annotations

from typing import Final

from topview_pipeline.probes import Media, MediaProbeError, MediaUnreadError
from topview_pipeline.quality.decoding import Watched, watch
from topview_pipeline.quality.expectations import (
    SHORT_SIDES,
    Speech,
    expected_seconds,
    seconds_to_hear,
)
from topview_pipeline.quality.hearing import SILENCE_DECIBELS
from topview_pipeline.quality.picture import shown
from topview_pipeline.quality.standins import WHY, is_stand_in
from topview_pipeline.quality.verdict import Findings, Outcome, Verdict, unmeasured

SIZE_TOLERANCE: Final = 0.03
"""Encoders round sides to multiples of 16."""
LEAST_HEARD: Final = 1 / 3
"""Of the time in which something is said: below it most of the speech is missing."""
DOUBTFUL_HEARD: Final = 2 / 3
"""Below it there are longer pauses than speech has."""
MOST_BLACK: Final = 0.25
"""Of the time."""
DOUBTFUL_BLACK: Final = 0.1
"""Fading in and out takes less."""
MOST_STILL: Final = 0.5
"""Of the time: half a video that stands still is a picture with sound."""
DOUBTFUL_STILL: Final = 0.2
"""A closing picture may stand for so long."""
_LEAST_THERE: Final = 0.95
"""Of the length that the header tells; the last pictures' times are often rounded."""
_MOST_UNSEEN: Final = 0.1
"""Of the time, of which nothing needs to be said."""
_LOOK: Final = "look whether that is meant"
_ANEW: Final = "have it made anew with force; if it comes out the same, report its task to Topview"


def measure_video(media: Media, *, mode: str | None, speech: Speech | None) -> Verdict:
    """Whether a video can be shown.

    Args:
        mode: as it was sent.
        speech: None when nothing says how long it takes.

    Raises:
        MediaUnreadError: the machine did not give its bytes, or there is no such file.
    """
    try:
        seen = watch(media)
    except MediaUnreadError:
        raise
    except MediaProbeError as error:
        return Verdict(Outcome.FAILED, f"The video {error.what}.", f"H{_ANEW[1:]}.")
    if is_stand_in(seen.said):
        return unmeasured(WHY)
    found = Findings()
    _whole(found, seen)
    _size(found, seen, mode)
    _length(found, seen, mode, speech)
    _sound(found, seen, mode, speech)
    _picture(found, seen)
    return found.verdict(f"{seen.pictures_seconds:.1f} s of {seen.width} x {seen.height}, whole.")


def _whole(found: Findings, seen: Watched) -> None:
    found.numbers |= {
        "video_seconds": seen.pictures_seconds,
        "frames": seen.pictures,
        "frames_decoded": seen.decoded,
    }
    if not seen.decoded:
        found.wrong("none of its frames can be decoded", _ANEW)
    elif seen.is_cut_off or seen.pictures_seconds < seen.seconds * _LEAST_THERE:
        there = f"{seen.pictures_seconds:.1f} of {seen.seconds:.1f} s are there"
        found.wrong(f"it breaks off: {there}", _ANEW)


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
    if not shortest <= seen.pictures_seconds <= longest:
        found.wrong(
            f"it is {seen.pictures_seconds:.1f} s long, and what is said takes {shortest:.1f} to "
            f"{longest:.1f} s",
            _ANEW,
        )


def _sound(found: Findings, seen: Watched, mode: str | None, speech: Speech | None) -> None:
    if seen.sound is None:
        found.wrong("it has no sound", _ANEW)
        return
    found.numbers |= {
        "sound_decibels": seen.sound.decibels,
        "sound_seconds": seen.sound.seconds,
        "heard_seconds": seen.sound.heard_seconds,
    }
    if seen.sound.decibels < SILENCE_DECIBELS:
        found.wrong("its sound is silence", _ANEW)
        return
    seconds, is_known = seconds_to_hear(seen.pictures_seconds, mode, speech)
    heard = seen.sound.heard_seconds / max(seconds, 0.001)
    what = f"something is heard for {seen.sound.heard_seconds:.1f} of {seconds:.1f} s"
    if is_known and heard < LEAST_HEARD:
        found.wrong(what, _ANEW)
    elif heard < (DOUBTFUL_HEARD if is_known else LEAST_HEARD):
        found.doubt(what, "listen whether all of it is said")


def _picture(found: Findings, seen: Watched) -> None:
    if not seen.samples:
        return
    time = shown(seen.samples, seen.last_second)
    whole, known = max(time.seconds, 0.001), max(time.known, 0.001)
    found.numbers |= {
        "black_share": time.black / whole,
        "still_share": time.still / whole,
        "moved_share": time.moved,
        "unseen_seconds": time.unknown,
    }
    # A failure needs to be proven of the whole; of what was seen, little is enough for a doubt.
    if time.black > whole * MOST_BLACK:
        found.wrong(f"its picture is black for {time.black:.1f} of {whole:.1f} s", _ANEW)
    elif time.black > known * DOUBTFUL_BLACK:
        found.doubt(f"its picture is black for {time.black:.1f} of {known:.1f} s", _LOOK)
    if time.still > whole * MOST_STILL:
        found.wrong(f"its picture is frozen for {time.still:.1f} of {whole:.1f} s", _ANEW)
    elif time.still > known * DOUBTFUL_STILL:
        found.doubt(f"its picture stands still for {time.still:.1f} of {known:.1f} s", _LOOK)
    if time.unknown > time.seconds * _MOST_UNSEEN:
        found.not_measured(
            f"whether it is black or frozen in {time.unknown:.0f} of {time.seconds:.0f} s: "
            "decoding all of it would take too long"
        )
