"""When to query a task next, from what is known of how long its kind takes. Pure.

The lag between done and seen is slot time lost, and each query costs both sides. So the next
query comes when the chance that the task is done has grown by a fixed share of what is left:
few queries early, close ones around the expected end, fewer again on the long tail.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import NormalDist
from typing import Final

_GAIN: Final = 0.03
"""Share of the remaining chance that must be gained between two queries (see benchmarks/)."""
_ENOUGH: Final = 5
"""Durations needed before they are trusted."""
_LEAST_SPREAD: Final = 0.15
"""Of log-durations: a few equal ones must not promise that the next is equal too."""
_BLIND_SHARE: Final = 0.05
_LONGEST_SECONDS: Final = 60.0
_NORMAL: Final = NormalDist()


class PollPlan:
    """Query times of one kind of task, learning from each that ends.

    Durations are taken as log-normal: positive, with a long tail.

    Args:
        seconds: how long earlier tasks of the kind took.
        shortest: shortest interval between two queries, in seconds.
    """

    def __init__(self, seconds: Iterable[float], *, shortest: float) -> None:
        self._shortest = shortest
        self._count = 0
        self._mean = 0.0
        self._squares = 0.0
        for duration in seconds:
            self.learn(duration)

    def learn(self, seconds: float) -> None:
        """Take one more duration into account (Welford's running mean and variance).

        Only positive ones: the wall clock may have been set back meanwhile.
        """
        if seconds <= 0:
            return
        value = math.log(max(seconds, 1e-3))
        self._count += 1
        delta = value - self._mean
        self._mean += delta / self._count
        self._squares += delta * (value - self._mean)

    @property
    def typical(self) -> float | None:
        """The median duration in seconds, when enough is known."""
        return math.exp(self._mean) if self._count >= _ENOUGH else None

    def delay(self, elapsed: float) -> float:
        """Seconds to wait before the next query of a task that has run for `elapsed` seconds."""
        if self._count < _ENOUGH:
            return max(self._shortest, min(elapsed * _BLIND_SHARE, _LONGEST_SECONDS))
        spread = max(math.sqrt(self._squares / (self._count - 1)), _LEAST_SPREAD)
        return max(self._shortest, min(self._gain_at(elapsed, spread), _LONGEST_SECONDS))

    def _gain_at(self, elapsed: float, spread: float) -> float:
        done = 0.0 if elapsed <= 0 else _NORMAL.cdf((math.log(elapsed) - self._mean) / spread)
        wanted = done + _GAIN * (1.0 - done)
        if wanted >= 1.0 - 1e-9:
            return _LONGEST_SECONDS
        return math.exp(self._mean + spread * _NORMAL.inv_cdf(wanted)) - elapsed
