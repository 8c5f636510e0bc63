"""The canaries: of the products that share a recipe a few go first, the others wait for them.

Pure. The engine and the plan ask it before a new paid task; runs before are known by their rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from topview_pipeline.catalogue import Product
from topview_pipeline.engine.gate import ReviewNeeded, ReviewRules
from topview_pipeline.ledger import NO_REVIEW, Review, TaskState, Tried
from topview_pipeline.stages import Inputs, Stage, needs_face
from topview_pipeline.stages.fingerprint import digest

InputsOf = Callable[[Stage], Inputs]
_GIVEN_UP: Final = (TaskState.FAILED, TaskState.VOID, TaskState.EXPIRED)
"""Nothing comes of these rows by itself: another product takes the place."""
_NAMED: Final = 3


def shared_stages(stage: Stage, stages: Sequence[Stage]) -> list[Stage]:
    """The stages up to this one whose inputs many products share; none for what is free."""
    until = stages[: stages.index(stage) + 1]
    return [] if stage.free else [one for one in until if one.shares_source]


def recipe_of(
    product: Product, stage: Stage, shared: Sequence[Stage], inputs_of: InputsOf
) -> str | None:
    """Name of what a product's task shares with other products'; None when that is nothing.

    Args:
        shared: as `shared_stages` says.
    """
    if not shared:
        return None
    # A scene without a face is good for one mode and refused for the others.
    values = [stage.key, stage.version, stage.likely_mode(product), needs_face(product.mode)]
    return digest([*values, *((one.version, inputs_of(one).version) for one in shared)])


@dataclass
class _Group:
    """The products of one recipe.

    Attributes:
        passed: those with a result that passed.
        seats: those that go first; True once nothing keeps them from it.
        rejected: those with a result that a person rejected, or a video that failed its check.
    """

    passed: set[str] = field(default_factory=set)
    seats: dict[str, bool] = field(default_factory=dict)
    rejected: set[str] = field(default_factory=set)

    def has(self, name: str) -> bool:
        """A product was here before, or has a place."""
        return name in self.seats or name in self.passed or name in self.rejected


@dataclass
class Canaries:
    """The first products of each recipe, in one run or plan.

    A place is free again when its product failed for good, left the catalogue or goes another way,
    when a person rejected its result, or its video failed its check: then the next product takes
    it. A scene that failed its check keeps its place until a person has seen it.

    Attributes:
        rules: with the number of the first.
        load: gives the rows of runs before, the oldest first, and people's decisions.
    """

    rules: ReviewRules
    load: Callable[[], tuple[Iterable[Tried], Mapping[tuple[str, str], Review]]]
    _groups: dict[tuple[str, str], _Group] = field(default_factory=dict)

    def join(self, stage: Stage, product: Product, recipe: str) -> None:
        """Give a product that begins a place among the first, while there is one."""
        group = self._group(stage, product, recipe)
        name = product.product_id
        if not group.has(name) and len(group.passed) + len(group.seats) < self.rules.canary:
            group.seats[name] = False

    def is_undecided(self, stage: Stage, product: Product, recipe: str) -> bool:
        """A product with a place has not come to the stage: its place may become free."""
        group = self._group(stage, product, recipe)
        is_open = len(group.passed) >= self.rules.canary or group.has(product.product_id)
        return not is_open and not all(group.seats.values())

    def needed(self, stage: Stage, product: Product, recipe: str) -> ReviewNeeded | None:
        """Return why a product waits for the first ones; None when it goes on, from now on."""
        if not self.holds(product):
            return None
        self.join(stage, product, recipe)
        group = self._group(stage, product, recipe)
        if product.product_id in group.seats:
            group.seats[product.product_id] = True
        if group.has(product.product_id) or len(group.passed) >= self.rules.canary:
            return None
        names = list(group.seats)
        first = ", ".join(names[:_NAMED]) + (" ..." if len(names) > _NAMED else "")
        return ReviewNeeded(
            f"waits for the {stage.key} of {first}: the first of their template or avatar, "
            f"location or prompt, and mode (canary: {self.rules.canary})",
            f"{self._fix(stage, product)}; --canary 0 lets all go",
        )

    def leave(self, product_id: str, *, recipe: str | None = None, failed: bool = False) -> bool:
        """Free the places that a product did not come to, or where it failed for good.

        Args:
            recipe: of the only place that is meant; None: all.
        """
        is_free = False
        for (of_group, _), group in self._groups.items():
            has_come = group.seats.get(product_id)
            if recipe in (None, of_group) and (has_come is False or (has_come and failed)):
                del group.seats[product_id]
                is_free = True
        return is_free

    def holds(self, product: Product) -> bool:
        """There are canaries, and the product's gate is not off."""
        return self.rules.canary > 0 and self.rules.gate_of(product) != "off"

    def _fix(self, stage: Stage, product: Product) -> str:
        if self.rules.gate_of(product) == "approve" and stage.is_reviewed:
            return "run again when these are approved (topview-pipeline review lists what waits)"
        return (
            "run again when these have passed their check (topview-pipeline review lists those "
            "that did not)"
        )

    def _group(self, stage: Stage, product: Product, recipe: str) -> _Group:
        key = recipe, self.rules.gate_of(product)
        if key not in self._groups:
            self._groups[key] = self._loaded(stage, product, recipe)
        return self._groups[key]

    def _loaded(self, stage: Stage, product: Product, recipe: str) -> _Group:
        rows, reviews = self._known
        group = _Group()
        for name, row in rows.get(recipe, {}).items():
            review = reviews.get((name, row.fingerprint), NO_REVIEW)
            if row.state in _GIVEN_UP:
                continue
            # Nobody decides about a result of which nothing more is made: it was refused.
            is_lost = row.state is TaskState.STORED and row.quality and not stage.is_reviewed
            if review.decision == "rejected":
                group.rejected.add(name)
            elif self._has_passed(stage, replace(product, product_id=name), row, review):
                group.passed.add(name)
            elif is_lost:
                group.rejected.add(name)
            elif row.is_current or row.state is not TaskState.STORED:
                group.seats[name] = True
        return group

    def _has_passed(self, stage: Stage, product: Product, row: Tried, review: Review) -> bool:
        if row.state is not TaskState.STORED:
            return False
        # A run that was killed here did not measure it; the next one does.
        is_unmeasured = self.rules.checks and row.quality is None and not row.is_reported
        return not is_unmeasured and self.rules.needed(product, stage, row.quality, review) is None

    @cached_property
    def _known(
        self,
    ) -> tuple[dict[str, dict[str, Tried]], Mapping[tuple[str, str], Review]]:
        """The newest row of each product, by recipe; and the decisions."""
        tried, reviews = self.load()
        found: dict[str, dict[str, Tried]] = {}
        for row in tried:
            if row.state is not TaskState.VOID:
                found.setdefault(row.recipe, {})[row.product_id] = row
        return found, reviews
