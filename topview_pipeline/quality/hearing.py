"""How loud a sound track is, and for how much of its time anything is heard."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Final

RATE: Final = 4000
"""Hertz: what is over half of it carries little of a voice's loudness."""
SILENCE_DECIBELS: Final = -60.0
"""Below this a voice is not heard over a quiet room."""
WINDOW_SECONDS: Final = 0.25
"""Heard or not is decided for so long at a time: a breath between two sentences."""
_WINDOW: Final = round(RATE * WINDOW_SECONDS)
_FULL_SCALE: Final = 32768.0
_NOTHING: Final = -120.0
"""Decibels of digital silence."""


class Heard:
    """The loudness of a sound track, as it adds up."""

    def __init__(self) -> None:
        self._samples = 0
        self._squares = 0
        self._heard_samples = 0
        self._window = array("h")

    def add(self, data: bytes) -> None:
        """Signed 16 bit values at `RATE`, in this machine's order."""
        self._window.frombytes(data)
        while len(self._window) >= _WINDOW:
            self._count(self._window[:_WINDOW])
            self._window = self._window[_WINDOW:]

    def end(self) -> None:
        """Nothing more comes."""
        self._count(self._window)
        self._window = array("h")

    @property
    def seconds(self) -> float:
        """Length of the track."""
        return self._samples / RATE

    @property
    def heard_seconds(self) -> float:
        """How long it was louder than silence."""
        return self._heard_samples / RATE

    @property
    def decibels(self) -> float:
        """Mean loudness against full scale: 0 is the loudest there is, digital silence -120."""
        return _decibels(self._squares, self._samples)

    def _count(self, values: Sequence[int]) -> None:
        squares = sum(value * value for value in values)
        self._samples += len(values)
        self._squares += squares
        if _decibels(squares, len(values)) >= SILENCE_DECIBELS:
            self._heard_samples += len(values)


def _decibels(squares: int, samples: int) -> float:
    if not samples or not squares:
        return _NOTHING
    return max(20 * math.log10(math.sqrt(squares / samples) / _FULL_SCALE), _NOTHING)
