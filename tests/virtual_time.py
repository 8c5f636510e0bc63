"""An event loop whose clock jumps: hours of polling pass in milliseconds, and in one order."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
EPOCH = 1_800_000_000.0


class _JumpingSelector(selectors.DefaultSelector):
    """Where a real loop would sleep, virtual time goes on by as much."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            return super().select(5.0) or _deadlocked()
        self.now += max(timeout, 0.0)
        return ready


def _deadlocked() -> Any:
    raise RuntimeError("every coroutine waits for another one")


class VirtualLoop(asyncio.SelectorEventLoop):
    """Run with `run_virtually`; `clock()` gives seconds since the epoch."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        # asyncio's own 1e-9 is lost in rounding after 97 days, and a timer that is due never runs.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._jumping.now


class VirtualClock:
    """The wall clock of the running virtual loop, which tests may also push."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.offset = EPOCH

    def __call__(self) -> float:
        return self.loop.time() + self.offset

    def jump(self, seconds: float) -> None:
        """The machine was suspended, or its clock was set."""
        self.offset += seconds

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end in virtual time. Several may be run one after the other."""
        asyncio.set_event_loop(self.loop)
        return self.loop.run_until_complete(main)

    def close(self) -> None:
        """Close the loop."""
        self.loop.close()


async def inline(call: Any, *args: Any) -> Any:
    """Stands for `asyncio.to_thread`: threads would not see virtual time."""
    return call(*args)
