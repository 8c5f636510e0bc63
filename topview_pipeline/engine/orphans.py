"""Orphans: submitted tasks whose worker is dead. They go the way of every other task.

Their rows say all that polling and downloading need; no product of this run has to want them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from topview_pipeline.engine.context import Context
from topview_pipeline.engine.events import Failed, Held, HoldReason, ProductHeldError
from topview_pipeline.engine.poll import Poller
from topview_pipeline.engine.slots import Slots
from topview_pipeline.ledger import Task, TaskState
from topview_pipeline.ledger.health import trouble_of

_LOOK_SECONDS: Final = 30.0
"""How often a run short of slots looks for orphans: they hold slots until they are queried."""


class Orphans:
    """Brings orphans into the store.

    Those of another pipeline only where that is gone or the account is short of slots, and then
    without an event: its own next run has that.

    Args:
        wants: True if a product of this run will come to the row anyway.
        ended: called with each orphan's coroutine when it is over.
    """

    def __init__(
        self,
        context: Context,
        slots: Slots,
        poller: Poller,
        *,
        wants: Callable[[Task], bool],
        ended: Callable[[asyncio.Task[None]], None],
    ) -> None:
        self._context = context
        self._slots = slots
        self._poller = poller
        self._wants = wants
        self._ended = ended
        self.running: set[asyncio.Task[None]] = set()

    async def take(self, rows: Iterable[Task]) -> None:
        """Adopt these rows, but for those that a living worker has."""
        for row in rows:
            if self._context.stopping:
                break
            if self._poller.is_polling(row.id) or self._wants(row):
                continue
            adopt = self._context.ledger.tasks.adopt
            mine = await self._context.in_ledger(adopt, row.id, worker=self._context.worker)
            if mine is None:
                continue
            orphan = asyncio.create_task(self._collect(mine))
            self.running.add(orphan)
            orphan.add_done_callback(self._orphan_ended)

    def settle_lost(self) -> None:
        """Rows that a dead worker reserved become unknown: they hold slots, too."""
        ledger = self._context.ledger
        for row in ledger.orphans.lost(submit_seconds=self._context.submit_seconds):
            ledger.tasks.mark_lost(row, who=self._context.worker)

    async def serve(self) -> None:
        """Look for orphans whenever slots are short, until cancelled."""
        while True:
            await self._slots.short.wait()
            self._slots.short.clear()
            await self._context.in_ledger(self.settle_lost)
            left = self._context.ledger.orphans.pending
            await self.take(await self._context.in_ledger(left))
            await asyncio.sleep(_LOOK_SECONDS)

    def _orphan_ended(self, orphan: asyncio.Task[None]) -> None:
        self.running.discard(orphan)
        self._ended(orphan)

    async def _collect(self, row: Task) -> None:
        is_own = row.pipeline == self._context.ledger.pipeline
        if row.state is not TaskState.STORED:
            try:
                row = await self._poller.finish(row, ask_now=True)
            except ProductHeldError as error:
                if is_own:
                    self._report_held(row, error.reason, error.what, error.fix, error.until)
                return
        if not is_own:
            return
        trouble = trouble_of(row)
        if trouble is not None and row.state is TaskState.OVERDUE:
            self._report_held(row, HoldReason.OVERDUE, *trouble, None)
        elif trouble is not None:
            self._context.emit(Failed(row.product_id, row.stage, *trouble, row))
        self._context.emit_orphan(row)

    def _report_held(
        self, row: Task, reason: HoldReason, what: str, fix: str, until: float | None
    ) -> None:
        self._context.emit(Held(row.product_id, row.stage, reason, what, fix, until, row))
