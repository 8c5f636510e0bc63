"""What a plan comes to: tasks, credits and time at the account's slots. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from topview_pipeline.planning import PlannedOrder
from topview_pipeline.stages import STAGES


@dataclass(frozen=True)
class StageForecast:
    """What a plan needs of one stage.

    Attributes:
        orders: how many products.
        tasks: how many of them need a new task at Topview.
        credits: of those whose price is known.
        unpriced: tasks whose price nothing says.
        reasons: how many orders for each reason, the most frequent first.
    """

    stage: str
    orders: int
    tasks: int
    credits: float
    unpriced: int
    reasons: Mapping[str, int]


@dataclass(frozen=True)
class Forecast:
    """What a plan comes to; `seconds` is from its first submit to its last result."""

    stages: tuple[StageForecast, ...]
    seconds: float

    @property
    def tasks(self) -> int:
        """New tasks at Topview."""
        return sum(stage.tasks for stage in self.stages)

    @property
    def credits(self) -> float:
        """Credits of the tasks whose price is known."""
        return sum(stage.credits for stage in self.stages)

    @property
    def unpriced(self) -> int:
        """Tasks whose price nothing says."""
        return sum(stage.unpriced for stage in self.stages)


def forecast(
    orders: Iterable[PlannedOrder], *, typical: Callable[[str], float], slots: int
) -> Forecast:
    """Add up a plan.

    Args:
        typical: median seconds of a task of a stage, by its key.
        slots: of the account. Time is what the tasks fill the slots for, and at least as long as
            the longest chain of one product.
    """
    orders = list(orders)
    seconds = 0.0
    chains: defaultdict[str, float] = defaultdict(float)
    for order in orders:
        if order.is_made:
            took = typical(order.stage)
            seconds += took if order.submits else 0.0
            chains[order.product_id] += took
    stages = tuple(
        _of_stage(stage.key, mine)
        for stage in STAGES
        if (mine := [order for order in orders if order.stage == stage.key])
    )
    return Forecast(stages, max(seconds / slots, max(chains.values(), default=0.0)))


def _of_stage(stage: str, orders: list[PlannedOrder]) -> StageForecast:
    submitted = [order.credits for order in orders if order.submits]
    return StageForecast(
        stage=stage,
        orders=len(orders),
        tasks=len(submitted),
        credits=sum(known for known in submitted if known is not None),
        unpriced=submitted.count(None),
        reasons=dict(Counter(order.reason for order in orders).most_common()),
    )
