"""The POST: send a reserved row, and write down what came of it.

Whatever happens here ends in a move of the row; the class of the error decides which.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from enum import Enum

from topview_pipeline.ledger import IllegalMove, LedgerUnavailable, Task, TaskState
from topview_pipeline.producer.account import note_credits, pause_account, stop_submits
from topview_pipeline.producer.desk import Desk
from topview_pipeline.producer.dispatch import Dispatcher
from topview_pipeline.stages.calls import submit
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
        self.unwritten: dict[int, str] = {}
        """Accepted and not yet in the ledger: Topview's task ids by task row."""

    async def send(self, task: Task, request: Request, ids_of_ours: Collection[str]) -> Task | Sent:
        """Send a row reserved a moment ago; the accepted row, or why there is none."""
        # Busy until the answer is written down: a producer that ends waits for that.
        with self._desk.activity.busy():
            try:
                submitted = await submit(self._desk.client, request, ids_of_ours=ids_of_ours)
            except SubmitError as error:
                refused = self._refused(task, error)
            except BaseException:
                # Whatever cut the call off, the request may have left: only Topview can tell.
                self._end(task, TaskState.UNKNOWN, "the submit was interrupted; it may be paid")
                raise
            else:
                accepted = await self._keep(task, submitted.task_id)
                self._network_wait = self._desk.config.network_seconds
                self.last_trouble = None
                self._desk.activity.progress()
                return accepted
        if refused is Sent.PAUSED:
            await note_credits(self._desk)
        return refused

    async def _keep(self, task: Task, topview_task_id: str) -> Task | Sent:
        """Write the task id down. It is paid for: a ledger in trouble is asked again.

        Until it is written it stands in `unwritten`, so that whoever ends the producer can say it.
        """
        give_up = self._desk.ticks() + _KEEP_TRYING_SECONDS
        self.unwritten[task.id] = topview_task_id
        while True:
            try:
                kept = self._desk.ledger.tasks.accepted(task.id, topview_task_id, who=self._desk.me)
            except IllegalMove as error:
                self._end(task, TaskState.UNKNOWN, str(error))
                del self.unwritten[task.id]
                return Sent.DECIDE
            except LedgerUnavailable:
                if self._desk.ticks() >= give_up:
                    raise
                await asyncio.sleep(1.0)
            else:
                del self.unwritten[task.id]
                return kept

    def check_all_is_written(self, error: BaseException | None) -> None:
        """The last word of a producer: the ids that only its message can still keep.

        Args:
            error: what ended the producer.

        Raises:
            LedgerUnavailable: Topview accepted tasks that the ledger could not take down.
        """
        if not self.unwritten:
            return
        lost = "; ".join(
            f"task row {row} was accepted as Topview task {topview_task_id}"
            for row, topview_task_id in self.unwritten.items()
        )
        raise LedgerUnavailable(
            f"{error or 'the run was stopped.'} Could not be written down: {lost}."
        ) from error

    def _refused(self, task: Task, error: SubmitError) -> Sent:
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
