"""Which of the replaced images becomes the video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from topview_pipeline.stages import PreconditionError
from topview_pipeline.topview.models import ReplacedImage

FACELESS_MODE = "avatar2"
"""The only mode that takes an image without a face (docs: pa2_image2video_submit_task)."""


def modes_that_may_be_sent(mode: str, when_no_face: Literal["fail", "avatar2"]) -> tuple[str, ...]:
    """The modes in which a product's video may be made, as its scene is not known yet."""
    return (mode,) if when_no_face == "fail" or mode == FACELESS_MODE else (mode, FACELESS_MODE)


@dataclass(frozen=True)
class ChosenImage:
    """The image that goes into the video: its number from 1, its id, and the mode to send."""

    number: int
    image_id: str
    mode: str


def choose_image(
    images: Sequence[ReplacedImage],
    *,
    wanted: int | None,
    mode: str,
    when_no_face: Literal["fail", "avatar2"],
) -> ChosenImage:
    """The wanted image, else the first with a face, else what `when_no_face` allows.

    Args:
        images: in Topview's order.
        wanted: number from 1 that a person or the catalogue prefers.
        mode: of the product's row.
        when_no_face: whether an image without a face may go in `avatar2` instead.

    Raises:
        PreconditionError: there is no such image, or no face for this mode.
    """
    usable = [(number, image) for number, image in enumerate(images, 1) if image.image_id]
    if wanted is not None:
        usable = [pair for pair in usable if pair[0] == wanted]
        if not usable:
            raise PreconditionError(
                f"image {wanted} was chosen, and replacedImages has {len(images)}",
                f"set chosen_image to a number from 1 to {len(images)}, or leave it empty",
            )
    if not usable:
        raise PreconditionError(
            "Topview returned no image with an id",
            "make replacedImages anew with force, or change the product's scene",
        )
    for number, image in usable:
        if image.face_existence is not False:
            return ChosenImage(number, str(image.image_id), mode)
    if mode != FACELESS_MODE and when_no_face == "fail":
        raise PreconditionError(
            f"no face was found in the scene, and mode {mode} needs one",
            "set the row's mode to avatar2, set TOPVIEW_WHEN_NO_FACE=avatar2, choose another "
            "image, or change the scene's template or prompt",
        )
    number, image = usable[0]
    return ChosenImage(number, str(image.image_id), FACELESS_MODE)
