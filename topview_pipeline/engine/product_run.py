"""One product's way through its stages: decide, upload, wait for a slot, submit, poll, download.

A coroutine for each product: nothing waits for the batch, and one product's trouble is its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Final

from topview_pipeline.engine.context import Context, ProductWork
from topview_pipeline.engine.decide import (
    Action,
    Circumstances,
    Decision,
    decide,
    generation_of,
)
from topview_pipeline.engine.download import row_of
from topview_pipeline.engine.events import (
    FIXES,
    Failed,
    Held,
    HoldReason,
    Made,
    Observed,
    ProductFailedError,
    ProductHeldError,
    StoppedError,
    UpstreamDeadError,
)
from topview_pipeline.engine.inputs import ProductInputs
from topview_pipeline.engine.poll import Poller
from topview_pipeline.engine.product_gate import ProductGate, Turns
from topview_pipeline.engine.reconcile import RunReconciler
from topview_pipeline.engine.slots import Slots
from topview_pipeline.engine.submit import Gate, Sent, Submitter
from topview_pipeline.engine.upload import Uploader, without_dead_ids
from topview_pipeline.ledger import (
    NO_REVIEW,
    AlreadyLive,
    Decided,
    IllegalMove,
    NoSlot,
    OverLimit,
    Reservation,
    Task,
    TaskState,
    without_price,
)
from topview_pipeline.ledger.health import trouble_of
from topview_pipeline.stages import (
    FileNeeded,
    Inputs,
    NoFaceError,
    PreconditionError,
    Stage,
    Upstream,
    WorkItem,
    fingerprint_of,
)
from topview_pipeline.store import Artifact, StoreError
from topview_pipeline.topview.errors import AccountError, QueryError
from topview_pipeline.topview.models import TaskRequest

AHEAD: Final = 8
"""Products beyond the slots whose files are uploaded ahead of their turn."""
_LONGEST_WAIT_IN_RUN: Final = 300.0
"""Seconds: a retry that is due later is left to a later run."""
_AGAIN_SECONDS: Final = 600.0
_HELD: Final[Mapping[Action, HoldReason]] = {
    Action.HOLD_UNKNOWN: HoldReason.UNKNOWN,
    Action.HOLD_OVERDUE: HoldReason.OVERDUE,
    Action.HOLD_EXPIRED: HoldReason.EXPIRED,
}
_UNFINISHED: Final = frozenset(
    {
        TaskState.RESERVED,
        TaskState.PENDING,
        TaskState.SUCCEEDED,
        TaskState.UNKNOWN,
        TaskState.OVERDUE,
    }
)


@dataclass
class Parts:
    """The parts of an engine that products use."""

    slots: Slots
    gate: Gate
    uploader: Uploader
    submitter: Submitter
    poller: Poller
    looks: RunReconciler
    turns: Turns
    ahead: dict[str, asyncio.Semaphore]
    """By stage: how many products may have uploaded their files and wait for a slot."""


class ProductRun:
    """Takes one product through the stages that are wanted for it."""

    def __init__(self, context: Context, parts: Parts, work: ProductWork) -> None:
        self._context = context
        self._parts = parts
        self._work = work
        self._product_id = work.product.product_id
        self._results: dict[str, Task] = {}
        self._review = NO_REVIEW
        """A person's word on the result that the work item is made from."""
        self._inputs = ProductInputs(
            work.product, context.reader, context.proofs, context.config.when_no_face
        )
        self._gate = ProductGate(context, parts.turns, work.product, self._inputs)
        self._works: dict[str, str] = {}
        self._observed: dict[str, str] = {}
        self._seen = 0
        """The newest row that the last decision knew; see `Reservation`."""
        self._generations: dict[str, int] = {}
        """Fixed generations: of a retry, and of what is made again because its ids died."""
        if work.retry_of is not None:
            self._generations[work.retry_of.stage] = work.retry_of.generation
        self.left = [stage for stage in context.stages if stage.key in work.stages]
        """The stages not yet ended, in order."""

    @property
    def chain(self) -> tuple[str, ...]:
        """Keys of the stages still to go."""
        return tuple(stage.key for stage in self.left)

    def wants(self, row: Task) -> bool:
        """Tells whether this product comes to the row by itself, as far as is known by now."""
        is_ours = row.product_id == self._product_id and row.stage in self.chain
        return is_ours and self._works.get(row.stage, row.work) == row.work

    async def run(self) -> None:
        """Make one stage after the other, and report how each ends."""
        self._parts.slots.line.expect(self.chain)
        try:
            await self._gate.begin(self.left)
            while self.left:
                stage = self.left[0]
                try:
                    await self._make(stage)
                except UpstreamDeadError as error:
                    self._make_upstream_again(stage, error)
                    continue
                self.left.pop(0)
                self._parts.slots.line.finished(stage.key)
        except PreconditionError as error:
            # A scene without a face keeps its place among the first: what is wrong may be its
            # template, and the next product's would be as bad.
            gives_up = not isinstance(error, NoFaceError)
            self._failed(error.what, error.fix, None, gives_up=gives_up)
        except ProductFailedError as error:
            self._failed(error.what, error.fix, error.task)
        except ProductHeldError as error:
            self._held(error)
        except StoppedError:
            pass
        finally:
            self._gate.leave()
            for stage in self.left:
                self._parts.slots.line.finished(stage.key)
            self._parts.slots.freed()

    async def _make(self, stage: Stage) -> None:
        """Get one stage's result into the store, step by step as `decide` says."""
        self._review = NO_REVIEW
        item = await self._item(stage)
        queued_at = self._context.clock()
        while True:
            of_work, review = await self._context.in_ledger(
                self._context.ledger.tasks.to_decide, item.work, self._made_of(stage)
            )
            if review != self._review:
                self._review = review
                item = await self._item(stage)
                continue
            self._seen = max((row.id for row in of_work), default=0)
            self._check_wanted(item, of_work)
            generation = self._generation(stage, of_work)
            rows = [row for row in of_work if row.generation == generation]
            decision = decide(rows, await self._circumstances(stage, rows))
            if decision.action is Action.REUSE and decision.row is not None:
                task: Task | None = decision.row
            elif decision.action is Action.SUBMIT:
                known = {row.topview_task_id for row in of_work}
                if await self._take_from_store(item, generation, known):
                    continue
                self._check_guarded(stage)
                before = self._results.get(stage.upstream or "")
                await self._gate.pass_(item, before, self._review)
                task = await self._submit(item, generation, decision.attempt, queued_at)
            else:
                task = await self._follow(decision)
            if task is not None and task.state is TaskState.STORED:
                break
        self._gate.leave(stage)
        if self._gate.wants_verdict(stage, len(self.left) - 1):
            task = await self._gate.measured(task, self._before(stage))
        self._results[stage.key] = task
        self._context.emit(Made(self._product_id, stage.key, task, item.input_versions))

    # What the stage is made from.

    async def _item(self, stage: Stage) -> WorkItem:
        """The stage's work item, from this run's upstream or what the product last made of it."""
        product = self._work.product
        with self._context.activity.asking():
            inputs = await self._inputs.of(stage)
        self._context.activity.progress()
        upstream = None
        if stage.upstream is not None:
            task = self._before(stage)
            if task is not None:
                before = self._before(self._context.by_key[stage.upstream])
                task = await self._gate.measured(task, before)
                upstream = Upstream(
                    task.fingerprint,
                    task.result or {},
                    tuple(Artifact.from_json(one) for one in task.artifacts or ()),
                    task.quality,
                )
                self._results[stage.upstream] = task
        item = stage.item(
            product,
            inputs,
            upstream,
            account=self._context.ledger.account,
            choice=self._review.image,
            when_no_face=self._context.config.when_no_face,
        )
        self._observe(stage, item.inputs)
        self._works[stage.key] = item.work
        return item

    def _before(self, stage: Stage) -> Task | None:
        """This run's result of the stage before, or what the product last made of it."""
        if stage.upstream is None:
            return None
        made = self._results.get(stage.upstream)
        return made or self._context.ledger.tasks.last_made(self._product_id, stage.upstream)

    def _made_of(self, stage: Stage) -> tuple[str, str] | None:
        """The product and the fingerprint of the result that the work item is made from."""
        task = self._results.get(stage.upstream or "")
        return None if task is None else (self._product_id, task.fingerprint)

    def _observe(self, stage: Stage, inputs: Inputs) -> None:
        """Report the version before anything is made from it."""
        if self._observed.get(stage.source) != inputs.version:
            self._observed[stage.source] = inputs.version
            self._context.emit(Observed(self._product_id, {stage.source: inputs.version}))

    def _check_wanted(self, item: WorkItem, rows: Sequence[Task]) -> None:
        """A failed attempt is not made again once other inputs or force took its place.

        Args:
            rows: all rows of the work.
        """
        retry = self._work.retry_of
        if retry is None:
            return
        tried = (row.generation for row in rows if row.state is not TaskState.VOID)
        if item.work != retry.work or max(tried, default=0) > retry.generation:
            raise StoppedError

    def _check_guarded(self, stage: Stage) -> None:
        """Raises ProductHeldError where a new task needs the guard of the next plan."""
        if self._work.keep_made and self._last_made_id(stage.key) is not None:
            raise ProductHeldError(
                HoldReason.WAITING,
                f"{stage.source} changed since {stage.key} was made, and its server answered too "
                "late for the plan",
                fix="run again: the next plan knows the change",
            )

    def _generation(self, stage: Stage, rows: Sequence[Task]) -> int:
        """The generation that is wanted of the work with these rows.

        Raises:
            ProductFailedError: another run's task of it is unfinished: force would pay twice.
        """
        if stage.key in self._generations:
            return self._generations[stage.key]
        root = self._context.run.root_run_id
        if self._work.force and all(row.root_run_id != root for row in rows):
            for row in rows:
                if row.state in _UNFINISHED:
                    raise ProductFailedError(
                        f"force would pay a second time: task row {row.id} of the same work is "
                        f"{row.state.value}",
                        "run again without force, or with force when that task has ended",
                        row,
                    )
        return generation_of(
            rows,
            self._product_id,
            pipeline=self._context.ledger.pipeline,
            force=self._work.force,
            root_run_id=root,
            last_made=lambda: self._last_made_id(stage.key),
            asked_again=lambda generation: self._is_asked_again(rows, generation),
        )

    def _is_asked_again(self, rows: Sequence[Task], generation: int) -> bool:
        made = [row.fingerprint for row in rows if row.generation == generation]
        reviews = self._context.ledger.reviews
        return bool(made) and reviews.of(self._product_id, made[0]).decision == "again"

    def _last_made_id(self, stage_key: str) -> int | None:
        made = self._context.ledger.tasks.last_made(self._product_id, stage_key)
        return None if made is None else made.id

    async def _circumstances(self, stage: Stage, rows: Sequence[Task]) -> Circumstances:
        context = self._context
        there = {row.id for row in rows if await self._has_files(row)}
        return Circumstances(
            now=context.clock(),
            worker=context.worker,
            occasion=context.run.occasion or context.run.run_id,
            explicit=context.run.explicit,
            free=stage.free,
            submit_seconds=context.submit_seconds,
            is_alive=context.ledger.workers.is_alive,
            has_files=there.__contains__,
        )

    async def _has_files(self, row: Task) -> bool:
        if row.state is not TaskState.STORED:
            return False
        store = self._context.store
        artifacts = [Artifact.from_json(one) for one in row.artifacts or ()]
        try:
            return bool(artifacts) and all(
                [await self._context.offload(store.has, one) for one in artifacts]
            )
        except StoreError as error:
            raise self._store_trouble(error, row) from error

    def _store_trouble(self, error: StoreError, row: Task | None = None) -> ProductHeldError:
        until = self._context.clock() + _AGAIN_SECONDS
        return ProductHeldError(HoldReason.DOWNLOAD, str(error), until=until, task=row)

    async def _take_from_store(
        self, item: WorkItem, generation: int, known: Collection[str | None]
    ) -> bool:
        """Heal the ledger: what the store has of this work becomes a stored row, free.

        A forced repeat lies under the next generation; one that has no result is passed over.

        Args:
            known: Topview tasks that rows of the work have: what became of them is decided.
        """
        context = self._context
        found = False
        while True:
            fingerprint = fingerprint_of(item.work, generation)
            try:
                record = await context.offload(
                    context.store.find, context.ledger.account, fingerprint
                )
            except StoreError as error:
                raise self._store_trouble(error) from error
            generation += 1
            if record == "passed over":
                continue
            if record is None or record.topview_task_id in known:
                return found
            await context.in_ledger(context.ledger.tasks.heal, row_of(record))
            found = True

    # From a decision to a row.

    async def _follow(self, decision: Decision[Task]) -> Task | None:
        """Act on a row that exists; then it is decided again, unless it is stored."""
        action, row = decision.action, decision.row
        if row is None:
            raise TypeError(f"{action} without a row")
        tasks, worker = self._context.ledger.tasks, self._context.worker
        if action in (Action.POLL, Action.DOWNLOAD, Action.ASK):
            ask_now = not self._parts.poller.is_polling(row.id) and row.worker != worker
            mine = await self._context.in_ledger(tasks.adopt, row.id, worker=worker)
            if mine is None or mine.state is not row.state:
                await self._wait_for_other_worker()
                return None
            return await self._parts.poller.finish(mine, ask_now=ask_now)
        if action is Action.WAIT:
            await self._wait_for_other_worker()
        elif action is Action.LOST:
            await self._context.in_ledger(tasks.mark_lost, row, who=worker)
        elif action is Action.VOID:
            with contextlib.suppress(IllegalMove):
                why = "free, and past its deadline without an answer"
                await self._context.in_ledger(tasks.void, row.id, why=why, who=worker)
        elif action is Action.HOLD_RETRY:
            await self._wait_for_retry(decision, row)
        elif not (action is Action.HOLD_UNKNOWN and await self._parts.looks.is_settled(row)):
            raise self._ending(decision, row)
        return None

    async def _wait_for_other_worker(self) -> None:
        """Wait up to a second: another worker has the row."""
        await asyncio.sleep(min(self._context.config.poll_seconds, 1.0))

    async def _wait_for_retry(self, decision: Decision[Task], row: Task) -> None:
        wait = (decision.until or 0.0) - self._context.clock()
        if wait > min(_LONGEST_WAIT_IN_RUN, self._context.config.wait_seconds):
            what = row.error_message or "failed"
            raise ProductHeldError(HoldReason.RETRY, what, until=decision.until, task=row)
        await asyncio.sleep(max(wait, 0.0))

    def _ending(self, decision: Decision[Task], row: Task) -> ProductHeldError | ProductFailedError:
        """The decisions that end a stage without a result."""
        what, fix = trouble_of(row) or (f"it is {row.state.value}", "")
        reason = _HELD.get(decision.action)
        if reason is None:
            if row.run_id != self._context.run.run_id:
                when = datetime.fromtimestamp(row.closed_at or row.reserved_at, timezone.utc)
                what = f"{what} ({when:%Y-%m-%d %H:%M} UTC)"
            return ProductFailedError(what, fix, row)
        why = self._parts.looks.why_left(row) if reason is HoldReason.UNKNOWN else None
        what = what if why is None else f"{what} ({why})"
        return ProductHeldError(reason, what, until=decision.until, task=row, fix=fix)

    def _command(self, *stages_and_options: Stage | str) -> str:
        words = [
            word if isinstance(word, str) else f"--stage {word.key}" for word in stages_and_options
        ]
        product = f"--product {shlex.quote(self._product_id)}"
        return " ".join(["topview-pipeline run", product, *words])

    def _make_upstream_again(self, stage: Stage, error: UpstreamDeadError) -> None:
        """Topview forgot the upstream's ids: its next generation is made, if it was asked for."""
        upstream = self._context.by_key[str(stage.upstream)]
        dead = self._results.pop(upstream.key)
        asked = self._work.asked or self._work.stages
        if upstream.key not in asked or upstream.key in self._generations:
            raise ProductFailedError(
                str(error), f"make both again: {self._command(upstream, stage)}", dead
            ) from error
        self._generations[upstream.key] = dead.generation + 1
        self.left.insert(0, upstream)
        self._parts.slots.line.expect((upstream.key,))

    # From nothing to a task at Topview.

    async def _submit(
        self, item: WorkItem, generation: int, attempt: int, queued_at: float
    ) -> Task | None:
        """Upload, wait for a slot, reserve, submit and poll; None: the rows say what comes next."""
        self._check_not_stopped()
        await self._parts.gate.passed()
        stage = item.stage
        if not stage.free:
            # A paid task is not made for a later stage that could not be paid.
            for later in self.left[1:]:
                self._check_priced(later)
        with self._context.activity.asking():
            await self._inputs.prove(stage, item.mode, self.left[1:])
        files = stage.files(item)
        sent = await self._send(item, files, generation, attempt, queued_at)
        if sent is Sent.UPSTREAM_GONE:
            if await self._is_upstream_gone(item):
                raise UpstreamDeadError(
                    f"Topview no longer knows the result of {stage.upstream} that this product has"
                )
            sent = await self._send(
                item, without_dead_ids(files), generation, attempt, queued_at, is_last=True
            )
        return await self._parts.poller.finish(sent) if isinstance(sent, Task) else None

    def _check_not_stopped(self) -> None:
        if self._context.stopping:
            raise StoppedError

    def _check_priced(self, stage: Stage) -> None:
        """Raises ProductHeldError under a limit while nothing says what the stage costs."""
        context, limit = self._context, self._run_limit
        if limit is None and context.config.credit_limit is None:
            return
        found = context.estimate(stage, stage.likely_mode(self._work.product), None)
        if found.credits is None:
            raise _over(without_price(found.source, limit, context.clock()))

    @property
    def _run_limit(self) -> float | None:
        retry = self._work.retry_of
        return self._context.run.credit_limit if retry is None else retry.credit_limit

    async def _is_upstream_gone(self, item: WorkItem) -> bool:
        context = self._context
        try:
            with context.activity.asking():
                return await item.stage.upstream_is_gone(
                    context.client, item, sleep=asyncio.sleep, wait=context.timing.network
                )
        except AccountError as error:
            self._parts.gate.close(error)
            self._parts.gate.check()
            raise
        except QueryError as error:
            what = f"an id in the request is gone, and which one could not be found out: {error}"
            until = context.clock() + _AGAIN_SECONDS
            raise ProductHeldError(HoldReason.WAITING, what, until=until) from error

    async def _send(
        self,
        item: WorkItem,
        files: Sequence[FileNeeded],
        generation: int,
        attempt: int,
        queued_at: float,
        *,
        is_last: bool = False,
    ) -> Task | Sent:
        """Upload, reserve and POST once; the accepted row, or what came of it."""
        stage = item.stage
        async with self._parts.ahead[stage.key] if files else nullcontext():
            self._check_not_stopped()
            self._parts.gate.check()
            try:
                ids = await self._parts.uploader.ids_for(files)
            except AccountError as error:
                self._parts.gate.close(error)
                self._parts.gate.check()
                raise
            request = stage.request(item, ids.by_role)
            reservation = await self._reservation(item, request, generation, attempt, queued_at)
            answer = await self._parts.slots.reserve(self.chain, reservation)
        if isinstance(answer, (AlreadyLive, Decided, NoSlot)):
            return Sent.DECIDE
        if isinstance(answer, OverLimit):
            raise _over(answer)
        try:
            self._check_not_stopped()
            self._parts.gate.check()
        except BaseException:
            await self._parts.slots.void_unsent(answer.task)
            raise
        ids_of_ours = () if is_last else (*ids.ours, *stage.provider_ids(item))
        sent = await self._parts.submitter.send(answer.task, stage, request, ids_of_ours)
        if sent is Sent.UPSTREAM_GONE:
            await self._parts.uploader.forget(ids)
        return sent

    async def _reservation(
        self, item: WorkItem, request: TaskRequest, generation: int, attempt: int, queued_at: float
    ) -> Reservation:
        context, stage = self._context, item.stage
        run, retry = context.run, self._work.retry_of
        made_of = self._results.get(stage.upstream or "")
        seconds = await self._inputs.recorded(stage)
        if seconds is None:
            seconds = stage.speech_seconds(self._work.product)
        return Reservation(
            stage=stage.key,
            product_id=self._product_id,
            work=item.work,
            generation=generation,
            fingerprint=fingerprint_of(item.work, generation),
            attempt=attempt,
            run_id=run.run_id,
            root_run_id=run.root_run_id if retry is None else retry.root_run_id,
            worker=context.worker,
            request=request.wire(),
            inputs=item.input_versions,
            mode=item.mode,
            seconds=seconds,
            credit_limit=self._run_limit,
            queued_at=queued_at,
            deadline_seconds=context.deadline(stage),
            seen=self._seen,
            recipe=await self._gate.recipe(stage),
            made_of=None if made_of is None else (made_of.fingerprint, self._review),
        )

    # How it ends.

    def _failed(self, what: str, fix: str, task: Task | None, *, gives_up: bool = True) -> None:
        self._gate.leave(failed=gives_up)
        first, *later = self.left
        self._context.emit(Failed(self._product_id, first.key, what, fix, task))
        for stage in later:
            what = f"{first.key} of this product failed"
            self._context.emit(Failed(self._product_id, stage.key, what, fix))

    def _held(self, error: ProductHeldError) -> None:
        first, *later = self.left
        self._context.emit(
            Held(
                self._product_id,
                first.key,
                error.reason,
                error.what,
                error.fix,
                error.until,
                error.task,
            )
        )
        self._report_waiting(later, f"waits for {first.key}", error.until)

    def hold_rest(self, reason: HoldReason, what: str) -> None:
        """The run's wait time is over: report the remaining stages as held."""
        first, *later = self.left
        self._context.emit(Held(self._product_id, first.key, reason, what, FIXES[reason]))
        self._report_waiting(later, f"waits for {first.key}", None)

    def _report_waiting(self, stages: Sequence[Stage], what: str, until: float | None) -> None:
        reason = HoldReason.UPSTREAM
        for stage in stages:
            self._context.emit(
                Held(self._product_id, stage.key, reason, what, FIXES[reason], until)
            )


def _over(answer: OverLimit) -> ProductHeldError:
    reason = HoldReason.DAY_LIMIT if answer.of == "day" else HoldReason.RUN_LIMIT
    return ProductHeldError(reason, answer.detail, until=answer.until, fix=answer.fix)
