"""What a producer is given, and what one stage of one product comes to. No acting here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from topview_pipeline.artifacts import Artifact
from topview_pipeline.catalogue import Product
from topview_pipeline.ledger import Order, Task
from topview_pipeline.stages import REPLACED_IMAGES, PreconditionError, Stage
from topview_pipeline.stages.requests import Upstream
from topview_pipeline.stages.scenes import ChosenImage, choose_image
from topview_pipeline.stages.shapes import Shape, video_shape, work_of
from topview_pipeline.topview.models import ImageReplaceResult


@dataclass(frozen=True)
class Work:
    """One product and what is ordered for it.

    Attributes:
        product: from the catalogue.
        orders: open orders of this run by stage key.
        shapes: the product's inputs by stage key, as they were read (and observed).
        problems: why a stage's inputs could not be read, by stage key.
    """

    product: Product
    orders: Mapping[str, Order]
    shapes: Mapping[str, Shape]
    problems: Mapping[str, PreconditionError] = field(default_factory=dict)


@dataclass(frozen=True)
class Piece:
    """One piece of work: everything that shapes a task, but its generation.

    Attributes:
        work: see `shapes.work_of`.
        mode: Topview's mode, for prices: the video's, or manual and auto of a scene.
    """

    stage: Stage
    product: Product
    shape: Shape
    upstream: Upstream | None
    chosen: ChosenImage | None
    work: str
    mode: str | None

    @cached_property
    def inputs(self) -> Mapping[str, str]:
        """Data version by asset key of what it is made from."""
        found = {self.stage.source: self.shape.version}
        if self.stage.upstream is not None and self.upstream is not None:
            found[self.stage.upstream] = data_version(self.upstream.fingerprint)
        return found


def upstream_of(task: Task) -> Upstream:
    """A stored row as what the next stage is made from."""
    return Upstream(
        fingerprint=task.fingerprint,
        result=task.result or {},
        artifacts=tuple(Artifact.from_json(artifact) for artifact in task.artifacts or ()),
    )


def data_version(fingerprint: str) -> str:
    """The Dagster data version of what a piece of work makes."""
    return fingerprint[:32]


def piece_of(
    stage: Stage,
    product: Product,
    shape: Shape,
    upstream: Upstream | None,
    *,
    account: str,
    preferred_image: int | None,
    when_no_face: Literal["fail", "avatar2"],
) -> Piece:
    """Put together what a stage of a product is made from.

    Args:
        preferred_image: a person's choice, from 1; it goes over the catalogue's column.

    Raises:
        PreconditionError: the upstream is missing, or no image of it will do.
    """
    if stage.upstream is not None and upstream is None:
        raise PreconditionError(
            f"there is no {stage.upstream} of this product",
            f"materialize {stage.upstream} first",
        )
    chosen = None
    mode: str | None = None
    if stage is REPLACED_IMAGES:
        mode = "manual" if product.location is not None else "auto"
    working_shape = shape
    if stage.upstream == REPLACED_IMAGES.key and upstream is not None:
        chosen = choose_image(
            ImageReplaceResult.model_validate(upstream.result).images,
            wanted=preferred_image if preferred_image is not None else product.chosen_image,
            mode=product.mode,
            when_no_face=when_no_face,
        )
        mode = chosen.mode
        working_shape = video_shape(shape, image=chosen.number, mode=chosen.mode)
    return Piece(
        stage=stage,
        product=product,
        shape=shape,
        upstream=upstream,
        chosen=chosen,
        work=work_of(
            account, stage, working_shape, None if upstream is None else upstream.fingerprint
        ),
        mode=mode,
    )
