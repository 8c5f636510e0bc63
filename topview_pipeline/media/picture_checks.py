"""The checks of pictures: a cut-out is a part of its photo, a scene's images show something.

Not here: whether a scene is a good picture, or shows the product. Topview lights, turns and moves
it; a person has to look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from topview_pipeline.media.probe import Media, is_stand_in, opened_image
from topview_pipeline.media.verdict import MAKE_AGAIN, STAND_IN, Findings, Verdict
from topview_pipeline.text import counted

if TYPE_CHECKING:
    from PIL import Image

LEAST_COVERAGE: Final = 0.02
"""Of the cut-out, which is cropped to the product: even a ring or a chain covers more."""
MOST_COVERAGE: Final = 0.998
"""A box seen from the front fills its crop except for the rounding of its corners."""
FULL_PHOTO: Final = 0.98
"""A cut-out of this share of the photo's area that is opaque all over is the photo itself."""
LEAST_CUTOUT_SIDE: Final = 16  # pixels: nothing can be recognized on less
LEAST_SCENE_SIDE: Final = 240  # pixels: half the size of the smallest video that is made of it
LEAST_CONTRAST: Final = 3.0  # standard deviation of grey values (0 to 255): less is one flat colour
_LEAST_ALPHA: Final = 32  # of 255: below it a pixel belongs to the haze of a soft edge
_SMALL: Final = 96  # pixels of the longer side at which contrast is measured
_ANOTHER_PHOTO: Final = (
    "take another photo, with one product before a plain background, and materialize it again"
)
_ANOTHER_SCENE: Final = "change template, location or prompt, or remake it with force"


def check_cutout(cutout: Media, mask: Media | None) -> Verdict:
    """Check that a cut-out is neither empty nor the whole photo.

    Args:
        cutout: As Topview gave it, cropped to the product.
        mask: Has the size of the photo; without it a cut-out that is opaque all over passes.

    Raises:
        MediaError: A file cannot be decoded, or the machine could not read it.
    """
    with opened_image(cutout) as image:
        if is_stand_in(image.info):
            return STAND_IN
        found, coverage = Findings(), _coverage(image)
        width, height = image.size
    found.numbers |= {"width_pixels": width, "height_pixels": height, "coverage": coverage}
    if min(width, height) < LEAST_CUTOUT_SIDE:
        found.error(f"the cut-out is only {width} x {height} pixels", _ANOTHER_PHOTO)
    if coverage < LEAST_COVERAGE:
        found.error(f"the cut-out is empty: {coverage:.1%} of it is visible", _ANOTHER_PHOTO)
    elif coverage > MOST_COVERAGE:
        _check_opaque(found, width * height, mask)
    return found.verdict(f"The product covers {coverage:.0%} of its cut-out.")


def check_scene(images: Sequence[tuple[Media, bool | None]]) -> Verdict:
    """Check that a scene's images are large enough, and show something and a face.

    The scene fails when every image does; each image has its own verdict in `images`.

    Args:
        images: Each image in Topview's order, and what Topview's `faceExistence` says of it.

    Raises:
        MediaError: A file cannot be decoded, or the machine could not read it.
    """
    found = Findings(images=len(images))
    if not images:
        found.error("it has no picture", MAKE_AGAIN)
        return found.verdict("")
    stand_ins, sizes, each = 0, [], []
    for media, has_face in images:
        with opened_image(media) as image:
            stand_ins += is_stand_in(image.info)
            sizes.append(image.size)
            each.append(_check_image(image, has_face))
    faces = [has_face for _, has_face in images]
    if stand_ins == len(images):
        return replace(STAND_IN, numbers={**found.numbers, **_counted(faces)})
    flat = sum(verdict.is_refused for verdict in each)
    width, height = min(sizes, key=min)
    found.numbers |= {"width_pixels": width, "height_pixels": height, "flat_images": flat}
    if flat == len(images):
        found.error("every scene is one flat colour", _ANOTHER_SCENE)
    elif flat:
        found.warn(f"{flat} of {len(images)} scenes are one flat colour", _ANOTHER_SCENE)
    if min(width, height) < LEAST_SCENE_SIDE:
        found.warn(f"a scene is only {width} x {height} pixels", "use a larger template")
    _check_faces(found, faces)
    verdict = found.verdict(
        f"{counted(len(images), 'scene')} of at least {width} x {height} pixels."
    )
    return replace(verdict, images=tuple(each))


def _check_image(image: Image.Image, has_face: bool | None) -> Verdict:
    found, (width, height) = Findings(), image.size
    if _is_flat(image):
        found.error("it is one flat colour", _ANOTHER_SCENE)
    if min(width, height) < LEAST_SCENE_SIDE:
        found.warn(f"it is only {width} x {height} pixels", "use a larger template")
    _check_faces(found, [has_face])
    return found.verdict(f"{width} x {height} pixels.")


def _coverage(picture: Image.Image) -> float:
    """The share of a picture that is not transparent, from 0 to 1."""
    if not picture.has_transparency_data:
        return 1.0
    counts = picture.convert("RGBA").getchannel("A").histogram()
    return sum(counts[_LEAST_ALPHA:]) / max(sum(counts), 1)


def _check_opaque(found: Findings, pixels: int, mask: Media | None) -> None:
    """Tell the whole photo from a rectangular product that is cropped to itself."""
    if mask is None:
        found.not_measured("whether it is the whole photo: there is no mask to compare with")
        return
    with opened_image(mask) as photo:
        share = pixels / max(photo.width * photo.height, 1)
    found.numbers["share_of_photo"] = share
    if share >= FULL_PHOTO:
        found.error("nothing was cut out: it is the whole photo", _ANOTHER_PHOTO)


def _counted(faces: Sequence[bool | None]) -> dict[str, float]:
    return {"images_with_face": faces.count(True), "images_without_face": faces.count(False)}


def _check_faces(found: Findings, faces: Sequence[bool | None]) -> None:
    found.numbers |= _counted(faces)
    if any(faces):
        return
    if None in faces:
        found.not_measured("whether there is a face: Topview does not say")
    else:
        found.warn(
            "Topview found no face in any scene",
            "only mode avatar2 animates it; choose a template with a person if one is to speak",
        )


def _is_flat(image: Image.Image) -> bool:
    from PIL import ImageStat

    small = image.convert("L").reduce(max(max(image.size) // _SMALL, 1))
    return max(ImageStat.Stat(small).stddev) < LEAST_CONTRAST
