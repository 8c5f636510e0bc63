"""The producer: takes work, moves each product through its stages, streams events.

asyncio, one process, no Dagster. `Producer.stream` is the one way in.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from topview_pipeline.ledger import LedgerUnavailable, Task
from topview_pipeline.ledger.owner import RENEW_SECONDS
from topview_pipeline.producer.account import Gate
from topview_pipeline.producer.desk import Desk
from topview_pipeline.producer.dispatch import Dispatcher
from topview_pipeline.producer.events import Event, Parked
from topview_pipeline.producer.flow import Flow
from topview_pipeline.producer.following import Follower
from topview_pipeline.producer.lost_answers import LostAnswers
from topview_pipeline.producer.making import Maker
from topview_pipeline.producer.sending import Sender
from topview_pipeline.producer.strays import Strays
from topview_pipeline.producer.submitting import Submitter
from topview_pipeline.producer.waiting import until_set
from topview_pipeline.producer.work import Work
from topview_pipeline.topview.errors import NotTopview

_SETTLE_SECONDS: Final = 0.5
"""A wait time of 0 still lets what is ready fill the free slots."""
_PACE_SECONDS: Final = 0.01
"""Between the beginnings of two products, while others wait for a slot and answers are awaited."""
_ANSWER_SECONDS: Final = 10.0
"""So long after the last progress an answer is awaited, however short the wait time is."""


class Producer:
    """One run's worth of producing. Use it once.

    Any failure of a part of the machinery itself (the ledger, a bug) ends the stream with that
    exception; troubles of a product are events.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._dispatcher = Dispatcher(desk)
        self._submitter = Submitter(desk, self._dispatcher)
        self._follower = Follower(desk, self._dispatcher)
        self._gate = Gate(desk)
        sender = Sender(desk, self._gate, self._dispatcher, self._submitter)
        self._lost_answers = LostAnswers(desk)
        self._maker = Maker(desk, self._follower, sender, self._lost_answers)
        self._flows: dict[asyncio.Task[None], Flow] = {}
        self._strays = Strays(
            desk,
            self._dispatcher,
            self._follower,
            self._maker,
            on_the_way_to=self._on_the_way_to,
            ended=self._part_ended,
        )
        self._fed = asyncio.Event()
        self._failure: BaseException | None = None
        self._is_registered_here = False

    async def stream(
        self, work: AsyncIterator[Work], *, resume: tuple[Task, ...] = ()
    ) -> AsyncGenerator[Event, None]:
        """Work until everything ended, was held, or the wait time is over.

        Args:
            work: products as they become ready; each starts at once.
            resume: rows to bring into the store though nobody orders them any more.

        Yields:
            An event for each order that ended, and for each stored row.

        Raises:
            NotTopview: the base URL is something else.
            LedgerError: the ledger cannot be used.
        """
        desk = self._desk
        self._is_registered_here = desk.ledger.producers.start(desk.owner, run_id=desk.run.run_id)
        helpers: list[asyncio.Task[None]] = []
        try:
            self._strays.settle_reserved()
            self._lost_answers.begin()
            helpers = [
                asyncio.create_task(self._guarded(part))
                for part in (
                    self._dispatcher.serve(),
                    self._renew_lease(),
                    self._strays.serve(),
                    self._feed(work),
                    self._watch(),
                )
            ]
            self._strays.take(resume)
            while (event := await desk.events.get()) is not None:
                yield event
            if isinstance(self._failure, NotTopview) and desk.run.explicit:
                # Nothing of this could ever be made there: leave no orders behind. Those that the
                # sensor goes on with were accepted elsewhere, and wait for the right base URL.
                desk.ledger.orders.withdraw_runs([desk.run.run_id], who="the base URL is wrong")
            if self._failure is not None:
                raise self._failure
        finally:
            await self._end(helpers)
            self._submitter.check_all_is_written(self._failure)

    def stop(self) -> None:
        """A person's stop: nothing new is sent, what is being sent is finished, then it ends.

        Call it in the loop's thread. Pending tasks stay pending for the next run.
        """
        self._desk.stopping = True
        self._fed.set()
        self._lost_answers.cut_off()
        self._desk.activity.changed.set()

    async def _guarded(self, part: object) -> None:
        """Run a part of the machinery; its failure ends the stream instead of hanging it."""
        try:
            await part  # type: ignore[misc]  # a coroutine of this class
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - handed to whoever reads the stream
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self._desk.events.put_nowait(None)

    async def _feed(self, work: AsyncIterator[Work]) -> None:
        async for one in work:
            if self._desk.stopping:
                break
            self._desk.activity.progress()
            flow = Flow(self._desk, self._follower, self._maker, one)
            self._dispatcher.line.expect(flow.chain)
            running = asyncio.create_task(self._run(flow))
            self._flows[running] = flow
            running.add_done_callback(self._flow_ended)
            # What already runs goes first. Beginning a product takes the loop a few milliseconds,
            # and hearing an answer some rounds of it: it must not wait for so many beginnings while
            # enough products are in line already.
            enough = len(self._dispatcher.line) >= self._desk.config.slots
            activity = self._desk.activity
            is_awaiting = activity.is_asking or activity.is_busy
            await asyncio.sleep(_PACE_SECONDS if enough and is_awaiting else 0)
        self._fed.set()
        self._desk.activity.changed.set()

    async def _run(self, flow: Flow) -> None:
        expected = list(flow.chain)
        try:
            await flow.run(self._dispatcher.line)
        finally:
            for stage in expected[len(expected) - len(flow.left) :]:
                self._dispatcher.line.finished(stage)
            self._dispatcher.freed()

    def _flow_ended(self, running: asyncio.Task[None]) -> None:
        self._flows.pop(running, None)
        self._part_ended(running)

    def _on_the_way_to(self, row: Task) -> list[asyncio.Task[None]]:
        return [
            running
            for running, flow in self._flows.items()
            if flow.work.product.product_id == row.product_id and row.stage in flow.chain
        ]

    def _part_ended(self, part: asyncio.Task[None]) -> None:
        if not part.cancelled() and (error := part.exception()) is not None:
            self._fail(error)
        self._desk.activity.changed.set()

    async def _renew_lease(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            self._desk.ledger.producers.renew(self._desk.owner)

    async def _watch(self) -> None:
        """End the stream when everything ended, or when nothing moved for the wait time."""
        await self._until_over()
        while not self._desk.stopping:
            found = await self._lost_answers.look_again()
            if not found:
                self._park()
                break
            self._strays.take(found)
            await self._until_over()
        self._desk.events.put_nowait(None)

    async def _until_over(self) -> None:
        activity = self._desk.activity
        while not self._is_over():
            activity.changed.clear()
            left = self._longest_idle - activity.idle_seconds()
            await until_set(activity.changed, max(left, 0.05))

    @property
    def _longest_idle(self) -> float:
        """Seconds without progress after which what is left is parked."""
        wait = max(self._desk.config.wait_seconds, _SETTLE_SECONDS)
        # A short wait still lets the first answers come; nobody waits long for one that hangs.
        return max(wait, _ANSWER_SECONDS) if self._desk.activity.is_asking else wait

    def _park(self) -> None:
        in_line = self._dispatcher.waiting_orders()
        no_slot = self._submitter.last_trouble or "it waits for a free slot"
        nothing_moved = self._gate.trouble or "nothing moved within the run's wait time"
        for flow in self._flows.values():
            first = flow.orders[flow.chain[0]]
            detail = no_slot if first.id in in_line else nothing_moved
            for key in flow.chain:
                order = flow.orders[key]
                self._desk.emit(Parked(order.product_id, key, order.id, detail))
                detail = f"waits for {first.stage}"

    def _is_over(self) -> bool:
        activity = self._desk.activity
        if self._fed.is_set() and not self._flows and not self._strays.running:
            return True
        if activity.is_busy:
            return False
        if self._desk.stopping:
            return True
        return self._fed.is_set() and activity.idle_seconds() >= self._longest_idle

    async def _end(self, helpers: list[asyncio.Task[None]]) -> None:
        """Let go of everything, unless who registered the owner has events still to store.

        Then it leaves the ledger when it has stored them: until then nobody may take their rows
        for strays.
        """
        desk = self._desk
        desk.stopping = True
        await self._let_submits_end()
        working = [*helpers, *self._flows, *self._strays.running]
        for part in working:
            part.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        await self._lost_answers.stop()
        await self._follower.stop()
        # Should the ledger be in trouble, the error that ended the stream says more, and the end
        # of this process says the rest.
        with contextlib.suppress(LedgerUnavailable):
            if self._is_registered_here:
                desk.ledger.leave(desk.owner)

    async def _let_submits_end(self) -> None:
        """A submit that is cut off makes an unknown row; its answer is worth the wait."""
        give_up = self._desk.ticks() + self._desk.submit_seconds
        while self._desk.activity.is_busy and self._desk.ticks() < give_up:
            self._desk.activity.changed.clear()
            await until_set(self._desk.activity.changed, 1.0)
