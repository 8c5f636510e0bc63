"""Situations that a plan is made in. No database, no Dagster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.producer.world import product
from topview_pipeline.catalogue import Product
from topview_pipeline.ledger import TaskGlance, TaskState
from topview_pipeline.planning import Known, PlannedOrder, plan
from topview_pipeline.producer.work import data_version, piece_of
from topview_pipeline.stages import (
    REPLACED_IMAGES,
    STAGES,
    Stage,
)
from topview_pipeline.stages.requests import Upstream
from topview_pipeline.stages.shapes import Shape, fingerprint_of, shape_of

MUG = product("mug")
PRICES = {("replacedImages", "auto"): 1.0, ("finishedVideo", "avatar2"): 4.0}
SCENES = {
    "taskId": "t",
    "status": "success",
    "replaceProductResult": [{"imageId": "1", "faceExistence": True}],
}


def shape(stage: Stage, one: Product) -> Shape:
    return shape_of(stage, one, lambda ref: f"hash of {ref}")


class World:
    """Builds rows as the producer would have left them."""

    def __init__(self) -> None:
        self.rows: dict[str, list[TaskGlance]] = {}
        self.stored: dict[tuple[str, str], TaskGlance] = {}
        self.materialized: dict[tuple[str, str], str] = {}
        self.generations: dict[tuple[str, str], int] = {}
        self.open_orders: set[tuple[str, str]] = set()

    def row(self, stage: Stage, state: TaskState, one: Product = MUG, **changes: Any) -> TaskGlance:
        upstream = None if stage.upstream is None else self.stored[one.product_id, stage.upstream]
        piece = piece_of(
            stage,
            one,
            shape(stage, one),
            None if upstream is None else Upstream(upstream.fingerprint, upstream.result or {}, ()),
            account="a",
            preferred_image=None,
            when_no_face="fail",
        )
        generation = self.generations.get((one.product_id, stage.key), 0)
        fingerprint = fingerprint_of(piece.work, generation)
        result = SCENES if stage is REPLACED_IMAGES else None
        task = replace(TaskGlance(fingerprint, state, True, result, piece.inputs), **changes)
        self.rows.setdefault(fingerprint, []).append(task)
        return task

    def done(self, *stages: Stage, one: Product = MUG) -> None:
        for stage in stages:
            task = self.row(stage, TaskState.STORED, one)
            self.stored[one.product_id, stage.key] = task
            self.materialized[one.product_id, stage.key] = data_version(task.fingerprint)

    def plan(
        self, *products: Product, stages: Sequence[Stage] = STAGES, **options: Any
    ) -> list[PlannedOrder]:
        known = Known(
            account="a",
            rows=self.rows,
            generations=self.generations,
            open_orders=self.open_orders,
            choices={},
            materialized=self.materialized,
            last_stored=lambda product_id, stage: self.stored.get((product_id, stage)),
            cost=_price,
        )
        return plan(products or [MUG], stages, known, **{"shape_of": shape, **options})


def _price(stage: Stage, mode: str | None, _seconds: float | None) -> float | None:
    return 0.0 if stage.free else PRICES.get((stage.key, mode or ""))


def told(orders: list[PlannedOrder]) -> list[tuple[str, str, float | None]]:
    return [(order.stage, order.reason, order.credits) for order in orders]
