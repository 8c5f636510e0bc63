"""What a video should be by its mode and by what is said in it: size, length, time of speech."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

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


@dataclass(frozen=True)
class Speech:
    """What is said in a video.

    Attributes:
        seconds: of the recording, or about how long the script takes when it is read slowly.
        is_recorded: a recording is as long as it is, a script as long as its reader takes.
    """

    seconds: float
    is_recorded: bool


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


def seconds_to_hear(seconds: float, mode: str | None, speech: Speech | None) -> tuple[float, bool]:
    """How long something is said at least in a video of that length, and whether that is known.

    A mode of fixed length may go on in silence after a short speech; the others end with it.
    """
    if mode not in FIXED_SECONDS:
        return seconds, mode in SHORT_SIDES
    limits = expected_seconds(None, speech)
    return (seconds, False) if limits is None else (min(limits[0], seconds), True)
