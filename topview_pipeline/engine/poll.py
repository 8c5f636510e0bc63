"""Poller: from a task at Topview to files in the store. Never submits.

All of it can be done from the ledger's row alone, by any worker at any time.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, Final

from topview_pipeline.engine.context import Context
from topview_pipeline.engine.download import Downloader
from topview_pipeline.engine.events import ProductHeldError
from topview_pipeline.engine.slots import Slots
from topview_pipeline.engine.submit import AccountGate
from topview_pipeline.ledger import Task, TaskState
from topview_pipeline.ledger.health import KEPT_AT_TOPVIEW_SECONDS
from topview_pipeline.text import without_queries
from topview_pipeline.topview.errors import AccountError, QueryError, TaskUnknown
from topview_pipeline.topview.models import TaskResult, TaskStatus

_POLICY: Final = re.compile(
    r"polic|violat|sensitive|moderat|securit|prohibit|nsfw|inappropriate|illegal", re.IGNORECASE
)
"""Words of Topview's content refusals; Topview publishes no closed list."""


class Poller:
    """Polls tasks to their end; two products that share a task share its polling too."""

    def __init__(self, context: Context, slots: Slots, gate: AccountGate) -> None:
        self._context = context
        self._slots = slots
        self._gate = gate
        self._denied: set[int] = set()
        self._downloader = Downloader(context, self._query, lambda task: task.id in self._denied)
        self._running: dict[int, asyncio.Task[Task]] = {}

    async def finish(self, task: Task, *, ask_now: bool = False) -> Task:
        """Bring a pending, overdue or succeeded row to its end: stored, failed, overdue, expired.

        A stored row is downloaded again: a file of it is gone.

        Args:
            ask_now: query before waiting: another worker submitted it a while ago.

        Raises:
            ProductHeldError: it is finished and cannot be brought into the store now.
        """
        running = self._running.get(task.id)
        if running is None:
            running = asyncio.create_task(self._finish(task, ask_now))
            self._running[task.id] = running
            running.add_done_callback(lambda _: self._running.pop(task.id, None))
        return await asyncio.shield(running)

    def is_polling(self, task_id: int) -> bool:
        return task_id in self._running

    async def stop(self) -> None:
        """Let go of all tasks; their rows stay as they are."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _finish(self, task: Task, ask_now: bool) -> Task:
        result: TaskResult | None = None
        if task.state in (TaskState.PENDING, TaskState.OVERDUE):
            task, result = await self._poll(task, ask_now)
        elif task.state is TaskState.STORED:
            gone = self._context.ledger.tasks.file_gone
            why = "one of its files is gone from the store"
            task = await self._context.moved(gone, task, why=why)
        if task.state is not TaskState.SUCCEEDED:
            return task
        try:
            task = await self._downloader.fetch(task, result)
        except ProductHeldError:
            # This run lives on: another one must not wait for it to try again.
            await self._release(task)
            raise
        if task.pipeline != self._context.ledger.pipeline:
            # Nor must its own pipeline wait, which has to report it.
            await self._release(task)
        return task

    async def _release(self, task: Task) -> None:
        context = self._context
        await context.in_ledger(context.ledger.tasks.release, task.id, worker=context.worker)

    async def _poll(self, task: Task, ask_now: bool) -> tuple[Task, TaskResult | None]:
        context = self._context
        plan = context.plans[task.stage]
        began = task.pending_at or task.reserved_at
        # How long it was seen to run by the last query. None: it was not seen, as when another
        # worker submitted it a while ago, or no usable answer came: it may have ended since.
        ran = None if ask_now else 0.0
        while True:
            asked_at = context.clock()
            if not ask_now:
                longest = max(task.deadline_at - asked_at, context.config.poll_seconds)
                await asyncio.sleep(min(plan.delay(asked_at - began), longest))
                asked_at = context.clock()
            ask_now = False
            with context.activity.asking():
                result = await self._query(task)
            if result is not None and result.status is TaskStatus.SUCCESS:
                if ran is not None and task.state is TaskState.PENDING:
                    # It ended between the last two queries: learn the middle, not our own lag.
                    plan.learn((ran + context.clock() - began) / 2)
                kept = {
                    "result": context.by_key[task.stage].kept(result),
                    "cost_credits": result.cost_credit,
                }
                row = await self._moved(context.ledger.tasks.succeeded, task, **kept)
                context.estimate.learn(task, result.cost_credit)
                return row, result
            if result is not None and result.status is TaskStatus.FAIL:
                return await self._failed(task, result), result
            ran = None if result is None else max(asked_at - began, 0.0)
            if task.state is TaskState.OVERDUE:
                answered = result is not None or task.id in self._denied
                return await self._still_overdue(task, answered=answered), None
            if context.clock() >= task.deadline_at:
                return await self._overdue(task), None

    async def _query(self, task: Task) -> TaskResult | None:
        """One query; None when there was no usable answer (which never fails a task)."""
        context = self._context
        self._denied.discard(task.id)
        async with context.querying:
            try:
                stage = context.by_key[task.stage]
                answer: TaskResult = await context.client.query(
                    stage.endpoint, str(task.topview_task_id)
                )
            except TaskUnknown:
                self._denied.add(task.id)
                return None
            except AccountError as error:
                self._gate.close(error)
                return None
            except QueryError:
                return None
            else:
                return answer

    async def _failed(self, task: Task, result: TaskResult) -> Task:
        message = without_queries(result.error_msg or "Topview gave no reason")
        wait = self._context.timing.retry * 2 ** (task.attempt - 1)
        return await self._moved(
            self._context.ledger.tasks.failed,
            task,
            code=None,
            message=message,
            retryable=_POLICY.search(message) is None,
            not_before=self._context.clock() + wait,
        )

    async def _overdue(self, task: Task) -> Task:
        minutes = (task.deadline_at - (task.pending_at or task.reserved_at)) / 60
        why = f"Topview has not finished it within {minutes:g} minutes"
        return await self._moved(self._context.ledger.tasks.overdue, task, why=why)

    async def _still_overdue(self, task: Task, *, answered: bool) -> Task:
        """Asked in vain; after 7 days Topview would have thrown the result away anyway.

        Only Topview's word counts: that nobody answered proves nothing.
        """
        await self._context.in_ledger(self._context.ledger.tasks.queried, task.id)
        await self._release(task)
        age = self._context.clock() - task.reserved_at
        if not answered or age <= KEPT_AT_TOPVIEW_SECONDS:
            return task
        expired = self._context.ledger.tasks.expired
        return await self._context.moved(expired, task, why="not finished within 7 days")

    async def _moved(self, move: Callable[..., Task], task: Task, **values: Any) -> Task:
        row = await self._context.moved(move, task, **values)
        self._context.activity.progress()
        self._slots.freed()
        return row
