"""Time, as the sandbox sees it: wall seconds that a test can move."""

from collections.abc import Callable


class Clock:
    """UTC wall seconds from `base`, plus an offset that only grows.

    The state of every task, signature and id follows from this one number, so a test that moves
    the clock sees what an hour of waiting would show.
    """

    def __init__(self, base: Callable[[], float], offset: float = 0.0) -> None:
        self._base = base
        self.offset = offset

    def __call__(self) -> float:
        return self._base() + self.offset

    def advance(self, seconds: float) -> None:
        """Move time forward by `seconds`; raises ValueError if negative."""
        if seconds < 0:
            raise ValueError(f"time only moves forward: seconds={seconds}")
        self.offset += seconds
