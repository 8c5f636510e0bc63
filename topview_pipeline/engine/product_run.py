"""One product's way through its stages: decide, upload, wait for a slot, submit, poll, download.

A coroutine for each product: nothing waits for the batch, and one product's trouble is its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Final

from topview_pipeline.engine.attempt import Attempt, Parts
from topview_pipeline.engine.context import Context, ProductWork
from topview_pipeline.engine.decide import (
    Action,
    Circumstances,
    Decision,
    decide,
    generation_of,
    why_not_forced,
)
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
from topview_pipeline.engine.product_gate import ProductGate
from topview_pipeline.engine.store_lookup import has_files, heal
from topview_pipeline.ledger import NO_REVIEW, IllegalMove, Task, TaskState
from topview_pipeline.ledger.health import trouble_of
from topview_pipeline.stages import PreconditionError, Stage, Upstream, WorkItem
from topview_pipeline.store import Artifact
from topview_pipeline.topview.errors import AccountError

_LONGEST_WAIT_IN_RUN: Final = 300.0
"""Seconds: a retry that is due later is left to a later run."""
_HELD: Final[Mapping[Action, HoldReason]] = {
    Action.HOLD_UNKNOWN: HoldReason.UNKNOWN,
    Action.HOLD_OVERDUE: HoldReason.OVERDUE,
    Action.HOLD_EXPIRED: HoldReason.EXPIRED,
}


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
        made = self._before(stage)
        self._review = NO_REVIEW
        if made is not None:  # what a person said since then comes with the rows of the work
            self._review = self._parts.turns.review_of(self._product_id, made.fingerprint)
        item, queued_at = await self._item(stage), self._context.clock()
        while True:
            before = self._results.get(stage.upstream or "")
            of_work, review = await self._context.look(
                self._context.ledger.tasks.to_decide,
                item.work,
                None if before is None else (self._product_id, before.fingerprint),
            )
            if review != self._review:
                self._review = review
                item = await self._item(stage)
                continue
            self._check_wanted(item, of_work)
            generation = self._generation(stage, of_work)
            rows = [row for row in of_work if row.generation == generation]
            decision = decide(rows, await self._circumstances(stage, rows))
            if decision.action is Action.REUSE and decision.row is not None:
                task: Task | None = decision.row
            elif decision.action is Action.SUBMIT:
                known = {row.topview_task_id for row in of_work}
                if await heal(self._context, item, generation, known):
                    continue
                self._check_guarded(stage)
                await self._gate.pass_(item, before, self._review)
                attempt = Attempt(
                    self._context,
                    self._parts,
                    self._work,
                    self._inputs,
                    item,
                    tuple(self.left),
                    generation,
                    decision.attempt,
                    queued_at,
                    seen=max((row.id for row in of_work), default=0),
                    recipe=await self._gate.recipe(stage),
                    seen_of_recipe=self._gate.seen,
                    made_of=None if before is None else (before.fingerprint, self._review),
                )
                task = await attempt.make()
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
        context = self._context
        with context.activity.asking():
            inputs = await self._inputs.of(stage)
        context.activity.progress()
        upstream = None
        task = self._before(stage)
        if task is not None:
            before = context.by_key[task.stage]
            task = self._results[task.stage] = await self._gate.measured(task, self._before(before))
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

    def _before(self, stage: Stage) -> Task | None:
        """This run's result of the stage before, or what the product last made of it."""
        if stage.upstream is None:
            return None
        made = self._results.get(stage.upstream)
        return made or self._context.ledger.tasks.last_made(self._product_id, stage.upstream)

    # What the rows of the work say.

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

    def _generation(self, stage: Stage, rows: Sequence[Task]) -> int:
        """The generation that is wanted of the work with these rows.

        Raises:
            ProductFailedError: another run's task of it is unfinished: force would pay twice.
        """
        if stage.key in self._generations:
            return self._generations[stage.key]
        root = self._context.run.root_run_id
        if self._work.force and (found := why_not_forced(rows, root)) is not None:
            row, what, fix = found
            raise ProductFailedError(what, fix, row)

        def is_asked_again(generation: int) -> bool:
            made = [row.fingerprint for row in rows if row.generation == generation]
            review_of = self._context.ledger.reviews.of
            return bool(made) and review_of(self._product_id, made[0]).decision == "again"

        return generation_of(
            rows,
            self._product_id,
            pipeline=self._context.ledger.pipeline,
            force=self._work.force,
            root_run_id=root,
            last_made=lambda: self._last_made_id(stage),
            asked_again=is_asked_again,
        )

    def _last_made_id(self, stage: Stage) -> int | None:
        made = self._context.ledger.tasks.last_made(self._product_id, stage.key)
        return None if made is None else made.id

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
            await asyncio.sleep(min(self._context.config.poll_seconds, 1.0))
        elif action is Action.LOST:
            await self._context.in_ledger(tasks.mark_lost, row, who=worker)
        elif action is Action.VOID:
            with contextlib.suppress(IllegalMove):
                why = "free, and past its deadline without an answer"
                await self._context.in_ledger(tasks.void, row.id, why=why, who=worker)
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

    def _check_guarded(self, stage: Stage) -> None:
        """Raises ProductHeldError where a new task needs the guard of the next plan."""
        if self._work.keep_made and self._last_made_id(stage) is not None:
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
