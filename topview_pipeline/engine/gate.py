"""The gate before a stage: the engine asks it before a new task, the plan for thousands.

First what its check or a person says of the result that it is made from; then the canaries: of the
products that share a canary group (template, place, prompt and mode) a few go first, the others
wait for them. Who went is in the ledger: each row names its canary group, and no row is reserved
beside one of its group that the decision did not know.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, Final, NamedTuple

from topview_pipeline.catalogue import Product
from topview_pipeline.engine.events import HoldReason
from topview_pipeline.ledger import NO_REVIEW, Review, TaskState, Tried
from topview_pipeline.media import is_refused
from topview_pipeline.settings import Gate, PipelineConfig
from topview_pipeline.stages import Inputs, Stage, WhenNoFace, data_version
from topview_pipeline.stages.fingerprint import digest

_GIVEN_UP: Final = (TaskState.FAILED, TaskState.EXPIRED)
"""Nothing comes of these rows by itself: another product takes the place."""
_NAMED: Final = 3


@dataclass(frozen=True)
class Hold:
    """Why no new task is made for a product yet, and the way out."""

    what: str
    fix: str
    reason: HoldReason = HoldReason.REVIEW


@dataclass(frozen=True)
class ReviewRules:
    """The gate of a run.

    Attributes:
        pipeline: the pipeline's gate; a row's own overrides it, `of_run` overrides both.
        checks: results are measured; if not, no verdict holds anything.
        canary: so many products of each canary group go first; 0: all go.
        when_no_face: with fail, a scene without a face is refused for a mode that needs one.
    """

    pipeline: Gate = "quality"
    of_run: Gate | None = None
    checks: bool = True
    canary: int = 0
    when_no_face: WhenNoFace = "fail"

    @classmethod
    def of(
        cls, config: PipelineConfig, of_run: Gate | None = None, canary: int | None = None
    ) -> ReviewRules:
        """The rules of a pipeline's run."""
        canary = config.canary if canary is None else canary
        return cls(config.gate, of_run, config.checks, canary, config.when_no_face)

    def gate_of(self, product: Product) -> Gate:
        return self.of_run or product.gate or self.pipeline

    def needed(
        self,
        product: Product,
        before: Stage,
        quality: Mapping[str, Any] | None,
        review: Review = NO_REVIEW,
        image: int | None = None,
    ) -> Hold | None:
        """Return why no new task may be made from a result of the stage `before`; None when it may.

        Args:
            quality: the verdict on the result.
            image: number of the image that would go in, of several.
        """
        if review.decision == "approved":
            return None
        name = shlex.quote(product.product_id)
        command = f"topview-pipeline review --approve {name}"
        again = f"--again {name} remakes it, and pays again"
        if review.decision == "rejected":
            fix = f"change its inputs, or topview-pipeline review {again}; {command} takes it back"
            return Hold(f"a person rejected the {before.noun}", fix)
        if review.decision == "again":
            fix = f"topview-pipeline run --product {name}, without --stage"
            return Hold(f"a person asked for another {before.noun}", fix)
        gate = self.gate_of(product)
        if gate == "off":
            return None
        refused = None
        if self.checks:
            refused = before.unfit(product, quality, self.when_no_face) or refusal(quality, image)
        if refused is not None:
            fix = f"look at it, then {command} lets it pass, and {again}"
            return Hold(f"the {before.noun} failed its check: {refused}", fix)
        if gate == "approve" and before.is_reviewed:
            return Hold(f"the {before.noun} waits for a person", f"look at it, then {command}")
        return None


def refusal(quality: Mapping[str, Any] | None, image: int | None = None) -> str | None:
    """The reason why a verdict refuses a result, or the image of it that would go in."""
    if quality is None:
        return None
    if is_refused(quality):
        return str(quality["why"])
    images = quality.get("images") or ()
    if image is not None and image <= len(images) and is_refused(images[image - 1]):
        return f"scene {image}: {images[image - 1]['why']}"
    return None


def under_review(made: Mapping[str, Any], stages: tuple[Stage, ...]) -> tuple[Stage, Any] | None:
    """The stage that a person decides about, and its row: the last one that another is made of.

    A scene of an older cut-out is no longer what the product goes on with: then it is the cut-out.
    `made` is what the product last made, by stage key, with its inputs.
    """
    befores = {stage.upstream for stage in stages}
    found: tuple[Stage, Any] | None = None
    for stage in stages:
        row = made.get(stage.key)
        if row is None or stage.key not in befores:
            break
        if found is not None:
            before = data_version(found[1].fingerprint)
            if row.inputs.get(found[0].key) != before:
                break
        found = stage, row
    return found


# The canaries.


def shared_stages(stage: Stage, stages: Sequence[Stage]) -> list[Stage]:
    """The stages up to this one whose inputs many products share; none for what is free."""
    until = stages[: stages.index(stage) + 1]
    return [] if stage.free else [one for one in until if one.shares_source]


def canary_group_of(product: Product, stage: Stage, shared: Mapping[Stage, Inputs]) -> str | None:
    """Name of what a product's task shares with other products'; None when that is nothing.

    `shared` has the product's inputs of each of `shared_stages`.
    """
    if not shared:
        return None
    values = [stage.key, stage.version, *stage.traits(product)]
    return digest([*values, *((one.version, inputs.version) for one, inputs in shared.items())])


class Before(NamedTuple):
    """The result that a task is to be made from; see `ReviewRules.needed`."""

    stage: Stage
    quality: Mapping[str, Any] | None
    review: Review
    image: int | None = None


class Turn(NamedTuple):
    """The answer of the gate and the canaries to a new task.

    Attributes:
        hold: why it is not made; None: it is.
        may_end: the hold may end in this run: one of those that go first has not ended.
        seen: the newest row of the canary group, of a product that goes first; see `Reservation`.
    """

    hold: Hold | None = None
    may_end: bool = False
    seen: int | None = None


@dataclass
class _Group:
    """The products of one canary group.

    Attributes:
        passed: those whose result had passed before the run: as many as go first, at most.
        rejected: those with a result that a person had rejected, or a video that failed its check.
        is_sorted: what was there before the run is in these two.
        line: the run's, in its order, until they end the stage.
        placed: those with a row of the canary group that holds a place, when it was last read.
        awaited: those that others in line wait for.
        full: why the others wait, once those that go first have ended the stage in this run.
    """

    passed: set[str] = field(default_factory=set)
    rejected: set[str] = field(default_factory=set)
    is_sorted: bool = False
    line: dict[str, float] = field(default_factory=dict)
    placed: set[str] = field(default_factory=set)
    awaited: set[str] = field(default_factory=set)
    full: Hold | None = None

    def has(self, name: str) -> bool:
        """The product was here before: its place is not another's."""
        return name in self.passed or name in self.rejected or name in self.placed


@dataclass
class Canaries:
    """The first products of each canary group, in one run or plan.

    A place is free again when its product fails for good; for the next run also when it left the
    catalogue or goes another way, when a person rejected its result, or its video failed its check.
    A scene that failed its check keeps its place until a person has seen it.

    Attributes:
        rules: with the number of the first.
        tried: gives the tasks of a canary group that are not void, the oldest first; see `asks`.
        review_of: gives the decision about a product's result, by its fingerprint.
    """

    rules: ReviewRules
    tried: Callable[[str], Sequence[Tried]]
    review_of: Callable[[str, str], Review]
    _groups: dict[tuple[str, str], _Group] = field(default_factory=dict)

    def holds(self, product: Product) -> bool:
        """There are canaries, and the product's gate is not off."""
        return self.rules.canary > 0 and self.rules.gate_of(product) != "off"

    def asks(self, product: Product, canary_group: str) -> bool:
        """Tells whether `turn` will ask for the tasks of the canary group as they are now."""
        group = self._group(product, canary_group)
        is_open = group.full is None and len(group.passed) < self.rules.canary
        known = group.is_sorted and (not is_open or group.has(product.product_id))
        return self.holds(product) and not known

    def is_sorted(self, product: Product, canary_group: str) -> bool:
        """Tells whether `sort` was called for the group."""
        return self._group(product, canary_group).is_sorted

    def join(self, product: Product, canary_group: str, number: float = inf) -> None:
        """Stand in line: places are given by number, that of the product in its run; late: last."""
        self._group(product, canary_group).line.setdefault(product.product_id, number)

    def leave(self, product: Product, canary_group: str) -> bool:
        """Leave the line, at the end of the stage; tells whether others waited for that."""
        group = self._group(product, canary_group)
        group.line.pop(product.product_id, None)
        return product.product_id in group.awaited

    def turn(
        self, product: Product, stage: Stage, canary_group: str | None, before: Before | None = None
    ) -> Turn:
        """Ask for a new task: first what is said of the result before, then who goes first."""
        needed = None if before is None else self.rules.needed(product, *before)
        if needed is not None or canary_group is None or not self.holds(product):
            return Turn(needed)
        self.join(product, canary_group)
        group, name = self._group(product, canary_group), product.product_id
        self.sort(product, stage, canary_group)
        places = self.rules.canary - len(group.passed)
        if places <= 0 or group.has(name):
            return Turn()
        if group.full is not None:
            return Turn(group.full)
        rows = self.tried(canary_group)
        group.placed = _with_place(rows)
        if not group.has(name):
            first = sorted(group.placed - group.passed - group.rejected)
            for one in sorted(group.line, key=lambda each: group.line[each]):
                if one == name or len(first) >= places:
                    break
                if not group.has(one):
                    first.append(one)
            if len(first) >= places:
                first = first[:places]
                group.awaited.update(first)
                hold = self._hold(product, stage, first)
                may_end = any(one in group.line for one in first)
                group.full = None if may_end else hold
                return Turn(hold, may_end)
        return Turn(seen=rows[-1].id if rows else 0)

    def _hold(self, product: Product, stage: Stage, first: Sequence[str]) -> Hold:
        names = ", ".join(sorted(first)[:_NAMED]) + (" ..." if len(first) > _NAMED else "")
        fix = "run again when these have passed their check (topview-pipeline review lists those "
        fix += "that did not)"
        if self.rules.gate_of(product) == "approve" and stage.is_reviewed:
            fix = "run again when these are approved (topview-pipeline review lists what waits)"
        return Hold(
            f"waits for the {stage.noun} of {names}: the first of their template or avatar, "
            f"location or prompt, and mode (canary: {self.rules.canary})",
            f"{fix}; --canary 0 lets all go",
            HoldReason.CANARY,
        )

    def _group(self, product: Product, canary_group: str) -> _Group:
        return self._groups.setdefault((canary_group, self.rules.gate_of(product)), _Group())

    def sort(self, product: Product, stage: Stage, canary_group: str) -> None:
        """Take what is there now for what was there before the run; once for each group."""
        group = self._group(product, canary_group)
        if group.is_sorted:
            return
        group.is_sorted = True
        for row in _newest(self.tried(canary_group)):
            if len(group.passed) < self.rules.canary:
                self._sort(row, replace(product, product_id=row.product_id), stage, group)

    def _sort(self, row: Tried, product: Product, stage: Stage, group: _Group) -> None:
        review = self.review_of(row.product_id, row.fingerprint)
        if review.decision == "rejected":
            group.rejected.add(row.product_id)
        elif row.state is TaskState.STORED:
            # A run that was killed here did not measure it; the next one does.
            is_open = self.rules.checks and row.quality is None and not row.is_reported
            if not is_open and self.rules.needed(product, stage, row.quality, review) is None:
                group.passed.add(row.product_id)
            elif row.quality and not stage.is_reviewed:
                # Nobody decides about a result of which nothing more is made: it was refused.
                group.rejected.add(row.product_id)


def _newest(rows: Sequence[Tried]) -> list[Tried]:
    """The newest row of each product, without what is given up."""
    newest = {row.product_id: row for row in rows}
    return [row for row in newest.values() if row.state not in _GIVEN_UP]


def _with_place(rows: Sequence[Tried]) -> set[str]:
    is_there = TaskState.STORED
    return {row.product_id for row in _newest(rows) if row.is_current or row.state is not is_there}
