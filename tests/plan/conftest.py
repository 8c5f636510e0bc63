"""Situations that a plan is made in. No database, no Dagster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.engine.world import product
from topview_pipeline.catalogue import Product
from topview_pipeline.ledger import Review, TaskGlance, TaskState
from topview_pipeline.plan.plan import Known, PlannedStage, Planner
from topview_pipeline.prices import Estimate
from topview_pipeline.stages import (
    SCENE,
    STAGES,
    Inputs,
    Stage,
    Upstream,
    data_version,
    fingerprint_of,
)

NOW = 1_800_000_000.0
MUG = product("mug")
PRICES = {("replacedImages", "auto"): 1.0, ("finishedVideo", "avatar2"): 4.0}
SCENES = {
    "taskId": "t",
    "replaceProductResult": [
        {"imageId": "1", "faceExistence": True},
        {"imageId": "2", "faceExistence": True},
    ],
}


def inputs_of(stage: Stage, one: Product) -> Inputs:
    return stage.inputs(one, lambda ref: f"hash of {ref}")


class Situation:
    """Rows as the engine leaves them, and what Dagster has of them."""

    def __init__(self) -> None:
        self.rows: dict[str, list[TaskGlance]] = {}
        self.made: dict[tuple[str, str], TaskGlance] = {}
        self.materialized: dict[tuple[str, str], str] = {}
        self.reviews: dict[tuple[str, str], Review] = {}

    def row(
        self, stage: Stage, state: TaskState, one: Product = MUG, generation: int = 0, **more: Any
    ) -> TaskGlance:
        """A row of the stage's work, made from what the product last made of the one before."""
        made_from = None
        if stage.upstream is not None:
            last = self.made[one.product_id, stage.upstream]
            made_from = Upstream(last.fingerprint, last.result or {})
        item = stage.item(one, inputs_of(stage, one), made_from, account="a")
        values: dict[str, Any] = {
            "id": sum(map(len, self.rows.values())) + 1,
            "pipeline": "acme",
            "stage": stage.key,
            "product_id": one.product_id,
            "work": item.work,
            "generation": generation,
            "fingerprint": fingerprint_of(item.work, generation),
            "state": state,
            "retryable": True,
            "run_id": "run",
            "root_run_id": "run",
            "worker": None,
            "not_before": None,
            "reserved_at": NOW - 60.0,
            "deadline_at": NOW + 600.0,
            "last_query_at": None,
            "result": SCENES if stage is SCENE else None,
            "quality": None,
            "inputs": item.input_versions,
        }
        row = TaskGlance(**values | more)
        self.rows.setdefault(item.work, []).append(row)
        return row

    def done(self, *stages: Stage, one: Product = MUG, generation: int = 0) -> None:
        """These stages are stored, and reported to Dagster."""
        for stage in stages:
            row = self.row(stage, TaskState.STORED, one, generation)
            self.made[one.product_id, stage.key] = row
            self.materialized[one.product_id, stage.key] = data_version(row.fingerprint)

    def set_state(self, stage: Stage, state: TaskState) -> None:
        """The end of the mug's stored row."""
        row = self.made["mug", stage.key]
        self.rows[row.work] = [row._replace(state=state)]

    def plan(
        self, *products: Product, wanted: Sequence[Stage] = STAGES, **options: Any
    ) -> list[PlannedStage]:
        known = Known(
            account="a",
            pipeline="acme",
            now=NOW,
            rows_of=lambda _: self.rows,
            alive=frozenset({"alive"}),
            reviews=self.reviews,
            materialized=self.materialized,
            last_made_ids={key: row.id for key, row in self.made.items()},
            last_made=lambda product_id, stage: self.made.get((product_id, stage)),
            estimate=_price,
        )
        options = {"inputs_of": inputs_of, **options}
        planner = Planner(wanted=wanted, known=known, **options)
        return planner.plan(products or [MUG])


def _price(stage: Stage, mode: str | None, *_seconds: float | None) -> Estimate:
    price = 0.0 if stage.free else PRICES.get((stage.key, mode or ""))
    return Estimate(price, "a test's list", price)


def summary(planned: list[PlannedStage]) -> list[tuple[str, str, float | None]]:
    return [(one.stage, one.reason, one.credits) for one in planned]


@pytest.fixture
def situation() -> Situation:
    return Situation()
