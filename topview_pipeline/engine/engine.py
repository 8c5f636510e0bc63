"""The engine: takes products, moves each through its stages, streams events.

`Engine.run` is the one way in; `product_run` is the way of one product. Orphans, submitted tasks
whose worker is dead, go the way of every other task: their rows say all that polling and
downloading need, whether or not a product of this run wants them.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import Final

from topview_pipeline.engine.context import Context, ProductWork, until_set
from topview_pipeline.engine.events import Event, Failed, Held, HoldReason, ProductHeldError
from topview_pipeline.engine.poll import Poller
from topview_pipeline.engine.product_gate import Turns
from topview_pipeline.engine.product_run import Parts, ProductRun
from topview_pipeline.engine.reconcile import RunReconciler
from topview_pipeline.engine.slots import Slots
from topview_pipeline.engine.submit import AccountGate, Submitter
from topview_pipeline.ledger import HEARTBEAT_SECONDS, LedgerUnavailable, Task, TaskState
from topview_pipeline.ledger.health import trouble_of

_LOOK_SECONDS: Final = 30.0
"""Interval of looks for orphans while slots are short: they hold slots until they are queried."""
_SETTLE_SECONDS: Final = 0.5
"""A wait time of 0 still lets what is ready fill the free slots."""
_PACE_SECONDS: Final = 0.01
"""Between the starts of two products, while others wait for a slot and answers are awaited."""
_ANSWER_SECONDS: Final = 10.0
"""So long after the last progress an answer is awaited, however short the wait time is."""


class Engine:
    """One run's engine. Use it once.

    A failure of the machinery itself (the ledger, a bug) ends the stream with that exception; the
    trouble of a product is an event.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        slots = Slots(context)
        gate = AccountGate(context)
        self._parts = Parts(
            slots=slots,
            gate=gate,
            submitter=Submitter(context, slots, gate),
            poller=Poller(context, slots, gate),
            looks=RunReconciler(context),
            turns=Turns(context),
        )
        self._orphans: set[asyncio.Task[None]] = set()
        self._products: dict[asyncio.Task[None], ProductRun] = {}
        self._all_started = asyncio.Event()
        self._failure: BaseException | None = None
        self._stop_by = math.inf
        """Until then what was being sent at a stop is waited for."""

    async def run(
        self, work: AsyncIterator[ProductWork], *, orphans: tuple[Task, ...] = ()
    ) -> AsyncGenerator[Event, None]:
        """Work until every product ended or was held, or the wait time is over.

        The worker must be registered in the ledger; the caller that did so also ends it.

        Args:
            work: products as they become ready; each starts at once.
            orphans: rows to bring into the store though no product of this run wants them.

        Raises:
            NotTopview: the base URL is something else.
            LedgerError: the ledger cannot be used.
        """
        context = self._context
        parts: list[asyncio.Task[None]] = []
        try:
            await context.in_ledger(self._settle_lost)
            await self._parts.looks.begin()
            parts = [
                asyncio.create_task(self._guarded(part))
                for part in (
                    self._parts.slots.serve,
                    self._beat,
                    self._serve_orphans,
                    partial(self._start, work, orphans),
                    self._watch,
                )
            ]
            while (event := await context.events.get()) is not None:
                yield event
            if self._failure is not None:
                raise self._failure
        finally:
            await self._end(parts)
            self._parts.submitter.check_all_is_written(self._failure)

    def stop(self) -> None:
        """Submit nothing new, finish what is being sent, then end. Pending tasks stay pending.

        After `shutdown_seconds` the answers are not waited for: the system may kill us, and
        a row that says unknown is better than one that says nothing. Call it in the loop's thread.
        """
        if not self._context.stopping:
            self._stop_by = self._context.ticks() + self._context.config.shutdown_seconds
        self._context.stopping = True
        self._all_started.set()
        self._parts.looks.cancel()
        self._context.activity.changed.set()

    async def _guarded(self, part: Callable[[], Awaitable[None]]) -> None:
        """Run a part of the machinery; its failure ends the stream instead of hanging it."""
        try:
            await part()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - raised to the reader of the stream
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self._context.events.put_nowait(None)

    async def _start(self, work: AsyncIterator[ProductWork], orphans: Iterable[Task]) -> None:
        activity = self._context.activity
        await self._take(orphans)
        async for one in work:
            if self._context.stopping:
                break
            activity.progress()
            product = ProductRun(self._context, self._parts, one)
            running = asyncio.create_task(product.run())
            self._products[running] = product
            running.add_done_callback(self._ended)
            # What already runs goes first: an answer must not wait behind hundreds of starts while
            # enough products are in line already.
            enough = len(self._parts.slots.line) >= self._context.config.slots
            is_awaiting = activity.is_asking or activity.is_busy
            await asyncio.sleep(_PACE_SECONDS if enough and is_awaiting else 0)
        self._all_started.set()
        activity.changed.set()

    def _ended(self, part: asyncio.Task[None]) -> None:
        self._products.pop(part, None)
        self._orphans.discard(part)
        if not part.cancelled() and (error := part.exception()) is not None:
            self._fail(error)
        self._context.activity.changed.set()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            # An answer that is being written down is worth more than a heartbeat that is missed.
            with contextlib.suppress(LedgerUnavailable):
                # Not behind the calls that wait for each other: this one says that we live.
                beat = self._context.ledger.workers.beat
                await self._context.apart(partial(beat, self._context.worker))

    def _settle_lost(self) -> None:
        """Rows that a dead worker reserved become unknown: they hold slots, too."""
        ledger = self._context.ledger
        for row in ledger.orphans.lost(submit_seconds=self._context.submit_seconds):
            ledger.tasks.mark_lost(row, who=self._context.worker)

    async def _serve_orphans(self) -> None:
        short = self._parts.slots.short
        while True:
            await short.wait()
            short.clear()
            await self._context.in_ledger(self._settle_lost)
            await self._take(await self._context.look(self._context.ledger.orphans.pending))
            await asyncio.sleep(_LOOK_SECONDS)

    async def _take(self, orphans: Iterable[Task]) -> None:
        """Adopt these rows, but for those that a living worker has or a product comes to."""
        context, poller = self._context, self._parts.poller
        for row in orphans:
            if context.stopping:
                break
            wanted = any(product.wants(row) for product in self._products.values())
            # A newer release on the same account may have more stages.
            if wanted or poller.is_polling(row.id) or row.stage not in context.by_key:
                continue
            adopt = context.ledger.tasks.adopt
            mine = await context.in_ledger(adopt, row.id, worker=context.worker)
            if mine is not None:
                orphan = asyncio.create_task(self._collect(mine))
                self._orphans.add(orphan)
                orphan.add_done_callback(self._ended)

    async def _collect(self, row: Task) -> None:
        """Bring an orphan into the store; of another pipeline's its own next run has the event."""
        is_own = row.pipeline == self._context.ledger.pipeline
        held: tuple[HoldReason, str, str, float | None] | None = None
        if row.state is not TaskState.STORED:
            try:
                row = await self._parts.poller.finish(row, ask_now=True)
            except ProductHeldError as error:
                held = error.reason, error.what, error.fix, error.until
        if not is_own:
            return
        trouble = None if held else trouble_of(row)
        if trouble is not None and row.state is TaskState.OVERDUE:
            held = HoldReason.OVERDUE, *trouble, None
        if held is not None:
            self._context.emit(Held(row.product_id, row.stage, *held, row))
        elif trouble is not None:
            self._context.emit(Failed(row.product_id, row.stage, *trouble, row))
        self._context.emit_orphan(row)

    async def _watch(self) -> None:
        """End the stream when everything ended, or when nothing moved for the wait time."""
        await self._until_over()
        while not self._context.stopping:
            adopted = await self._parts.looks.look_again()
            if not adopted:
                self._hold_rest()
                break
            await self._take(adopted)
            await self._until_over()
        self._context.events.put_nowait(None)

    async def _until_over(self) -> None:
        activity = self._context.activity
        while not self._is_over():
            activity.changed.clear()
            left = self._longest_idle - activity.idle_seconds()
            left = min(left, self._stop_by - self._context.ticks())
            await until_set(activity.changed, max(left, 0.05))

    @property
    def _longest_idle(self) -> float:
        wait = max(self._context.config.wait_seconds, _SETTLE_SECONDS)
        # A short wait still lets the first answers come; none that hangs is waited for long.
        return max(wait, _ANSWER_SECONDS) if self._context.activity.is_asking else wait

    def _is_over(self) -> bool:
        activity = self._context.activity
        if self._all_started.is_set() and not self._products and not self._orphans:
            return True
        if self._context.stopping:
            return not activity.is_submitting or self._context.ticks() >= self._stop_by
        if activity.is_busy:
            return False
        return self._all_started.is_set() and activity.idle_seconds() >= self._longest_idle

    def _hold_rest(self) -> None:
        gate = self._parts.gate
        reason = HoldReason.WAITING if gate.refused is None else HoldReason.ACCOUNT
        trouble = gate.refused or gate.trouble or self._parts.submitter.trouble
        for running, product in self._products.items():
            if not running.done():  # it may have ended just now
                product.hold_rest(
                    reason, trouble or "the run's wait time (TOPVIEW_WAIT_SECONDS) is over"
                )

    async def _end(self, parts: list[asyncio.Task[None]]) -> None:
        """Let submits end, then let go of everything. Rows stay as they are."""
        self._context.stopping = True
        await self._let_submits_end()
        working = [*parts, *self._products, *self._orphans]
        for part in working:
            part.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        await self._parts.looks.stop()
        await self._parts.poller.stop()

    async def _let_submits_end(self) -> None:
        """A submit that is cut off makes an unknown row; its answer is worth the wait."""
        context = self._context
        give_up = min(context.ticks() + context.submit_seconds, self._stop_by)
        while context.activity.is_submitting and context.ticks() < give_up:
            context.activity.changed.clear()
            await until_set(context.activity.changed, 1.0)
