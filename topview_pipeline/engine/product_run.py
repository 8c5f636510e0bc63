"""One product's way through its stages: decide, upload, wait for a slot, submit, poll, download.

A coroutine for each product: nothing waits for the batch, and one product's trouble is its own.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping, Sequence
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
    why_not_forced,
)
from topview_pipeline.engine.download import has_files, heal
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
from topview_pipeline.engine.submit import AccountGate, Submitter, over_limit
from topview_pipeline.ledger import (
    NO_REVIEW,
    Reservation,
    Task,
    TaskState,
    ToDecide,
    without_price,
)
from topview_pipeline.ledger.health import trouble_of
from topview_pipeline.stages import PreconditionError, Stage, Upstream, WorkItem, fingerprint_of
from topview_pipeline.store import Artifact
from topview_pipeline.topview.errors import AccountError

_LONGEST_WAIT_IN_RUN: Final = 300.0
"""Seconds: a retry that is due later is left to a later run."""
_HELD: Final[Mapping[Action, HoldReason]] = {
    Action.HOLD_UNKNOWN: HoldReason.UNKNOWN,
    Action.HOLD_OVERDUE: HoldReason.OVERDUE,
    Action.HOLD_EXPIRED: HoldReason.EXPIRED,
}


@dataclass
class Parts:
    """The parts of an engine that its products share."""

    slots: Slots
    gate: AccountGate
    submitter: Submitter
    poller: Poller
    looks: RunReconciler
    turns: Turns


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
        self._queued_at = 0.0
        self._inputs = ProductInputs(work.product, context.reader, context.proofs)
        self._gate = ProductGate(context, parts.turns, work.product, self._inputs)
        self._works: dict[str, str] = {}
        self._observed: dict[str, str] = {}
        self._generations: dict[str, int] = {}
        """Fixed generations: of a retry, and of what is made again because its ids died."""
        if work.retry_of is not None:
            self._generations[work.retry_of.stage] = work.retry_of.generation
        self.left = [stage for stage in context.stages if stage.key in work.stages]
        """The stages not yet ended, in order."""

    @property
    def chain(self) -> tuple[str, ...]:
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
            self._failed(error.what, error.fix, None)
        except ProductFailedError as error:
            self._failed(error.what, error.fix, error.task)
        except ProductHeldError as error:
            self._held(error)
        except AccountError as error:
            self._parts.gate.close(error)
            self._held(ProductHeldError(HoldReason.ACCOUNT, self._parts.gate.refused or str(error)))
        except StoppedError:
            pass
        finally:
            self._gate.leave()
            for stage in self.left:
                self._parts.slots.line.finished(stage.key)
            self._parts.slots.freed()

    async def _make(self, stage: Stage) -> None:
        """Get one stage's result into the store, step by step as `decide` says."""
        made = await self._before(stage)
        self._review = NO_REVIEW
        if made is not None:  # what a person said since then comes with the rows of the work
            self._review = self._parts.turns.review_of(self._product_id, made.fingerprint)
        item, self._queued_at = await self._item(stage), self._context.clock()
        while True:
            before = self._results.get(stage.upstream or "")
            found = await self._context.look(
                self._context.ledger.tasks.to_decide,
                item.work,
                self._product_id,
                None if before is None else before.fingerprint,
            )
            if found.review != self._review:
                self._review = found.review
                item = await self._item(stage)
                continue
            self._check_wanted(item, found.rows)
            generation = self._generation(stage, found)
            rows = [row for row in found.rows if row.generation == generation]
            decision = decide(rows, await self._circumstances(stage, rows))
            if decision.action is Action.REUSE and decision.row is not None:
                task: Task | None = decision.row
            elif decision.action is Action.SUBMIT:
                known = {row.topview_task_id for row in found.rows}
                if await heal(self._context, item, generation, known):
                    continue
                task = await self._new_task(item, before, found.rows, generation, decision.attempt)
            else:
                task = await self._follow(decision)
            if task is not None and task.state is TaskState.STORED:
                break
        self._gate.leave(stage)
        if self._gate.wants_verdict(stage, len(self.left) - 1):
            task = await self._gate.measured(task, await self._before(stage))
        self._results[stage.key] = task
        self._context.emit(Made(self._product_id, stage.key, task, item.input_versions))

    # What the stage is made from.

    async def _item(self, stage: Stage) -> WorkItem:
        """The stage's work item, from this run's upstream or what the product last made of it."""
        context = self._context
        with context.activity.asking():
            inputs = await self._inputs.of(stage)
        context.activity.progress()
        upstream = None
        task = await self._before(stage)
        if task is not None:
            made_of = await self._before(context.by_key[task.stage])
            task = self._results[task.stage] = await self._gate.measured(task, made_of)
            upstream = Upstream(
                task.fingerprint,
                task.result or {},
                tuple(Artifact.from_json(one) for one in task.artifacts or ()),
                task.quality,
            )
        item = stage.item(
            self._work.product,
            inputs,
            upstream,
            account=context.ledger.account,
            choice=self._review.image,
            when_no_face=context.config.when_no_face,
        )
        if self._observed.get(stage.source) != item.inputs.version:
            self._observed[stage.source] = item.inputs.version
            context.emit(Observed(self._product_id, {stage.source: item.inputs.version}))
        self._works[stage.key] = item.work
        return item

    async def _before(self, stage: Stage) -> Task | None:
        """This run's result of the stage before, or what the product last made of it."""
        if stage.upstream is None:
            return None
        return self._results.get(stage.upstream) or await self._last_made(stage.upstream)

    async def _last_made(self, stage: str) -> Task | None:
        last_made = self._context.ledger.tasks.last_made
        return await self._context.look(last_made, self._product_id, stage)

    # What the rows of the work say.

    def _check_wanted(self, item: WorkItem, rows: Sequence[Task]) -> None:
        """A failed attempt is not made again once other inputs or force took its place."""
        retry = self._work.retry_of
        if retry is None:
            return
        tried = (row.generation for row in rows if row.state is not TaskState.VOID)
        if item.work != retry.work or max(tried, default=0) > retry.generation:
            raise StoppedError

    def _generation(self, stage: Stage, found: ToDecide) -> int:
        """The generation that is wanted of the work; force fails where it would pay twice."""
        if stage.key in self._generations:
            return self._generations[stage.key]
        root = self._context.run.root_run_id
        if self._work.force and (why_not := why_not_forced(found.rows, root)) is not None:
            row, what, fix = why_not
            raise ProductFailedError(what, fix, row)
        return generation_of(
            found.rows,
            self._product_id,
            pipeline=self._context.ledger.pipeline,
            force=self._work.force,
            root_run_id=root,
            last_made=found.last_made,
            again=found.again,
        )

    async def _circumstances(self, stage: Stage, rows: Sequence[Task]) -> Circumstances:
        context = self._context
        there = {row.id for row in rows if await has_files(context, row)}
        alive: set[str] = set()
        if any(row.worker not in (None, context.worker) for row in rows):
            alive = await context.look(context.ledger.workers.alive)
        return Circumstances(
            now=context.clock(),
            worker=context.worker,
            occasion=context.run.occasion or context.run.run_id,
            explicit=context.run.explicit,
            free=stage.free,
            submit_seconds=context.submit_seconds,
            is_alive=alive.__contains__,
            has_files=there.__contains__,
        )

    async def _follow(self, decision: Decision[Task]) -> Task | None:
        """Act on a row that exists; then it is decided again, unless it is stored."""
        action, row = decision.action, decision.row
        if row is None:
            raise TypeError(f"{action} without a row")
        tasks, worker = self._context.ledger.tasks, self._context.worker
        if action in (Action.POLL, Action.DOWNLOAD, Action.ASK):
            ask_now = not self._parts.poller.is_polling(row.id) and row.worker != worker
            mine = await self._context.in_ledger(tasks.adopt, row.id, worker=worker)
            if mine is not None and mine.state is row.state:
                return await self._parts.poller.finish(mine, ask_now=ask_now)
            action = Action.WAIT
        if action is Action.WAIT:  # another worker has the row
            await asyncio.sleep(self._context.config.poll_seconds)
        elif action is Action.LOST:
            await self._context.in_ledger(tasks.mark_lost, row, who=worker)
        elif action is Action.VOID:
            why = "free, and past its deadline without an answer"
            await self._context.moved(tasks.void, row, why=why)
        elif action is Action.HOLD_RETRY:
            wait = (decision.until or 0.0) - self._context.clock()
            if wait > min(_LONGEST_WAIT_IN_RUN, self._context.config.wait_seconds):
                what = row.error_message or "failed"
                raise ProductHeldError(HoldReason.RETRY, what, until=decision.until, task=row)
            await asyncio.sleep(max(wait, 0.0))
        elif not (action is Action.HOLD_UNKNOWN and await self._parts.looks.is_settled(row)):
            raise self._ending(decision, row)
        return None

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

    # From nothing to a task at Topview.

    async def _new_task(
        self,
        item: WorkItem,
        made_of: Task | None,
        rows: Sequence[Task],
        generation: int,
        number: int,
    ) -> Task | None:
        """Send a new task and wait for its end; None: the rows of the work say what comes next.

        Args:
            made_of: the result that goes in.
            rows: of the work.
            number: of the attempt, from 1, among the rows of the fingerprint.
        """
        stage, (_, *later) = item.stage, self.left
        await self._check_guarded(stage)
        await self._gate.pass_(item, made_of, self._review)
        await self._parts.gate.passed()
        if not stage.free:
            # A paid task is not made for a later stage that could not be paid.
            for one in later:
                await self._check_priced(one)
        with self._context.activity.asking():
            await self._inputs.prove(stage, item.mode, later)
        wanted = await self._reservation(item, made_of, rows, generation, number)
        sent = await self._parts.submitter.submit(item, wanted, self.chain)
        return None if sent is None else await self._parts.poller.finish(sent)

    async def _check_priced(self, stage: Stage) -> None:
        """Raises ProductHeldError under a limit while nothing says what the stage costs."""
        context, limit = self._context, self._run_limit
        if limit is None and context.config.credit_limit is None:
            return
        mode = stage.likely_mode(self._work.product)
        found = await context.look(context.estimate, stage, mode, None)
        if found.credits is None:
            raise over_limit(without_price(found.source, limit, context.clock()))

    @property
    def _run_limit(self) -> float | None:
        retry = self._work.retry_of
        return self._context.run.credit_limit if retry is None else retry.credit_limit

    async def _reservation(
        self,
        item: WorkItem,
        made_of: Task | None,
        rows: Sequence[Task],
        generation: int,
        number: int,
    ) -> Reservation:
        stage, product, run = item.stage, self._work.product, self._context.run
        seconds, retry = await self._inputs.recorded(stage), self._work.retry_of
        return Reservation(
            stage=stage.key,
            product_id=product.product_id,
            work=item.work,
            generation=generation,
            fingerprint=fingerprint_of(item.work, generation),
            attempt=number,
            run_id=run.run_id,
            root_run_id=run.root_run_id if retry is None else retry.root_run_id,
            worker=self._context.worker,
            request={},  # its file ids are not known yet
            inputs=item.input_versions,
            mode=item.mode,
            seconds=stage.speech_seconds(product) if seconds is None else seconds,
            credit_limit=self._run_limit,
            queued_at=self._queued_at,
            deadline_seconds=self._context.deadline(stage),
            seen=max((row.id for row in rows), default=0),
            canary_group=await self._gate.canary_group(stage),
            seen_of_group=self._gate.seen,
            made_of=None if made_of is None else (made_of.fingerprint, self._review),
        )

    async def _check_guarded(self, stage: Stage) -> None:
        """Raises ProductHeldError where a new task needs the guard of the next plan."""
        if self._work.keep_made and await self._last_made(stage.key) is not None:
            raise ProductHeldError(
                HoldReason.WAITING,
                f"the {stage.source_label} changed after the {stage.noun} was made, and its server "
                "answered too late for the plan",
                fix="run again: the next plan knows the change",
            )

    def _make_upstream_again(self, stage: Stage, error: UpstreamDeadError) -> None:
        """Topview forgot the upstream's ids: its next generation is made, if it was asked for."""
        upstream = self._context.by_key[str(stage.upstream)]
        dead = self._results.pop(upstream.key)
        asked = self._work.asked or self._work.stages
        if upstream.key not in asked or upstream.key in self._generations:
            both = f"--stage {upstream.key} --stage {stage.key}"
            command = f"topview-pipeline run --product {shlex.quote(self._product_id)} {both}"
            raise ProductFailedError(str(error), f"remake both: {command}", dead) from error
        self._generations[upstream.key] = dead.generation + 1
        self.left.insert(0, upstream)
        self._parts.slots.line.expect((upstream.key,))

    # How it ends.

    def _failed(self, what: str, fix: str, task: Task | None) -> None:
        first, *later = self.left
        self._context.emit(Failed(self._product_id, first.key, what, fix, task))
        for stage in later:
            what = f"the {first.noun} of this product failed"
            self._context.emit(Failed(self._product_id, stage.key, what, fix))

    def _held(self, error: ProductHeldError) -> None:
        first, *later = self.left
        end = error.reason, error.what, error.fix, error.until, error.task
        self._context.emit(Held(self._product_id, first.key, *end))
        waits = HoldReason.UPSTREAM, f"waits for the {first.noun}", FIXES[HoldReason.UPSTREAM]
        for stage in later:
            self._context.emit(Held(self._product_id, stage.key, *waits, error.until))

    def hold_rest(self, reason: HoldReason, what: str) -> None:
        """The run's wait time is over: report the remaining stages as held."""
        error = ProductHeldError(reason, what)
        if (hold := self._gate.waits) is not None:
            error = ProductHeldError(hold.reason, hold.what, fix=hold.fix)
        self._held(error)
