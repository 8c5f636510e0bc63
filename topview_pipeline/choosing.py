"""A person chooses the image that becomes a product's video: checking it, and writing it down.

Not here: what a choice does to the request (`producer.choosing`) and to data versions
(`producer.preferring`).
"""

from __future__ import annotations

from collections.abc import Sequence

from topview_pipeline.ledger import Ledger, Task, TaskState
from topview_pipeline.stages import REPLACED_IMAGES
from topview_pipeline.topview.models import ImageReplaceResult, ReplacedImage


class ChoiceRefused(Exception):
    """There is no such image to choose: what is wrong, and how to mend it."""

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(f"{what}; {mend}")
        self.what, self.mend = what, mend


def choose(ledger: Ledger, product_id: str, image: int, *, who: str, why: str) -> Task:
    """Keep a person's choice among the scenes that a product has now.

    Args:
        image: number from 1, in Topview's order.

    Returns:
        The row of the scene that the choice is of.

    Raises:
        ChoiceRefused: the product has no scene, or no such image; nothing was written.
    """
    scene = ledger.tasks.last_stored(product_id, REPLACED_IMAGES.key)
    make = f"make it first: topview-pipeline run --stage {REPLACED_IMAGES.key}"
    if scene is None:
        raise ChoiceRefused(f"there is no scene of {product_id!r} yet", make)
    if scene.state is TaskState.SUPERSEDED:
        raise ChoiceRefused(f"Topview no longer knows the images of {product_id!r}", make)
    _check(product_id, image, ImageReplaceResult.model_validate(scene.result).images)
    ledger.choices.choose(product_id, scene.fingerprint, image, who=who, why=why)
    return scene


def _check(product_id: str, image: int, images: Sequence[ReplacedImage]) -> None:
    valid = [number for number, one in enumerate(images, 1) if one.image_id]
    if image in valid:
        return
    if not valid:
        raise ChoiceRefused(
            f"Topview gave {product_id!r} no image that can be chosen",
            "change the product's scene, or make replacedImages anew with --force",
        )
    raise ChoiceRefused(
        f"there is no image {image} of {product_id!r}",
        f"choose {_range(valid)}",
    )


def _range(valid: Sequence[int]) -> str:
    if valid == [1]:
        return "1, the only one"
    if list(valid) == list(range(1, len(valid) + 1)):
        return f"a number from 1 to {len(valid)}"
    return " or ".join(map(str, valid))
