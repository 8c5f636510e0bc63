"""Slots: which waiting product gets the next free one, and asking the ledger for it.

The ledger's reserve transaction holds across processes; this decides who of this run asks next,
and does not ask while the answer is known.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Generic, TypeVar

from topview_pipeline.engine.context import Context, until_set
from topview_pipeline.ledger import NoSlot, Reservation, ReserveAnswer, Reserved, Task

T = TypeVar("T")
Chain = tuple[str, ...]
"""Keys of the stages that a product has still to go through, the waiting one first."""

_TAIL_CHAINS: Final = 1.5
"""The tail begins when the work left fills all slots for less than this many longest chains."""
_LOOK_AGAIN_SECONDS: Final = 1.0
"""Interval at which a run short of slots looks whether another process freed one."""


class WaitingLine(Generic[T]):
    """Waiting items by the chain they still have before them. Pure data structure.

    Later stages go first, so that finished videos come early. The end of a run is a tail of a few
    long chains that leave slots empty: when less work is left than fills the slots for long, the
    longest remaining chains go first. `typical` gives the median seconds of a stage.
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


@dataclass(eq=False)
class _Ticket:
    reservation: Reservation
    answer: asyncio.Future[ReserveAnswer] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Slots:
    """Reserves rows for waiting products, one by one, in the order of the waiting line."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._wake = asyncio.Event()
        self._full = False
        self._not_before = context.ticks()
        self.line: WaitingLine[_Ticket] = WaitingLine(context.typical)
        self.short = asyncio.Event()
        """Set when a reservation found no free slot."""

    async def take(self, chain: Chain, reservation: Reservation) -> ReserveAnswer:
        """Wait for a turn and a slot, and reserve the row; or learn why that cannot be."""
        ticket = _Ticket(reservation)
        self.line.join(chain, ticket)
        if not self._full:
            self._wake.set()
        try:
            return await ticket.answer
        except asyncio.CancelledError:
            await self._give_back(ticket)
            raise
        finally:
            self.line.leave(chain, ticket)

    async def _give_back(self, ticket: _Ticket) -> None:
        """The run ended between the reservation and the POST: nothing was sent."""
        answer = ticket.answer
        if not answer.done() or answer.cancelled() or answer.exception() is not None:
            return
        reserved = answer.result()
        if isinstance(reserved, Reserved):
            await self.void_unsent(reserved.task)

    async def void_unsent(self, task: Task) -> None:
        """Give back a reserved row that will not be sent."""
        why = "it was not sent: the run was stopped, or the account refused"
        await self._context.moved(self._context.ledger.tasks.void, task, why=why)
        self._context.activity.changed.set()
        self.freed()

    def freed(self) -> None:
        """A slot may be free, or the order of the line changed."""
        self._full = False
        self._wake.set()

    def back_off(self, seconds: float) -> None:
        """Topview refused or could not be reached: ask for no slot for a while."""
        self._not_before = max(self._not_before, self._context.ticks() + seconds)

    async def serve(self) -> None:
        """Hand out slots until cancelled."""
        while True:
            pause = self._not_before - self._context.ticks()
            if pause > 0:
                await asyncio.sleep(pause)
                continue
            self._wake.clear()
            # A newcomer changes nothing while all slots are taken; what frees one does.
            self._full = not await self._grant_all()
            await until_set(self._wake, _LOOK_AGAIN_SECONDS if self._full else None)
            # Let everybody who was woken by the same event join before choosing.
            await asyncio.sleep(0)

    async def _grant_all(self) -> bool:
        """Hand out slots until there is none or nobody waits; False when short of slots."""
        config = self._context.config
        while (first := self.line.first(config.slots)) is not None:
            chain, ticket = first
            if not ticket.answer.done():
                try:
                    answer = await self._context.in_ledger(self._try, ticket.reservation)
                except Exception as error:  # noqa: BLE001 - raised in the waiting product
                    if not ticket.answer.done():
                        ticket.answer.set_exception(error)
                else:
                    if isinstance(answer, NoSlot):
                        self.short.set()
                        return False
                    if not ticket.answer.done():
                        ticket.answer.set_result(answer)
                    elif isinstance(answer, Reserved):  # the product ended meanwhile
                        await self.void_unsent(answer.task)
            self.line.leave(chain, ticket)
        return True

    def _try(self, wanted: Reservation) -> ReserveAnswer:
        """Reserve it with its credits as they are known now: a task before it may teach."""
        context, config = self._context, self._context.config
        found = context.estimate(context.by_key[wanted.stage], wanted.mode, wanted.seconds)
        wanted = replace(wanted, estimate=found.credits, estimate_source=found.source)
        return context.ledger.tasks.reserve(
            wanted, slots=config.slots, credits_a_day=config.credit_limit
        )
