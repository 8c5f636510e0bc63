"""Which image of a scene is preferred: a person's choice, else the catalogue's column.

A choice is of pictures that somebody saw. When the scene was made anew because Topview forgot it,
there are other pictures, and the video waits until somebody has chosen of those.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from topview_pipeline.catalogue import Product
from topview_pipeline.ledger import ChosenScene, HeldReason, Task, TaskState
from topview_pipeline.producer.desk import Desk
from topview_pipeline.producer.outcomes import HeldError
from topview_pipeline.stages import FINISHED_VIDEO
from topview_pipeline.topview.models import Image2VideoRequest, ImageReplaceResult


def persons_choice(
    desk: Desk, product: Product, scene: Task, chosen: Sequence[ChosenScene]
) -> int | None:
    """The image that a person chose of this scene, from 1; it goes over the catalogue's column.

    Args:
        chosen: all of the product's choices.

    Raises:
        HeldError: the scene is dead, or what was chosen, by a person or in the catalogue, is of
            an earlier one.
    """
    if scene.state is TaskState.SUPERSEDED:
        raise _dead(product, scene)
    choice = next((one for one in chosen if one.fingerprint == scene.fingerprint), None)
    dead = [
        row
        for row in desk.ledger.tasks.of_fingerprint(scene.fingerprint)
        if row.state is TaskState.SUPERSEDED and row.id < scene.id
    ]
    if not dead:
        return None if choice is None else choice.image
    if choice is not None:
        if choice.chosen_at < (scene.stored_at or 0.0):
            raise _choose_again(choice.image)
        return choice.image
    column = product.chosen_image
    if column is not None and _sent_last(desk, product, dead) in (None, column):
        raise _choose_again(column)
    return None


def _sent_last(desk: Desk, product: Product, scenes: Sequence[Task]) -> int | None:
    """Number of the image that a video of these scenes was last asked for with.

    Another number in the column was put there since.
    """
    numbers = {
        image.image_id: number
        for scene in scenes
        for number, image in enumerate(ImageReplaceResult.model_validate(scene.result).images, 1)
    }
    videos = desk.ledger.tasks.of_product(product.product_id, FINISHED_VIDEO.key)
    sent = (
        Image2VideoRequest.model_validate(row.request).replace_product_task_image_id
        for row in reversed(videos)
        if row.request
    )
    return next((numbers[image_id] for image_id in sent if image_id in numbers), None)


def _dead(product: Product, scene: Task) -> HeldError:
    return HeldError(
        HeldReason.DEAD_IMAGE,
        "Topview no longer knows the scene's images; have replacedImages made anew together with "
        f"the video: topview-pipeline run --product {shlex.quote(product.product_id)} "
        "--stage replacedImages --stage finishedVideo",
        task=scene,
    )


def _choose_again(image: int) -> HeldError:
    return HeldError(
        HeldReason.CHOICE,
        f"image {image} was chosen of scenes that Topview forgot and that were made anew since: "
        "look at the new ones (topview-pipeline gallery) and choose again with topview-pipeline "
        "choose PRODUCT IMAGE, or leave chosen_image empty for the first with a face",
    )
