"""The account's gate, and submits: upload, reserve, POST, and write down what came of it.

Every POST ends in a move of its row; the class of the error decides which.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, Final

from topview_pipeline.engine.context import Context
from topview_pipeline.engine.events import (
    HoldReason,
    ProductHeldError,
    StoppedError,
    UpstreamDeadError,
)
from topview_pipeline.engine.slots import Slots
from topview_pipeline.engine.upload import Uploader, without_dead_ids
from topview_pipeline.ledger import (
    AlreadyLive,
    Decided,
    IllegalMove,
    LedgerUnavailable,
    NoSlot,
    OverLimit,
    Reservation,
    Task,
    TaskState,
)
from topview_pipeline.stages import FileNeeded, Stage, WorkItem
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
from topview_pipeline.topview.models import TaskRequest

_AHEAD: Final = 8
"""Products of a stage beyond the slots that have uploaded their files and wait for a slot."""
_AGAIN_SECONDS: Final = 600.0
_KEEP_TRYING_SECONDS: Final = 60.0
_LONGEST_WAIT_SECONDS: Final = 60.0
_STRANGE_ANSWERS: Final = 3
"""Answers that are not Topview's, until the base URL counts as wrong: a gateway in trouble answers
with a page of its own, too."""


class AccountGate:
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
        """Wait until Topview answers for the account. Raises NotTopview, and what `check` does."""
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
        """Raises ProductHeldError once the account was refused, StoppedError in a stopped run."""
        if self.refused is not None:
            raise ProductHeldError(HoldReason.ACCOUNT, self.refused)
        if self._context.stopping:
            raise StoppedError


class Submitter:
    """Uploads, reserves and sends."""

    def __init__(self, context: Context, slots: Slots, gate: AccountGate) -> None:
        self._context = context
        self._slots = slots
        self._gate = gate
        self._uploader = Uploader(context)
        most = context.config.slots + _AHEAD
        self._ahead = {key: asyncio.Semaphore(most) for key in context.by_key}
        self._network_wait = context.timing.network
        self.trouble: str | None = None
        """Why Topview accepts nothing at the moment, whatever the product."""
        self.unwritten: dict[int, str] = {}
        """Accepted and not yet in the ledger: Topview's task ids by task row."""

    async def submit(
        self, item: WorkItem, wanted: Reservation, chain: Sequence[str]
    ) -> Task | None:
        """Upload, reserve in a slot, and POST; the accepted row. None: the rows say what is next.

        Args:
            wanted: without its request.
            chain: the stages that the product still goes through.

        Raises:
            UpstreamDeadError: Topview forgot what the work item is made from.
        """
        files = item.stage.files(item)
        try:
            return await self._send(item, wanted, chain, files)
        except UpstreamGone as error:
            if await self._is_upstream_gone(item):
                noun = self._context.by_key[str(item.stage.upstream)].noun
                what = f"Topview no longer knows the {noun} of this product"
                raise UpstreamDeadError(what) from error
        return await self._send(item, wanted, chain, without_dead_ids(files), is_last=True)

    async def _send(
        self,
        item: WorkItem,
        wanted: Reservation,
        chain: Sequence[str],
        files: Sequence[FileNeeded],
        *,
        is_last: bool = False,
    ) -> Task | None:
        stage = item.stage
        async with self._ahead[stage.key] if files else nullcontext():
            self._gate.check()
            ids = await self._uploader.ids_for(files)
            request = stage.request(item, ids.by_role)
            wanted = replace(wanted, request=request.wire())
            answer = await self._slots.take(tuple(chain), wanted)
        if isinstance(answer, (AlreadyLive, Decided, NoSlot)):
            return None
        if isinstance(answer, OverLimit):
            raise over_limit(answer)
        try:
            self._gate.check()
        except BaseException:
            await self._slots.void_unsent(answer.task)
            raise
        ids_of_ours = () if is_last else (*ids.ours, *stage.provider_ids(item))
        try:
            return await self._post(answer.task, stage, request, ids_of_ours)
        except UpstreamGone:
            await self._uploader.forget(ids)
            raise

    async def _is_upstream_gone(self, item: WorkItem) -> bool:
        context = self._context
        try:
            with context.activity.asking():
                return await item.stage.upstream_is_gone(
                    context.client, item, sleep=asyncio.sleep, wait=context.timing.network
                )
        except AccountError:
            raise
        except QueryError as error:
            what = f"an id in the request is gone, and which one could not be found out: {error}"
            until = context.clock() + _AGAIN_SECONDS
            raise ProductHeldError(HoldReason.WAITING, what, until=until) from error

    async def _post(
        self, task: Task, stage: Stage, request: TaskRequest, ids_of_ours: Collection[str]
    ) -> Task | None:
        """Send a row that was reserved a moment ago; None: it was not accepted."""
        # Busy until the answer is written down: an engine that ends waits for that.
        with self._context.activity.submitting():
            try:
                submitted = await self._context.client.submit(
                    stage.endpoint, request, ids_of_ours=ids_of_ours
                )
            except SubmitError as error:
                await self._not_accepted(task, error)
                return None
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

    async def _keep(self, task: Task, topview_task_id: str, answer: Any) -> Task | None:
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
                return None
            except LedgerUnavailable:
                if context.ticks() >= give_up:
                    raise
                await asyncio.sleep(1.0)
            else:
                del self.unwritten[task.id]
                return kept

    def check_all_is_written(self, error: BaseException | None) -> None:
        """Raise LedgerUnavailable with the ids of tasks that the ledger could not write down."""
        if not self.unwritten:
            return
        lost = "; ".join(
            f"task row {row} was accepted as Topview task {topview_task_id}"
            for row, topview_task_id in self.unwritten.items()
        )
        raise LedgerUnavailable(
            f"{error or 'the run was stopped.'} The ledger could not record it: {lost}."
        ) from error

    async def _not_accepted(self, task: Task, error: SubmitError) -> None:
        """Move the row as the error's class says; see `topview.errors`."""
        tasks, timing, why = self._context.ledger.tasks, self._context.timing, str(error)
        if isinstance(error, Ambiguous):
            await self._unknown(task, why)
        elif isinstance(error, Rejected):
            more = {"code": error.code, "retryable": False, "not_before": None}
            if not await self._end(tasks.failed, task, message=why, **more):
                # Taken for unknown meanwhile, as it was as old as a submit can be. It was refused
                # all the same: void, it is sent once more and refused once more.
                await self._end(tasks.void, task, why=why)
        elif isinstance(error, UpstreamGone):
            await self._end(tasks.void, task, why=why)
            raise error
        elif isinstance(error, AccountError):
            self._gate.close(error)
            await self._end(tasks.void, task, why=why)
        elif isinstance(error, (NotSent, Refused)):
            self.trouble = why
            await self._end(tasks.void, task, why=why)
            wait = self._network_wait
            if isinstance(error, Refused):
                wait = timing.busy if error.retry_after is None else error.retry_after
                wait = max(wait, timing.network)
            else:
                self._network_wait = min(wait * 2, _LONGEST_WAIT_SECONDS)
            self._slots.back_off(wait)
        else:
            raise TypeError(f"no rule for {type(error).__name__} at submit") from error

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


def over_limit(answer: OverLimit) -> ProductHeldError:
    reason = HoldReason.DAY_LIMIT if answer.of == "day" else HoldReason.RUN_LIMIT
    return ProductHeldError(reason, answer.detail, until=answer.until, fix=answer.fix)
