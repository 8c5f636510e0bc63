"""Which of the waiting chains gets the next free slot. Pure data structure, no asyncio.

Later stages go first, so that finished videos come early. The end of a run is a tail of a few
long chains that leave slots empty; so when less work is left than fills the slots for long, the
longest remaining chains go first.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

T = TypeVar("T")
Chain = tuple[str, ...]
"""Keys of the stages that a product has still to go through, the waiting one first."""

_TAIL_CHAINS: Final = 1.5
"""The tail begins when the work left fills all slots for less than this many longest chains."""


class WaitingLine(Generic[T]):
    """Waiting items grouped by the chain they still have before them, first come first served.

    Args:
        typical: median seconds of a stage, by its key.
    """

    def __init__(self, typical: Callable[[str], float]) -> None:
        self._typical = typical
        self._lines: dict[Chain, deque[T]] = {}
        self._left: dict[str, int] = {}

    def expect(self, chain: Chain) -> None:
        """A product will need these stages; its work counts as left from now on."""
        for stage in chain:
            self._left[stage] = self._left.get(stage, 0) + 1

    def finished(self, stage: str) -> None:
        """One of the expected stages is done, or will not be done any more."""
        self._left[stage] = max(self._left.get(stage, 0) - 1, 0)

    def join(self, chain: Chain, item: T) -> None:
        """Wait for a slot for the first stage of the chain."""
        self._lines.setdefault(chain, deque()).append(item)

    def leave(self, chain: Chain, item: T) -> None:
        """Stop waiting."""
        line = self._lines.get(chain)
        if line is not None and item in line:
            line.remove(item)
        if not line:
            self._lines.pop(chain, None)

    def __len__(self) -> int:
        return sum(len(line) for line in self._lines.values())

    def __iter__(self) -> Iterator[T]:
        return itertools.chain.from_iterable(self._lines.values())

    def first(self, slots: int) -> tuple[Chain, T] | None:
        """The item that the next free slot is for; it stays in line."""
        if not self._lines:
            return None
        chain = (max if self._in_tail(slots) else min)(self._lines, key=self._order)
        return chain, self._lines[chain][0]

    def _order(self, chain: Chain) -> tuple[float, int]:
        return self._seconds(chain), len(chain)

    def _seconds(self, chain: Chain) -> float:
        return sum(self._typical(stage) for stage in chain)

    def _in_tail(self, slots: int) -> bool:
        left = sum(count * self._typical(stage) for stage, count in self._left.items())
        longest = self._seconds(tuple(stage for stage, count in self._left.items() if count))
        return left < _TAIL_CHAINS * slots * longest
