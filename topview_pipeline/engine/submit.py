"""The account's gate, and the POST: send a reserved row, and write down what came of it.

Every POST ends in a move of its row; the class of the error decides which.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from enum import Enum
from typing import Any, Final

from topview_pipeline.engine.context import Context
from topview_pipeline.engine.events import HoldReason, ProductHeldError
from topview_pipeline.engine.slots import Slots
from topview_pipeline.ledger import IllegalMove, LedgerUnavailable, Task, TaskState
from topview_pipeline.stages import Stage
from topview_pipeline.stages.stage import unsigned
from topview_pipeline.topview.errors import (
    AccountError,
    Ambiguous,
    NotSent,
    NotTopview,
    QueryError,
    Refused,
    Rejected,
    SubmitError,
    UpstreamGone,
)

_KEEP_TRYING_SECONDS: Final = 60.0
_LONGEST_WAIT_SECONDS: Final = 60.0
_STRANGE_ANSWERS: Final = 3
"""Answers that are not Topview's, until the base URL counts as wrong: a gateway in trouble answers
with a page of its own, too."""


class Gate:
    """Opens once Topview has accepted the account, and closes for good after an account error.

    Uploads and submits pass it; polls and downloads do not. A wrong base URL makes no unknown rows.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = asyncio.Lock()
        self._is_open = False
        self.refused: str | None = None
        """Why the account was refused."""
        self.trouble: str | None = None
        """Why Topview does not answer at the moment."""

    def close(self, error: AccountError) -> None:
        """The account was refused: this run submits nothing more."""
        self.refused = self.refused or str(error)

    async def passed(self) -> None:
        """Wait until Topview answers for the account.

        Raises:
            ProductHeldError: the account is refused.
            NotTopview: the base URL is something else.
        """
        wait = self._context.timing.network
        strange = 0
        async with self._lock:
            self.check()
            while not self._is_open:
                try:
                    with self._context.activity.asking():
                        await self._context.client.check_account()
                except AccountError as error:
                    self.close(error)
                    self.check()
                except NotTopview:
                    strange += 1
                    if strange == _STRANGE_ANSWERS:
                        raise
                    await asyncio.sleep(wait)
                except QueryError as error:
                    self.trouble = str(error)
                    await asyncio.sleep(wait)
                    wait = min(wait * 2, _LONGEST_WAIT_SECONDS)
                else:
                    self._is_open = True
                    self.trouble = None
                    self._context.activity.progress()

    def check(self) -> None:
        """Raises ProductHeldError once the account was refused."""
        if self.refused is not None:
            raise ProductHeldError(HoldReason.ACCOUNT, self.refused)


class Sent(Enum):
    """Outcome of a POST that gave no task."""

    DECIDE = "decide"
    """The ledger's rows say what comes next."""
    UPSTREAM_GONE = "upstream gone"
    """Nothing was created: an id in the request is dead."""


class Submitter:
    """Sends reserved rows."""

    def __init__(self, context: Context, slots: Slots, gate: Gate) -> None:
        self._context = context
        self._slots = slots
        self._gate = gate
        self._network_wait = context.timing.network
        self.trouble: str | None = None
        """Why Topview accepts nothing at the moment, whatever the product."""
        self.unwritten: dict[int, str] = {}
        """Accepted and not yet in the ledger: Topview's task ids by task row."""

    async def send(
        self, task: Task, stage: Stage, request: Any, ids_of_ours: Collection[str]
    ) -> Task | Sent:
        """Send a row that was reserved a moment ago; the accepted row, or why there is none.

        Args:
            request: the stage's.
            ids_of_ours: ids in the request that Topview gave us, and that may have died.
        """
        # Busy until the answer is written down: an engine that ends waits for that.
        with self._context.activity.submitting():
            try:
                submitted = await self._context.client.submit(
                    stage.endpoint, request, ids_of_ours=ids_of_ours
                )
            except SubmitError as error:
                return await self._not_accepted(task, error)
            except BaseException:
                # The request may have left, whatever cut the call off: only Topview can tell.
                await self._unknown(task, "the submit was interrupted; it may be paid")
                raise
            more = {
                name: it for name, it in (submitted.model_extra or {}).items() if it is not None
            }
            accepted = await self._keep(task, submitted.task_id, unsigned(more))
            self._network_wait = self._context.timing.network
            self.trouble = None
            self._context.activity.progress()
            return accepted

    async def _keep(self, task: Task, topview_task_id: str, answer: Any) -> Task | Sent:
        """Write the task id down. It is paid for: a ledger in trouble is asked again.

        Until it is written it stands in `unwritten`, so that the run's last message can say it.
        """
        context = self._context
        give_up = context.ticks() + _KEEP_TRYING_SECONDS
        self.unwritten[task.id] = topview_task_id
        while True:
            try:
                kept = await context.in_ledger(
                    context.ledger.tasks.accepted,
                    task.id,
                    topview_task_id,
                    who=context.worker,
                    answer=answer,
                )
            except IllegalMove as error:
                await self._unknown(task, str(error))
                del self.unwritten[task.id]
                row = await context.in_ledger(context.ledger.tasks.get, task.id)
                if row.state is TaskState.VOID:
                    # A person gave it up while the answer was on its way: nothing is sent again
                    # before a person has seen this.
                    what = f"Topview accepted it as task {topview_task_id}, and {error}"
                    raise ProductHeldError(HoldReason.UNKNOWN, what, task=task) from error
                return Sent.DECIDE
            except LedgerUnavailable:
                if context.ticks() >= give_up:
                    raise
                await asyncio.sleep(1.0)
            else:
                del self.unwritten[task.id]
                return kept

    def check_all_is_written(self, error: BaseException | None) -> None:
        """Say the ids that only a message can still keep.

        Args:
            error: what ended the engine.

        Raises:
            LedgerUnavailable: Topview accepted tasks that the ledger could not write down.
        """
        if not self.unwritten:
            return
        lost = "; ".join(
            f"task row {row} was accepted as Topview task {topview_task_id}"
            for row, topview_task_id in self.unwritten.items()
        )
        raise LedgerUnavailable(
            f"{error or 'the run was stopped.'} The ledger could not record it: {lost}."
        ) from error

    async def _not_accepted(self, task: Task, error: SubmitError) -> Sent:
        """Move the row as the error's class says (design: errors decide)."""
        timing = self._context.timing
        if isinstance(error, Ambiguous):
            await self._unknown(task, str(error))
        elif isinstance(error, Rejected):
            await self._reject(task, error)
        elif isinstance(error, UpstreamGone):
            await self._void(task, error)
            return Sent.UPSTREAM_GONE
        elif isinstance(error, AccountError):
            self._gate.close(error)
            await self._void(task, error)
        elif isinstance(error, NotSent):
            self.trouble = str(error)
            await self._void(task, error)
            self._slots.back_off(self._network_wait)
            self._network_wait = min(self._network_wait * 2, _LONGEST_WAIT_SECONDS)
        elif isinstance(error, Refused):
            self.trouble = str(error)
            await self._void(task, error)
            wait = timing.busy if error.retry_after is None else error.retry_after
            self._slots.back_off(max(wait, timing.network))
        else:
            raise TypeError(f"no rule for {type(error).__name__} at submit") from error
        return Sent.DECIDE

    async def _reject(self, task: Task, error: Rejected) -> None:
        failed, why = self._context.ledger.tasks.failed, str(error)
        more = {"code": error.code, "retryable": False, "not_before": None}
        if not await self._end(failed, task, message=why, **more):
            # Taken for unknown meanwhile, as it was as old as a submit can be. It was refused all
            # the same: void, it is sent once more and refused once more.
            await self._void(task, error)

    async def _void(self, task: Task, error: SubmitError) -> None:
        await self._end(self._context.ledger.tasks.void, task, why=str(error))

    async def _unknown(self, task: Task, why: str) -> None:
        await self._end(self._context.ledger.tasks.unknown, task, why=why)

    async def _end(self, move: Callable[..., Task], task: Task, **values: Any) -> bool:
        """Move a row that got no task; False if somebody else moved it meanwhile."""
        try:
            await self._context.in_ledger(move, task.id, who=self._context.worker, **values)
        except IllegalMove:
            return False
        finally:
            self._slots.freed()
        return True
