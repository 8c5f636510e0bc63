"""The past of each product: earlier results, people's decisions, and everything that it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from topview_pipeline.export.report import Report
from topview_pipeline.ledger import Ledger, Task, TaskState
from topview_pipeline.ledger.budget import midnight_after
from topview_pipeline.ledger.history import TaskEvent

_DAY_SECONDS: Final = 86_400.0


@dataclass(frozen=True)
class Past:
    """The past of one product.

    Attributes:
        earlier: results that newer ones have replaced, the oldest first.
        credits: booked for it in all, those of earlier results too.
        credits_today: booked for it since midnight, UTC.
    """

    earlier: tuple[Task, ...] = ()
    decisions: tuple[TaskEvent, ...] = ()
    credits: float = 0.0
    credits_today: float = 0.0


NO_PAST: Final = Past()


def read_past(report: Report, ledger: Ledger) -> Mapping[str, Past]:
    """The past of the report's products, by product id, in a few queries."""
    today = midnight_after(ledger.now()) - _DAY_SECONDS
    paid, decisions = ledger.history.paid(today), ledger.history.decisions()
    earlier: dict[str, list[Task]] = {}
    for row in _replaced(report, ledger):
        earlier.setdefault(row.product_id, []).append(row)
    return {
        name: Past(
            tuple(earlier.get(name, ())),
            tuple(decisions.get(name, ())),
            *paid.get(name, (0.0, 0.0)),
        )
        for name in (product.product_id for product in report.products)
    }


def _replaced(report: Report, ledger: Ledger) -> list[Task]:
    now = {
        stage.task.id
        for product in report.products
        for stage in product.stages.values()
        if stage.task is not None
    }
    stages = {key for product in report.products for key in product.stages}
    older = [
        glance.id
        for glances in ledger.tasks.glances().values()
        for glance in glances
        if glance.state is TaskState.STORED
        and glance.pipeline == ledger.pipeline
        and glance.stage in stages
        and glance.id not in now
    ]
    return list(ledger.tasks.of_ids(older).values())
