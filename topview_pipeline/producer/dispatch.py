"""Slots: hands free ones to the waiting chains, by way of the ledger.

The ledger's reserve transaction is what holds across processes; this only decides who of this
producer asks next, and does not ask while the answer is known.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from topview_pipeline.ledger import (
    NoSlot,
    OrderChanged,
    Reservation,
    Reserved,
    Task,
    TaskState,
)
from topview_pipeline.ledger.rows import ReserveAnswer
from topview_pipeline.producer.desk import Desk
from topview_pipeline.producer.queueing import Chain, WaitingLine
from topview_pipeline.producer.waiting import until_set

_LOOK_AGAIN_SECONDS = 2.0
"""How often a producer short of slots looks whether another process freed one."""
_LOOK_OFTEN = 0.5
"""While runs share the slots: one that is left for this run stands empty until it looks."""


class OrderChangedError(Exception):
    """The order was forced since its generation was read: its stage begins again."""


@dataclass(eq=False)
class _Ticket:
    reservation: Reservation
    answer: asyncio.Future[ReserveAnswer] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Dispatcher:
    """Grants slots one by one, in the order of the waiting line."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._wake = asyncio.Event()
        self._full = False
        self._look_again = _LOOK_AGAIN_SECONDS
        self._not_before = desk.ticks()
        self.line: WaitingLine[_Ticket] = WaitingLine(desk.typical)
        self.short_of_slots = asyncio.Event()

    async def reserve(self, chain: Chain, reservation: Reservation) -> ReserveAnswer:
        """Wait for a turn and a slot, and reserve the row; or learn why that cannot be.

        Raises:
            OrderChangedError: the order was forced meanwhile.
        """
        ticket = _Ticket(reservation)
        self.line.join(chain, ticket)
        if not self._full:
            self._wake.set()
        try:
            return await ticket.answer
        except asyncio.CancelledError:
            self._take_back(ticket)
            raise
        finally:
            self.line.leave(chain, ticket)

    def _take_back(self, ticket: _Ticket) -> None:
        """The producer ended between the reservation and the POST: nothing was sent."""
        answer = ticket.answer
        if not answer.done() or answer.cancelled() or answer.exception() is not None:
            return
        reserved = answer.result()
        if isinstance(reserved, Reserved):
            self.release_unsent(reserved.task)

    def release_unsent(self, task: Task) -> None:
        """Give a reserved row back that is not going to be sent."""
        why = "the run was stopped before the POST"
        self._desk.ledger.tasks.ended(task.id, TaskState.RELEASED, why=why, who=self._desk.me)
        self._desk.activity.changed.set()
        self.freed()

    def waiting_orders(self) -> set[int]:
        """Ids of the orders that wait for a slot."""
        return {ticket.reservation.order_id for ticket in self.line}

    def freed(self) -> None:
        """A slot may be free, or the order of the line changed."""
        self._full = False
        self._wake.set()

    def back_off(self, seconds: float) -> None:
        """Topview refused or could not be reached: ask for no slot for a while."""
        self._not_before = max(self._not_before, self._desk.ticks() + seconds)

    async def serve(self) -> None:
        """Run until cancelled."""
        while True:
            pause = self._not_before - self._desk.ticks()
            if pause > 0:
                await asyncio.sleep(pause)
                continue
            self._wake.clear()
            # Whoever joins the line while all slots are taken changes nothing; what frees one does.
            self._full = not self._grant_all()
            await until_set(self._wake, self._look_again if self._full else None)
            # Let everybody who was woken by the same event join before choosing.
            await asyncio.sleep(0)

    def _grant_all(self) -> bool:
        """Hand out slots until there is none or nobody waits; False when short of slots."""
        while (first := self.line.first(self._desk.config.slots)) is not None:
            chain, ticket = first
            if ticket.answer.done():
                self.line.leave(chain, ticket)
                continue
            try:
                answer = self._desk.ledger.tasks.reserve(
                    ticket.reservation,
                    slots=self._desk.config.slots,
                    credits_a_day=self._desk.config.credits_a_day,
                    is_last_in_line=len(self.line) == 1,
                )
            except Exception as error:  # noqa: BLE001 - the waiting product must be told
                answer = None
                ticket.answer.set_exception(error)
            if isinstance(answer, NoSlot):
                self.short_of_slots.set()
                self._look_again = _LOOK_OFTEN if answer.is_contended else _LOOK_AGAIN_SECONDS
                return False
            if isinstance(answer, OrderChanged):
                ticket.answer.set_exception(OrderChangedError())
            elif answer is not None:
                ticket.answer.set_result(answer)
            self.line.leave(chain, ticket)
        return True
