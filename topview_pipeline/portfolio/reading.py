"""Reads a portfolio from the ledger. Not here: which row a video was made from (`origins`)."""

from __future__ import annotations

from collections.abc import Iterable

from topview_pipeline.catalogue import Catalogue, Product
from topview_pipeline.ledger import LastOrder, Ledger, OrderState, Task
from topview_pipeline.portfolio.doubtful import in_bad_rows
from topview_pipeline.portfolio.origins import Origins, number_sent
from topview_pipeline.portfolio.shown import (
    Outcome,
    ProductShown,
    SceneShown,
    StageShown,
    file_of,
    refusal_of,
)
from topview_pipeline.stages import FINISHED_VIDEO, REPLACED_IMAGES, STAGES, Stage
from topview_pipeline.topview.models import ImageReplaceResult


def read_portfolio(catalogue: Catalogue, ledger: Ledger) -> list[ProductShown]:
    """Every product of a catalogue as it stands, in its order; those in bad rows come last."""
    reader = _Reader(ledger)
    bad = in_bad_rows(catalogue, ledger)
    return [
        *(reader.shown(product_id, one) for product_id, one in catalogue.products.items()),
        *(reader.shown(product_id, None, problem) for product_id, problem in bad.items()),
    ]


class _Reader:
    def __init__(self, ledger: Ledger) -> None:
        self._stored = ledger.standing.last_stored()
        self._orders = ledger.standing.last_orders()
        self._choices = ledger.choices.all()
        self._origins = Origins(ledger, self._stored.values())
        self._seen_late = ledger.history.seen_late()

    def shown(
        self, product_id: str, product: Product | None, row_problem: str | None = None
    ) -> ProductShown:
        stages = {stage.key: self._stage(product_id, stage) for stage in STAGES}
        video = stages[FINISHED_VIDEO.key].row
        now = stages[REPLACED_IMAGES.key].row
        origin, number = None, None
        if video is None:
            behind = {key: one.row for key, one in stages.items() if one.row is not None}
        else:
            behind = self._origins.of_video(video)
            origin = behind.get(REPLACED_IMAGES.key)
            number = None if origin is None else number_sent(video, origin)
        is_newest = origin is not None and now is not None and origin.id == now.id
        return ProductShown(
            product_id=product_id,
            product=product,
            stages=stages,
            scenes=()
            if now is None
            else self._scenes(product_id, now, number if is_newest else None),
            scene=None
            if origin is None or number is None
            else file_of(origin, _scene_name(number)),
            behind=behind,
            seconds=self._seconds(behind.values()),
            row_problem=row_problem,
        )

    def _stage(self, product_id: str, stage: Stage) -> StageShown:
        key = product_id, stage.key
        row, order = self._stored.get(key), self._orders.get(key)
        outcome = _outcome(order, row)
        refused = None if row is None else refusal_of(row)
        told = order is not None and outcome not in ("done", "new")
        return StageShown(
            stage=stage,
            outcome=outcome,
            row=row,
            what=order.what if order is not None and told else None,
            mend=order.mend if order is not None and told else None,
            held=order.held if order is not None and told else None,
            refused=refused,
        )

    def _scenes(self, product_id: str, scene: Task, used: int | None) -> tuple[SceneShown, ...]:
        chosen = self._choices.get((product_id, scene.fingerprint))
        images = ImageReplaceResult.model_validate(scene.result or {}).images
        files = (
            (number, file_of(scene, _scene_name(number))) for number in range(1, len(images) + 1)
        )
        return tuple(
            SceneShown(
                number=number,
                image=file,
                has_face=images[number - 1].face_existence,
                is_chosen=number == chosen,
                is_used=number == used,
            )
            for number, file in files
            if file is not None
        )

    def _seconds(self, rows: Iterable[Task]) -> float | None:
        total, any_row = 0.0, False
        for row in rows:
            if row.succeeded_at is None or row.pending_at is None or row.id in self._seen_late:
                return None
            total += row.succeeded_at - row.pending_at
            any_row = True
        return total if any_row else None


def _scene_name(number: int) -> str:
    return f"scene_{number}.png"


def _outcome(order: LastOrder | None, row: Task | None) -> Outcome:
    if order is None or order.state is OrderState.WITHDRAWN:
        return "new" if row is None else "done"
    if order.state is OrderState.FAILED:
        return "failed"
    if order.state is OrderState.OPEN:
        return "pending" if order.held is None else "held"
    return "new" if row is None else "done"
