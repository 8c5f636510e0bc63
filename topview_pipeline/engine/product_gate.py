"""One product at the gate: its results' verdicts, a person's word, and its turn among its like."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count

from topview_pipeline.catalogue import Product
from topview_pipeline.engine.check import measured
from topview_pipeline.engine.context import Context
from topview_pipeline.engine.events import HoldReason, ProductHeldError
from topview_pipeline.engine.gate import (
    Before,
    Canaries,
    Hold,
    ReviewRules,
    canary_group_of,
    shared_stages,
)
from topview_pipeline.engine.inputs import ProductInputs
from topview_pipeline.engine.scene_judge import SceneJudge
from topview_pipeline.ledger import NO_REVIEW, Review, Task, TaskState, Tried
from topview_pipeline.stages import Inputs, PreconditionError, Stage, WorkItem


class Turns:
    """The parts of the gate that a run's products share: its canaries and its scene judge."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._alone = asyncio.Lock()
        self._decided: Mapping[tuple[str, str], Review] | None = None
        self._tried: dict[str, Sequence[Tried]] = {}
        rules = ReviewRules.of(context.config, context.run.gate, context.run.canary)
        self.canaries = Canaries(
            rules, lambda canary_group: self._tried[canary_group], self.review_of
        )
        self.judge = None if context.judge is None else SceneJudge(context, context.judge)
        self.numbers = count()
        """Of the products, as the run takes them up: files are read in no certain order."""
        self.ended: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        """By canary group: set when one ends that others wait for."""
        self.left: Counter[str] = Counter()
        """By canary group: how often one left its line."""

    async def begin(self) -> None:
        """Read people's decisions, before the first product goes on."""
        async with self._alone:
            if self._decided is None:
                self._decided = await self._context.look(self._context.ledger.reviews.all)

    def review_of(self, product_id: str, fingerprint: str) -> Review:
        """A person's word on a result, as it was when the run began."""
        return (self._decided or {}).get((product_id, fingerprint), NO_REVIEW)

    async def begin_group(self, product: Product, stage: Stage, canary_group: str) -> None:
        """Read who passed before the run: what it brings home itself counts for the next one."""
        if not self.canaries.is_sorted(product, canary_group):
            tried = self._context.ledger.history.tried
            rows = await self._context.look(tried, canary_group)
            self._tried.setdefault(canary_group, rows)
            self.canaries.sort(product, stage, canary_group)

    async def look(self, product: Product, canary_group: str) -> None:
        """Read the tasks of a canary group, if the product's turn will ask for them."""
        tried = self._context.ledger.history.tried
        while self.canaries.asks(product, canary_group):
            before = self.left[canary_group]
            self._tried[canary_group] = await self._context.look(tried, canary_group)
            if (
                self.left[canary_group] == before
            ):  # else one that has left is not among them, perhaps
                return


class ProductGate:
    """Lets one product of a run go on, or holds it."""

    def __init__(
        self, context: Context, turns: Turns, product: Product, inputs: ProductInputs
    ) -> None:
        self._context = context
        self._turns = turns
        self._product = product
        self._inputs = inputs
        self._number = next(turns.numbers)
        self._canary_groups: dict[str, str | None] = {}
        self.waits: Hold | None = None
        """For those that go first, in this run."""
        self.seen: int | None = None
        """The newest row of its canary group that its turn knew; see `Reservation`."""

    async def begin(self, chain: Sequence[Stage]) -> None:
        """Stand in line with those of its canary groups, in the order in which products begin."""
        await self._turns.begin()
        if self._turns.canaries.holds(self._product):
            for stage in chain:
                if canary_group := await self.canary_group(stage):
                    await self._turns.begin_group(self._product, stage, canary_group)
                    self._turns.canaries.join(self._product, canary_group, self._number)

    async def canary_group(self, stage: Stage) -> str | None:
        """Name of what a task of the stage shares with other products'; None: nothing known."""
        if stage.key not in self._canary_groups:
            shared = shared_stages(stage, self._context.stages)
            if not self._turns.canaries.holds(self._product):
                # Nothing is read for it: it is only kept for later runs.
                shared = shared if all(map(self._inputs.are_known, shared)) else []
            found: dict[Stage, Inputs] = {}
            with suppress(PreconditionError):  # it is said where it is needed
                for one in shared:
                    found[one] = await self._inputs.of(one)
            if len(found) < len(shared):
                return None  # a server that answers later may yet say it
            self._canary_groups[stage.key] = canary_group_of(self._product, stage, found)
        return self._canary_groups[stage.key]

    async def pass_(self, item: WorkItem, made: Task | None, review: Review) -> None:
        """Wait for a turn. Raises ProductHeldError where no new task is made of the result, or yet.

        Args:
            made: the result that it is made from; `review` is a person's word on that.
        """
        canary_group, before = await self.canary_group(item.stage), None
        if made is not None:
            before = Before(
                self._context.by_key[made.stage],
                made.quality,
                review,
                None if item.chosen is None else item.chosen.number,
            )
        while True:
            if canary_group is not None:
                await self._turns.look(self._product, canary_group)
            hold, may_end, self.seen = self._turns.canaries.turn(
                self._product, item.stage, canary_group, before
            )
            self.waits = hold
            if hold is None:
                return
            if canary_group is None or not may_end:
                about = made if hold.reason is HoldReason.REVIEW else None
                raise ProductHeldError(hold.reason, hold.what, task=about, fix=hold.fix)
            await self._turns.ended[canary_group].wait()

    def leave(self, stage: Stage | None = None) -> None:
        """Leave the line of a stage that is made, or all lines."""
        for key, canary_group in self._canary_groups.items():
            if canary_group is None or (stage is not None and stage.key != key):
                continue
            self._turns.left[canary_group] += 1
            if (
                self._turns.canaries.leave(self._product, canary_group)
                and canary_group in self._turns.ended
            ):
                self._turns.ended.pop(canary_group).set()

    async def measured(self, task: Task, before: Task | None) -> Task:
        """The stored row, made from `before`, with its verdict where checks are on."""
        context, judge = self._context, self._turns.judge
        if not context.config.checks or task.state is not TaskState.STORED:
            return task
        stage = context.by_key[task.stage]
        with context.activity.busy():
            verdict, quality = await context.offload(measured, stage, task, context.store)
            lasts, keep = quality is not None, context.ledger.tasks.measured
            if judge is not None and stage.is_reviewed and judge.is_open(task, verdict):
                verdict = await judge.verdict(self._product, task, before, verdict)
                if lasts:
                    quality = verdict.to_json()
                    await context.in_ledger(keep, task.id, quality)
            elif lasts and quality != task.quality and task.reported_at is not None:
                # What is not reported yet is kept with its report.
                await context.in_ledger(keep, task.id, quality)
        context.activity.progress()
        # A verdict that does not last says no version: it is measured again.
        return replace(task, quality=quality or {**verdict.to_json(), "version": None})

    def wants_verdict(self, stage: Stage, later: int) -> bool:
        """A result is measured here, not where it is reported: more is made of it, or judged."""
        return later > 0 or (self._turns.judge is not None and stage.is_reviewed)
