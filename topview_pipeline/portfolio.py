"""What each product has come to: its pictures, its video, its costs and its troubles.

Read once for the whole catalogue, in a few queries. Manifest and gallery are made from it. It knows
nothing of Dagster, and looks into no file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

from topview_pipeline.artifacts import Artifact
from topview_pipeline.catalogue import Product
from topview_pipeline.ledger import HeldReason, LastOrder, Ledger, OrderState, Task
from topview_pipeline.producer import data_version
from topview_pipeline.quality import is_refused
from topview_pipeline.stages import (
    BG_REMOVED_IMAGE,
    FINISHED_VIDEO,
    REPLACED_IMAGES,
    STAGES,
    Stage,
)
from topview_pipeline.topview.models import Image2VideoRequest, ImageReplaceResult

Outcome = Literal["failed", "held", "pending", "done", "new"]
OUTCOMES: Final[tuple[Outcome, ...]] = ("failed", "held", "pending", "done", "new")
"""What has become of a stage or product, the worst first; "new": it was never ordered."""


@dataclass(frozen=True)
class SceneShown:
    """One image of replacedImages. `is_chosen`: a person prefers it; `is_used`: the video's."""

    number: int
    image: Artifact
    has_face: bool | None
    is_chosen: bool
    is_used: bool


@dataclass(frozen=True)
class StageShown:
    """Where one stage of a product stands.

    Attributes:
        row: what it last stored.
        what: why it failed or waits; `mend` what to do.
        held: which kind of waiting that is.
        refused: what its check of quality found that no customer may see.
    """

    stage: Stage
    outcome: Outcome
    row: Task | None
    what: str | None = None
    mend: str | None = None
    held: HeldReason | None = None
    refused: str | None = None

    def file(self, name: str) -> Artifact | None:
        """A stored file of this stage."""
        return None if self.row is None else file_of(self.row, name)


@dataclass(frozen=True)
class ProductShown:
    """A product with all its stages.

    Attributes:
        scenes: the images that it has now.
        scene: the image that its video was made from, which an older scene may have given.
        cutout: what its scene was made from.
    """

    product: Product
    stages: Mapping[str, StageShown]
    scenes: tuple[SceneShown, ...]
    scene: Artifact | None
    cutout: Artifact | None

    @property
    def outcome(self) -> Outcome:
        """That of its worst stage; of nothing but new ones and done ones: new."""
        found = {shown.outcome for shown in self.stages.values()}
        if found == {"done"}:
            return "done"
        return next((one for one in OUTCOMES if one in found and one != "done"), "new")

    @property
    def video(self) -> StageShown:
        """The last stage."""
        return self.stages[FINISHED_VIDEO.key]

    @property
    def credits(self) -> float | None:
        """What its stored results cost together; what it shares with others counts for each."""
        costs = [shown.row.cost_credits for shown in self.stages.values() if shown.row is not None]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if known else None

    @property
    def seconds(self) -> float | None:
        """That its stored results ran at Topview."""
        rows = (shown.row for shown in self.stages.values() if shown.row is not None)
        spans = [
            row.succeeded_at - row.pending_at
            for row in rows
            if row.succeeded_at is not None and row.pending_at is not None
        ]
        return sum(spans) if spans else None


def read_portfolio(products: Iterable[Product], ledger: Ledger) -> list[ProductShown]:
    """Every product as it stands, in the order given."""
    reader = _Reader(ledger)
    return [reader.shown(product) for product in products]


def file_of(row: Task, name: str) -> Artifact | None:
    """A stored file of a row by its name."""
    found = (Artifact.from_json(one) for one in row.artifacts or () if one.get("name") == name)
    return next(found, None)


def refusal_of(row: Task) -> str | None:
    """Why a stored result is never exported: its check failed. None: it may be.

    What nobody has measured, or could not, is not bad.
    """
    if row.quality is None or not is_refused(row.quality):
        return None
    return " ".join(str(row.quality[key]) for key in ("why", "mend") if row.quality.get(key))


class _Reader:
    def __init__(self, ledger: Ledger) -> None:
        self._stored = ledger.standing.last_stored()
        self._orders = ledger.standing.last_orders()
        self._choices = ledger.choices.all()
        self._ledger = ledger
        # A result names what it was made from by data version: mostly what is stored last.
        self._made = {
            (stage, data_version(row.fingerprint)): row for (_, stage), row in self._stored.items()
        }

    @cached_property
    def _older(self) -> Mapping[tuple[str, str], Task]:
        """What else is kept: the earlier scene of a video whose product has a newer one."""
        return {
            (stage.key, data_version(fingerprint)): row
            for stage in (BG_REMOVED_IMAGE, REPLACED_IMAGES)
            for fingerprint, row in self._ledger.standing.kept(stage.key).items()
        }

    def shown(self, product: Product) -> ProductShown:
        stages = {stage.key: self._stage(product.product_id, stage) for stage in STAGES}
        video = stages[FINISHED_VIDEO.key].row
        now = stages[REPLACED_IMAGES.key].row
        behind = self._behind(video, REPLACED_IMAGES) or (now if video is None else None)
        used = None if video is None else _number_sent(video, behind)
        cutout = self._behind(behind, BG_REMOVED_IMAGE)
        return ProductShown(
            product=product,
            stages=stages,
            scenes=()
            if now is None
            else self._scenes(product, now, used if now == behind else None),
            scene=None if used is None or behind is None else file_of(behind, _scene_name(used)),
            cutout=None if cutout is None else file_of(cutout, "cutout.png"),
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

    def _behind(self, row: Task | None, stage: Stage) -> Task | None:
        """The row of an earlier stage that a row was made from."""
        if row is None:
            return None
        version = (row.inputs or {}).get(stage.key)
        if version is None:
            return None
        return self._made.get((stage.key, version)) or self._older.get((stage.key, version))

    def _scenes(self, product: Product, scene: Task, used: int | None) -> tuple[SceneShown, ...]:
        chosen = self._choices.get((product.product_id, scene.fingerprint))
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


def _scene_name(number: int) -> str:
    return f"scene_{number}.png"


def _number_sent(video: Task, scene: Task | None) -> int | None:
    """The number of the image that a video was made from, among those of its scene."""
    if scene is None or not video.request:
        return None
    sent = Image2VideoRequest.model_validate(video.request).replace_product_task_image_id
    images = ImageReplaceResult.model_validate(scene.result or {}).images
    return next((number for number, one in enumerate(images, 1) if one.image_id == sent), None)


def _outcome(order: LastOrder | None, row: Task | None) -> Outcome:
    if order is None or order.state is OrderState.WITHDRAWN:
        return "new" if row is None else "done"
    if order.state is OrderState.FAILED:
        return "failed"
    if order.state is OrderState.OPEN:
        return "pending" if order.held is None else "held"
    return "new" if row is None else "done"
