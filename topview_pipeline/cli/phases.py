"""How far a run is: the phase of each order, what was spent, and how long the rest will take.

Pure. Not here: how it is shown (`progress`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from topview_pipeline.ledger import OrderProgress, OrderState, TaskState
from topview_pipeline.stages import BY_KEY, STAGES

Phase = Literal["done", "running", "queued", "later", "held", "failed", "withdrawn"]
"""queued waits for a slot of the account; later waits for the stage before it."""

_TO_COME: Final = frozenset({"running", "queued", "later"})
_MADE: Final = frozenset({TaskState.SUCCEEDED, TaskState.STORED})
"""Topview has finished it; what is left is to store it and to tell Dagster."""
_BEGUN: Final = _MADE | {TaskState.RESERVED, TaskState.PENDING}
_STATES: Final[dict[OrderState, Phase]] = {
    OrderState.DONE: "done",
    OrderState.FAILED: "failed",
    OrderState.WITHDRAWN: "withdrawn",
}


@dataclass(frozen=True)
class StageProgress:
    """How many orders of a stage are in each phase."""

    stage: str
    orders: int
    phases: Counter[Phase]


@dataclass(frozen=True)
class RunProgress:
    """How far a run is.

    Attributes:
        credits: that Topview booked for tasks which this run submitted.
        seconds_left: until nothing is to come, by what such tasks took so far; None when nothing
            is. What is held is not counted: nobody knows when it goes on.
    """

    stages: tuple[StageProgress, ...]
    credits: float
    seconds_left: float | None

    @property
    def orders(self) -> int:
        """Of the run, in every phase."""
        return sum(stage.orders for stage in self.stages)

    @property
    def phases(self) -> Counter[Phase]:
        """Of all stages together."""
        return sum((stage.phases for stage in self.stages), Counter[Phase]())


def progress_of(
    orders: Sequence[OrderProgress],
    run_id: str,
    *,
    now: float,
    typical: Callable[[str], float],
    slots: int,
) -> RunProgress:
    """Add up the orders of a run.

    Args:
        now: by the ledger's clock.
        typical: median seconds of a task of a stage, by its key.
        slots: of the account. As in a plan's forecast, what is left takes as long as it fills the
            slots for, and at least as long as the longest chain of one product.
    """
    to_come = {(order.product_id, order.stage) for order in orders if _is_to_come(order)}
    phases = {order.order_id: _phase(order, to_come) for order in orders}
    chains: defaultdict[str, float] = defaultdict(float)
    for order in orders:
        if phases[order.order_id] in _TO_COME:
            chains[order.product_id] += _seconds_left(order, now=now, typical=typical)
    stages = tuple(
        StageProgress(stage.key, len(mine), Counter(phases[order.order_id] for order in mine))
        for stage in STAGES
        if (mine := [order for order in orders if order.stage == stage.key])
    )
    left = max(sum(chains.values()) / slots, max(chains.values())) if chains else None
    return RunProgress(stages, credits_spent(orders, run_id), left)


def credits_spent(orders: Iterable[OrderProgress], run_id: str) -> float:
    """Credits that Topview booked for tasks which this run submitted, shared ones once."""
    booked = {order.task_id: order.credits for order in orders if order.task_run_id == run_id}
    return sum(cost or 0.0 for cost in booked.values())


def _is_to_come(order: OrderProgress) -> bool:
    return order.state is OrderState.OPEN and order.held is None


def _phase(order: OrderProgress, to_come: Collection[tuple[str, str]]) -> Phase:
    if order.state is not OrderState.OPEN:
        return _STATES[order.state]
    if order.held is not None:
        return "held"
    if order.task_state in _BEGUN:
        return "running"
    before = BY_KEY[order.stage].upstream
    if before is not None and (order.product_id, before) in to_come:
        return "later"
    return "queued"


def _seconds_left(order: OrderProgress, *, now: float, typical: Callable[[str], float]) -> float:
    if order.task_state in _MADE:
        return 0.0
    begun = order.running_since if order.task_state is TaskState.PENDING else None
    ran = 0.0 if begun is None else now - begun
    return max(typical(order.stage) - ran, 0.0)
