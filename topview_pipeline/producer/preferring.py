"""How people's choices of images enter the data version of productScript.

The version covers every choice that a product has, whichever scene it is of. So it changes when a
person chooses and at no other time: a new scene, for which nobody has chosen yet, leaves it as it
is. A choice of the image that is taken anyway does not enter it, for nothing is to be made anew.

Pure. What a choice does to the request is `work.piece_of`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from topview_pipeline.catalogue import Product
from topview_pipeline.ledger import ChosenScene
from topview_pipeline.stages import FINISHED_VIDEO, PreconditionError, Stage
from topview_pipeline.stages.scenes import choose_image
from topview_pipeline.stages.shapes import CHOICES, Shape
from topview_pipeline.topview.models import ImageReplaceResult

ChosenByProduct = Mapping[str, Sequence[ChosenScene]]


def shape_with_choices(
    stage: Stage, shape: Shape, product: Product, chosen: Iterable[ChosenScene]
) -> Shape:
    """The product's own inputs of a stage, with the choices that people made since.

    Args:
        shape: as the catalogue gives it; choices that are in it already are replaced.
        chosen: the product's.
    """
    if stage is not FINISHED_VIDEO:
        return shape
    values = {name: value for name, value in shape.values.items() if name != CHOICES}
    other = {
        scene.fingerprint: scene.image
        for scene in chosen
        if scene.image != _taken_anyway(product, scene)
    }
    return Shape({**values, CHOICES: other} if other else values)


def _taken_anyway(product: Product, scene: ChosenScene) -> int | None:
    """Number of the image that goes into the video when nobody chooses."""
    if scene.result is None:
        return None
    try:
        return choose_image(
            ImageReplaceResult.model_validate(scene.result).images,
            wanted=product.chosen_image,
            mode=product.mode,
            # Whether a scene without a face may be used is asked elsewhere; its number is the same.
            when_no_face="avatar2",
        ).number
    except PreconditionError:
        return None
