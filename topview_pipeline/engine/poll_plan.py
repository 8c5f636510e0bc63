"""Query times of a task, from the known durations of its kind. Pure.

The lag between done and seen is slot time lost, and each query costs both sides. So the next
query comes when the lag to be expected from it (the chance that the task ends before it, times how
long before) has grown to a fixed share of the shortest interval: few queries early, close ones
around the expected end, fewer again on the long tail, and fewer of what takes long anyway.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

_LAG_SHARE: Final = 0.065
"""Of the shortest interval, that may be lost at each query. With three kinds of 3, 20 and 50
shortest intervals and a p99 of four medians that is 44 % of the queries of asking all the time,
99 % as busy slots, and three tenths less lag than as many queries at a fixed interval."""
_ENOUGH: Final = 5
"""Durations needed before they are trusted."""
_LEAST_SPREAD: Final = 0.15
"""Of log-durations: a few equal ones must not promise that the next is equal too."""
_BLIND_SHARE: Final = 0.05
"""Of the time that a task has run, where nothing says how long it will."""
_LEAST_CHANCE: Final = 1e-9
_LONGEST_SECONDS: Final = 60.0
_BISECTIONS: Final = 16


class PollPlan:
    """Query times of one kind of task, learning from each that ends.

    Durations, in seconds, are taken as log-normal: positive, with a long tail.
    """

    def __init__(self, seconds: Iterable[float], *, shortest: float) -> None:
        self._shortest = shortest
        self._count = 0
        self._mean = 0.0
        self._squares = 0.0
        for duration in seconds:
            self.learn(duration)

    def learn(self, seconds: float) -> None:
        """Take one more duration into account (Welford's running mean and variance)."""
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
        if self._count < _ENOUGH or 1.0 - self._done_by(elapsed) < _LEAST_CHANCE:
            # Nothing is known of such a task. Of many sent together the short ones end first: what
            # lasts far longer than they did is nothing rare then, and is asked again soon.
            return max(self._shortest, min(elapsed * _BLIND_SHARE, _LONGEST_SECONDS))
        return self._next_worthwhile(max(elapsed, 0.0))

    def _next_worthwhile(self, elapsed: float) -> float:
        """The delay whose expected lag is what a query may lose, by bisection."""
        still = 1.0 - self._done_by(elapsed)
        allowed = _LAG_SHARE * self._shortest * still
        low, high = self._shortest, max(self._shortest, _LONGEST_SECONDS)
        if self._lag(elapsed, high) <= allowed:
            return high
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            low, high = (middle, high) if self._lag(elapsed, middle) < allowed else (low, middle)
        return low

    def _lag(self, elapsed: float, delay: float) -> float:
        """Expected seconds from the end of the task to a query at elapsed + delay.

        Not yet divided by the chance that the task runs at all by now.
        """
        return (
            self._done_before(elapsed + delay)
            - self._done_before(elapsed)
            - self._done_by(elapsed) * delay
        )

    def _done_by(self, seconds: float) -> float:
        return _normal((math.log(seconds) - self._mean) / self._spread) if seconds > 0 else 0.0

    def _done_before(self, seconds: float) -> float:
        """The integral of `_done_by` from 0: how long a task is done by then, on average."""
        if seconds <= 0:
            return 0.0
        spread = self._spread
        average = math.exp(min(self._mean + spread**2 / 2, 700.0))
        tail = _normal((math.log(seconds) - self._mean) / spread - spread)
        return seconds * self._done_by(seconds) - average * tail

    @property
    def _spread(self) -> float:
        return max(math.sqrt(self._squares / (self._count - 1)), _LEAST_SPREAD)


def _normal(x: float) -> float:
    return math.erfc(-x / math.sqrt(2.0)) / 2.0
