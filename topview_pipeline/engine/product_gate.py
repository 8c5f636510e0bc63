"""One product at the gate: its results' verdicts, a person's word, and its turn among its like."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from topview_pipeline.catalogue import Product
from topview_pipeline.engine.canary import Canaries, recipe_of, shared_stages
from topview_pipeline.engine.check import measured
from topview_pipeline.engine.context import Context
from topview_pipeline.engine.events import HoldReason, ProductHeldError, Warned
from topview_pipeline.engine.gate import ReviewRules
from topview_pipeline.engine.inputs import ProductInputs
from topview_pipeline.engine.scene_judge import (
    MOST_MISSES,
    Judge,
    is_judged,
    judged,
    without_judge,
)
from topview_pipeline.ledger import Review, Task, TaskState
from topview_pipeline.media import Verdict
from topview_pipeline.stages import PreconditionError, Stage, WorkItem, data_version, images_of
from topview_pipeline.stages.cut_out import CUT_OUT_FILE
from topview_pipeline.store import Artifact


class Turns:
    """The canaries of a run, and the products that wait to know if they go."""

    def __init__(self, context: Context) -> None:
        ledger = context.ledger
        self.rules = ReviewRules.of(context.config, context.run.gate, context.run.canary)
        self.canaries = Canaries(self.rules, lambda: (ledger.history.tried(), ledger.reviews.all()))
        self.unjudged: set[int] = set()
        """Rows that the scene judge gave no answer on: it is not asked again in this run."""
        self.misses = 0
        """How often in a row it gave none."""
        self._changed = asyncio.Event()

    def change(self) -> None:
        """A place was taken for good, or is free."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def until_change(self) -> None:
        """Wait for that."""
        await self._changed.wait()


class ProductGate:
    """Lets one product of a run go on, or holds it."""

    def __init__(
        self, context: Context, turns: Turns, product: Product, inputs: ProductInputs
    ) -> None:
        self._context = context
        self._turns = turns
        self._product = product
        self._inputs = inputs
        self._recipes: dict[str, str | None] = {}

    async def begin(self, chain: Sequence[Stage]) -> None:
        """Take a place among the first of its recipes, in the order in which products begin."""
        if self._turns.canaries.holds(self._product):
            for stage in chain:
                if recipe := await self.recipe(stage):
                    self._turns.canaries.join(stage, self._product, recipe)

    async def recipe(self, stage: Stage) -> str | None:
        """Name of what a task of the stage shares with other products'; None: nothing known."""
        if stage.key not in self._recipes:
            shared = shared_stages(stage, self._context.stages)
            if not self._turns.canaries.holds(self._product):
                # Nothing is read for it: it is only kept for later runs.
                shared = shared if all(map(self._inputs.are_known, shared)) else []
            found = {}
            with suppress(PreconditionError):  # it is said where it is needed
                for one in shared:
                    found[one.key] = await self._inputs.of(one)
            shared = shared if len(found) == len(shared) else []
            recipe = recipe_of(self._product, stage, shared, lambda one: found[one.key])
            self._recipes[stage.key] = recipe
        return self._recipes[stage.key]

    async def pass_(self, item: WorkItem, before: Task | None, review: Review) -> None:
        """Raise ProductHeldError where no new task may be made: of the result before, or yet."""
        if before is not None:
            self._check_reviewed(item, before, review)
        stage, canaries = item.stage, self._turns.canaries
        recipe = await self.recipe(stage)
        if recipe is None or not canaries.holds(self._product):
            return
        while canaries.is_undecided(stage, self._product, recipe):
            await self._turns.until_change()
        needed = canaries.needed(stage, self._product, recipe)
        if needed is not None:
            raise ProductHeldError(HoldReason.CANARY, needed.what, fix=needed.fix)
        self._turns.change()

    def leave(self, stage: Stage | None = None, *, failed: bool = False) -> None:
        """Give back the places that it does not need: of a stage that is made, or of all."""
        recipe = None if stage is None else self._recipes.get(stage.key)
        if stage is not None and recipe is None:
            return
        name = self._product.product_id
        if self._turns.canaries.leave(name, recipe=recipe, failed=failed):
            self._turns.change()

    async def measured(self, task: Task, before: Task | None) -> Task:
        """The stored row with its verdict, where checks are on: the next stage goes by it.

        Args:
            before: what the row was made from.
        """
        context = self._context
        if not context.config.checks or task.state is not TaskState.STORED:
            return task
        stage = context.by_key[task.stage]
        with context.activity.busy():
            verdict: Verdict
            verdict, quality = await context.offload(measured, stage, task, context.store)
            is_open = not is_judged(verdict) and task.id not in self._turns.unjudged
            if context.judge is not None and stage.is_reviewed and is_open:
                verdict = await self._judged(context.judge, task, before, verdict)
                quality = verdict.to_json()
                context.ledger.tasks.measured(task.id, quality)
        context.activity.progress()
        # A verdict that does not last says no version: it is measured again.
        return replace(task, quality=quality or {**verdict.to_json(), "version": None})

    def wants_verdict(self, stage: Stage, later: int) -> bool:
        """A result is measured here, not where it is reported: more is made of it, or judged."""
        return later > 0 or (self._context.judge is not None and stage.is_reviewed)

    async def _judged(
        self, judge: Judge, task: Task, before: Task | None, verdict: Verdict
    ) -> Verdict:
        """The verdict with that of the user's own judge in it."""
        context, product = self._context, self._product
        images = images_of(task.result)

        def is_of(row: Task) -> bool:
            return task.inputs.get(row.stage) == data_version(row.fingerprint)

        def ask() -> object:
            store, files = context.store, {}
            rows = [task, *([before] if before and is_of(before) else [])]
            for row in rows:
                for one in map(Artifact.from_json, row.artifacts or ()):
                    files[one.name] = one
            photo = None
            if product.image is not None:
                photo = context.files.read(product.image, kind="image").data
            cutout = store.read_bytes(files[CUT_OUT_FILE])
            scenes = [store.read_bytes(files[image.file_name]) for image in images]
            return judge(photo, cutout, scenes, product)

        async with context.judging:
            turns = self._turns
            if turns.misses == MOST_MISSES:
                return without_judge(verdict, len(images), "it is not asked again in this run")
            found = await judged(verdict, len(images), ask, context.apart)
            turns.misses = 0 if is_judged(found) else turns.misses + 1
        if not is_judged(found):
            turns.unjudged.add(task.id)
            context.emit(Warned(f"{product.product_id} / {task.stage}: {found.not_measured[-1]}"))
            if turns.misses == MOST_MISSES:
                what = f"the scene judge gave no answer {MOST_MISSES} times in a row, and is not "
                context.emit(Warned(f"{what}asked again in this run: its scenes are not measured"))
        return found

    def _check_reviewed(self, item: WorkItem, before: Task, review: Review) -> None:
        context = self._context
        needed = self._turns.rules.needed(
            self._product,
            context.by_key[before.stage],
            before.quality,
            review,
            None if item.chosen is None else item.chosen.number,
        )
        if needed is not None:
            raise ProductHeldError(HoldReason.REVIEW, needed.what, task=before, fix=needed.fix)
