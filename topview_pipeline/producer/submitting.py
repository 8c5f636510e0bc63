"""The POST: send a reserved row, and write down what came of it.

Whatever happens here ends in a move of the row; the class of the error decides which.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection
from enum import Enum
from typing import Any

from topview_pipeline.ledger import IllegalMove, LedgerUnavailable, Task, TaskState
from topview_pipeline.producer.account import note_credits, pause_account, stop_submits
from topview_pipeline.producer.desk import Desk
from topview_pipeline.producer.dispatch import Dispatcher
from topview_pipeline.stages import Stage
from topview_pipeline.stages.requests import Request
from topview_pipeline.topview.errors import (
    AccountError,
    Ambiguous,
    NotSent,
    Refused,
    Rejected,
    SubmitError,
    UpstreamGone,
)
from topview_pipeline.topview.models import Submitted

SLOTS_FULL = "4007"
_KEEP_TRYING_SECONDS = 60.0


class Sent(Enum):
    """What a POST that gave no task came to, for the flow of its product."""

    AGAIN = "again"
    """Nothing was created: the row is released, the work may be reserved again."""
    UPSTREAM_GONE = "upstream gone"
    """Nothing was created: an id in the request is dead."""
    DECIDE = "decide"
    """The row says it: rejected or unknown."""
    PAUSED = "paused"
    """The account was refused: nothing was created, all submits stop."""


class Submitter:
    """Sends reserved rows."""

    def __init__(self, desk: Desk, dispatcher: Dispatcher) -> None:
        self._desk = desk
        self._dispatcher = dispatcher
        self._network_wait = desk.config.network_seconds
        self.last_trouble: str | None = None
        """Why Topview takes nothing at the moment, whatever the product."""

    async def send(
        self, task: Task, stage: Stage, request: Request, ids_of_ours: Collection[str]
    ) -> Task | Sent:
        """Send a row reserved a moment ago; the accepted row, or why there is none."""
        # Busy until the answer is written down: a producer that ends waits for that.
        with self._desk.activity.busy():
            try:
                submitted = await self._call(stage)(request, ids_of_ours=ids_of_ours)
            except SubmitError as error:
                return await self._refused(task, error)
            except BaseException:
                # Whatever cut the call off, the request may have left: only Topview can tell.
                self._end(task, TaskState.UNKNOWN, "the submit was interrupted; it may be paid")
                raise
            accepted = await self._keep(task, submitted.task_id)
        self._network_wait = self._desk.config.network_seconds
        self.last_trouble = None
        self._desk.activity.progress()
        return accepted

    def _call(self, stage: Stage) -> Callable[..., Awaitable[Submitted]]:
        client: Any = self._desk.client
        submit: Callable[..., Awaitable[Submitted]] = getattr(client, f"submit_{stage.kind}")
        return submit

    async def _keep(self, task: Task, topview_task_id: str) -> Task | Sent:
        """Write the task id down. It is paid for: a ledger in trouble is asked again."""
        give_up = self._desk.ticks() + _KEEP_TRYING_SECONDS
        while True:
            try:
                return self._desk.ledger.tasks.accepted(task.id, topview_task_id, who=self._desk.me)
            except IllegalMove as error:
                self._end(task, TaskState.UNKNOWN, str(error))
                return Sent.DECIDE
            except LedgerUnavailable as error:
                if self._desk.ticks() >= give_up:
                    raise LedgerUnavailable(
                        f"{error} Task row {task.id} was accepted as Topview task "
                        f"{topview_task_id}, which could not be written down."
                    ) from error
                await asyncio.sleep(1.0)

    async def _refused(self, task: Task, error: SubmitError) -> Sent:
        if isinstance(error, NotSent):
            self.last_trouble = str(error)
            self._release(task, error)
            self._dispatcher.back_off(self._network_wait)
            self._network_wait = min(self._network_wait * 2, 60.0)
            return Sent.AGAIN
        if isinstance(error, Refused):
            self.last_trouble = str(error)
            self._release(task, error)
            return self._wait_for_topview(error)
        if isinstance(error, UpstreamGone):
            self._release(task, error)
            return Sent.UPSTREAM_GONE
        if isinstance(error, AccountError):
            stop_submits(self._desk, error)
            self._release(task, error)
            await note_credits(self._desk)
            return Sent.PAUSED
        if isinstance(error, Rejected):
            self._reject(task, error)
            return Sent.DECIDE
        if not isinstance(error, Ambiguous):
            raise TypeError(f"no rule for {type(error).__name__} at submit") from error
        self._end(task, TaskState.UNKNOWN, str(error))
        return Sent.DECIDE

    def _wait_for_topview(self, error: Refused) -> Sent:
        if error.code == SLOTS_FULL:
            self._desk.ledger.accounts.shrink_slots(self._desk.ledger.tasks.slots_held())
        self._dispatcher.back_off(
            self._desk.config.busy_seconds if error.retry_after is None else error.retry_after
        )
        return Sent.AGAIN

    async def pause(self, error: AccountError) -> None:
        """The account was refused outside a submit: all its submits stop."""
        await pause_account(self._desk, error)
        self._dispatcher.freed()

    def _reject(self, task: Task, error: Rejected) -> None:
        try:
            self._desk.ledger.tasks.failed(
                task.id,
                code=error.code,
                message=str(error),
                retryable=False,
                not_before=None,
                who=self._desk.me,
            )
        except IllegalMove:
            # Somebody took the row for unknown, as it was as old as a submit can be. It was
            # refused all the same: released, the work is sent once more and refused once more.
            self._release(task, error)
        self._dispatcher.freed()

    def _release(self, task: Task, error: SubmitError) -> None:
        self._end(task, TaskState.RELEASED, str(error))

    def _end(self, task: Task, state: TaskState, why: str) -> None:
        # A row that somebody took for unknown meanwhile stays where he, or a person, moved it.
        with contextlib.suppress(IllegalMove):
            self._desk.ledger.tasks.ended(task.id, state, why=why, who=self._desk.me)
        self._dispatcher.freed()
