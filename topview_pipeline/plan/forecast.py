"""The sums of a plan: tasks, credits, and time at the account's slots."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from topview_pipeline.ledger import Ledger
from topview_pipeline.plan.plan import PlannedStage
from topview_pipeline.settings import PipelineConfig
from topview_pipeline.stages import BY_KEY


@dataclass(frozen=True)
class StageForecast:
    """The sums of one stage.

    Attributes:
        products: how many there is something to do for.
        tasks: how many of them need a new task at Topview.
        unpriced: tasks whose price nothing says; `credits` are of the others.
        reasons: how many products for each reason, the most frequent first.
    """

    stage: str
    products: int
    tasks: int
    credits: float
    unpriced: int
    reasons: Mapping[str, int]


@dataclass(frozen=True)
class Forecast:
    """The sums of a plan; `seconds` is from its first submit to its last result."""

    stages: tuple[StageForecast, ...]
    seconds: float

    @property
    def tasks(self) -> int:
        return sum(stage.tasks for stage in self.stages)

    @property
    def credits(self) -> float:
        return sum(stage.credits for stage in self.stages)

    @property
    def unpriced(self) -> int:
        return sum(stage.unpriced for stage in self.stages)

    def lasts(self, credits_left: float | None) -> float | None:
        """Seconds until so many credits are used up, at the slots' pace; None: they are enough."""
        if credits_left is None or self.credits <= credits_left:
            return None
        return self.seconds * max(credits_left, 0.0) / self.credits


def forecast_plan(
    config: PipelineConfig, planned: Sequence[PlannedStage], ledger: Ledger
) -> Forecast:
    """Add up a plan, by the ledger's history and the account's slots."""

    @cache
    def typical(key: str) -> float:
        seen = ledger.history.typical_seconds(key) or config.typical_seconds(BY_KEY[key].kind)
        return seen or BY_KEY[key].typical_seconds

    return forecast(planned, typical=typical, slots=config.slots)


def forecast(
    planned: Sequence[PlannedStage], *, typical: Callable[[str], float], slots: int
) -> Forecast:
    """Add up a plan.

    Args:
        typical: median seconds of a task of a stage, by its key.
        slots: of the account. Time is what the tasks fill the slots for, and at least as long as
            the longest chain of one product.
    """
    seconds = 0.0
    chains: defaultdict[str, float] = defaultdict(float)
    for one in planned:
        if one.is_made:
            took = typical(one.stage)
            seconds += took if one.submits else 0.0
            chains[one.product_id] += took
    sums = tuple(
        _of_stage(key, mine)
        for key in BY_KEY
        if (mine := [one for one in planned if one.stage == key])
    )
    return Forecast(sums, max(seconds / slots, max(chains.values(), default=0.0)))


def _of_stage(stage: str, planned: list[PlannedStage]) -> StageForecast:
    submitted = [one.credits for one in planned if one.submits]
    return StageForecast(
        stage=stage,
        products=len(planned),
        tasks=len(submitted),
        credits=sum(known for known in submitted if known is not None),
        unpriced=submitted.count(None),
        reasons=dict(Counter(one.reason for one in planned).most_common()),
    )
