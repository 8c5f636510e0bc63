"""From a task at Topview to files in the store: poll, download, book. Never submits.

Everything here can be done from the ledger's row alone, by any producer at any time.
"""

from __future__ import annotations

import asyncio
import re

from topview_pipeline.ledger import IllegalMove, Task, TaskState
from topview_pipeline.producer.account import pause_account
from topview_pipeline.producer.desk import Desk
from topview_pipeline.producer.dispatch import Dispatcher
from topview_pipeline.producer.fetching import (
    KEPT_AT_TOPVIEW_SECONDS,
    DownloadHeldError,
    Fetcher,
    expire,
)
from topview_pipeline.redaction import without_queries
from topview_pipeline.stages import BY_KEY
from topview_pipeline.stages.calls import query
from topview_pipeline.stages.results import TaskResult, kept
from topview_pipeline.topview.errors import AccountError, QueryError, TaskUnknown
from topview_pipeline.topview.models import TaskStatus

_POLICY = re.compile(
    r"polic|violat|sensitive|moderat|securit|prohibit|nsfw|inappropriate|illegal", re.IGNORECASE
)
"""Words of Topview's content refusals; Topview publishes no closed list."""


class Follower:
    """Follows tasks; two products that share one share its following too."""

    def __init__(self, desk: Desk, dispatcher: Dispatcher) -> None:
        self._desk = desk
        self._dispatcher = dispatcher
        self._denied: set[int] = set()
        self._fetcher = Fetcher(desk, self._query, lambda task: task.id in self._denied)
        self._running: dict[int, asyncio.Task[Task]] = {}

    async def to_the_end(
        self, task: Task, *, ask_now: bool = False, files_gone: bool = False
    ) -> Task:
        """Follow a pending, stalled or succeeded row until it is stored, failed or stalled.

        Args:
            task: the row.
            ask_now: query before waiting: somebody else submitted it a while ago.
            files_gone: a stored row is to be downloaded again.

        Raises:
            DownloadHeldError: it is finished and cannot be brought into the store now.
        """
        running = self._running.get(task.id)
        if running is None:
            running = asyncio.create_task(self._follow(task, ask_now, files_gone))
            self._running[task.id] = running
            running.add_done_callback(lambda _: self._running.pop(task.id, None))
        return await asyncio.shield(running)

    def follows(self, task_id: int) -> bool:
        """Whether this producer is following the row now."""
        return task_id in self._running

    async def stop(self) -> None:
        """Let go of all tasks; their rows stay as they are."""
        running = list(self._running.values())
        for following in running:
            following.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _follow(self, task: Task, ask_now: bool, files_gone: bool) -> Task:
        result: TaskResult | None = None
        if task.state in (TaskState.PENDING, TaskState.STALLED):
            task, result = await self._poll(task, ask_now)
        if task.state is TaskState.STORED and files_gone:
            task = self._desk.ledger.tasks.lost_from_store(
                task.id, detail="a file of it is gone", who=self._desk.me
            )
        if task.state is not TaskState.SUCCEEDED:
            return task
        try:
            return await self._fetcher.fetch(task, result)
        except DownloadHeldError:
            # This run lives on: another one must not wait for it to try again.
            self._desk.ledger.tasks.let_go(task.id, owner=self._desk.me)
            raise

    async def _poll(self, task: Task, ask_now: bool) -> tuple[Task, TaskResult | None]:
        plan = self._desk.plans[task.stage]
        began = task.pending_at or task.reserved_at
        # How long it was seen to run by the last look. None: it was not seen, as when somebody else
        # submitted it a while ago, or no usable answer came: it may have ended any time since.
        ran = None if ask_now else 0.0
        while True:
            asked_at = self._desk.clock()
            if not ask_now:
                longest = max(task.deadline_at - asked_at, self._desk.config.poll_seconds)
                await asyncio.sleep(min(plan.delay(asked_at - began), longest))
                asked_at = self._desk.clock()
            ask_now = False
            with self._desk.activity.asking():
                result = await self._query(task)
            if result is not None and result.status is TaskStatus.SUCCESS:
                if ran is not None and task.state is TaskState.PENDING:
                    # It ended somewhere between the last two looks: else our own lag is learnt.
                    plan.learn((ran + self._desk.clock() - began) / 2)
                self._desk.learn_cost(task, result.cost_credit)
                return self._succeeded(task, result), result
            if result is not None and result.status is TaskStatus.FAIL:
                return self._failed(task, result), result
            ran = None if result is None else max(asked_at - began, 0.0)
            if task.state is TaskState.STALLED:
                answered = result is not None or task.id in self._denied
                return self._still_stalled(task, answered=answered), None
            if self._desk.clock() >= task.deadline_at:
                return self._stalled(task), None

    async def _query(self, task: Task) -> TaskResult | None:
        """One question; None when there was no usable answer (which never fails a task)."""
        stage = BY_KEY[task.stage]
        self._denied.discard(task.id)
        async with self._desk.queries:
            try:
                return await query(self._desk.client, stage, str(task.topview_task_id))
            except TaskUnknown:
                self._denied.add(task.id)
                return None
            except AccountError as error:
                if self._desk.ledger.accounts.pause() is None:
                    await pause_account(self._desk, error)
                return None
            except QueryError:
                return None

    def _succeeded(self, task: Task, result: TaskResult) -> Task:
        try:
            row = self._desk.ledger.tasks.succeeded(
                task.id, result=kept(result), cost_credits=result.cost_credit, who=self._desk.me
            )
        except IllegalMove:  # another producer saw it first
            row = self._desk.ledger.tasks.get(task.id)
        self._moved()
        return row

    def _failed(self, task: Task, result: TaskResult) -> Task:
        message = without_queries(result.error_msg or "Topview gave no reason")
        wait = self._desk.config.retry_seconds * 2 ** (task.attempt - 1)
        try:
            row = self._desk.ledger.tasks.failed(
                task.id,
                code=None,
                message=message,
                retryable=_POLICY.search(message) is None,
                not_before=self._desk.clock() + wait,
                who=self._desk.me,
            )
        except IllegalMove:
            row = self._desk.ledger.tasks.get(task.id)
        self._moved()
        return row

    def _still_stalled(self, task: Task, *, answered: bool) -> Task:
        """Asked in vain; after 7 days Topview would have thrown the result away anyway.

        Only Topview's word counts: that nobody answered proves nothing.
        """
        self._desk.ledger.tasks.queried(task.id)
        if not answered or self._desk.clock() - task.reserved_at <= KEPT_AT_TOPVIEW_SECONDS:
            return task
        return expire(self._desk, task, "not finished within 7 days")

    def _stalled(self, task: Task) -> Task:
        minutes = (task.deadline_at - task.reserved_at) / 60
        try:
            row = self._desk.ledger.tasks.ended(
                task.id,
                TaskState.STALLED,
                why=f"Topview has not finished it within {minutes:g} minutes",
                who=self._desk.me,
            )
            self._desk.ledger.tasks.queried(task.id)
        except IllegalMove:
            row = self._desk.ledger.tasks.get(task.id)
        self._moved()
        return row

    def _moved(self) -> None:
        self._desk.activity.progress()
        self._dispatcher.freed()
