"""What happened to a product between two materializations, as observations of its partition.

A run that makes a product without incident leaves no mark. A run marks a product at most once as
held or parked, where it came to stand, once as adopted, and as failed at every stage that Dagster
shows as failed: of a range, the run's own page is the story of two hundred.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg

from topview_pipeline.defs.troubles import trouble_of
from topview_pipeline.ledger import HeldReason, Task
from topview_pipeline.producer import Failed, Held, Made, Parked


class Marks:
    """The marks of one run."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._adopted: set[str] = set()
        self._standing: set[str] = set()

    def of_made(self, made: Made, task: Task) -> Iterator[dg.AssetObservation]:
        """A mark when another run submitted what this one brings home, the first to tell of it."""
        is_news = task.materialized_at is None and task.run_id != self._run_id
        if not is_news or made.product_id in self._adopted:
            return
        self._adopted.add(made.product_id)
        yield _mark(
            made.stage,
            made.product_id,
            "adopted",
            f"Run {task.run_id} submitted it; this run brought it home.",
            {"topview/task_id": task.topview_task_id, "topview/submitted_by_run": task.run_id},
        )

    def of_trouble(self, event: Failed | Held | Parked) -> Iterator[dg.AssetObservation]:
        """A mark at the stage where a product stands, or at each that failed."""
        if not isinstance(event, Failed):
            if event.product_id in self._standing:
                return
            if isinstance(event, Held) and event.reason is HeldReason.UPSTREAM:
                return
            self._standing.add(event.product_id)
        trouble = trouble_of(event)
        values: dict[str, Any] = {
            "topview/what_to_do": trouble.mend,
            "topview/task_id": trouble.task_id or None,
        }
        if isinstance(event, Held):
            values["topview/reason"] = event.reason.value
            values["topview/until"] = event.until and dg.MetadataValue.timestamp(event.until)
        yield _mark(event.stage, event.product_id, trouble.outcome, trouble.what, values)


def _mark(
    stage: str, product_id: str, what: str, said: str, values: dict[str, Any]
) -> dg.AssetObservation:
    known = {name: value for name, value in values.items() if value is not None}
    return dg.AssetObservation(
        asset_key=stage,
        partition=product_id,
        description=f"{what.capitalize()}: {said}",
        metadata={"topview/mark": what, **known},
    )
