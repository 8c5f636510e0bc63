"""The images of a scene: a face where Topview found one, and the product where it was put.

Coarse on purpose: it tells a scene that shows something else from one that shows the product, not
a good picture from a bad one. Light and fingers change a product's pixels, and Topview moves and
turns it as it blends it in: only what has neither its pattern nor its colour is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageStat

from topview_pipeline.quality.likeness import Likeness, likeness
from topview_pipeline.quality.patches import Quad
from topview_pipeline.quality.standins import WHY, is_stand_in
from topview_pipeline.quality.verdict import Findings, Verdict, unmeasured

LEAST_SKIN: Final = 0.001
"""Of the picture: a face of a thirtieth of its width."""
LEAST_CONTRAST: Final = 3.0
"""Standard deviation of grey values (0 to 255): less is one flat colour."""
_LEAST_COLOUR: Final = 4.0
"""Mean saturation (0 to 255): less is a black and white picture, which shows no skin colour."""
_SKIN_BLUE: Final = (77, 127)
_SKIN_RED: Final = (133, 173)
"""Chroma of human skin, dark and light alike: D. Chai and K. Ngan, IEEE Trans. CSVT 9 (4), 1999."""
_SMALL: Final = 96
"""Pixels of the longer side at which colours are counted."""
_ANOTHER: Final = "change template, location or prompt, or have it made anew with force"


@dataclass(frozen=True)
class SceneImage:
    """One image of a scene, and whether Topview says that it shows a face."""

    image: Image.Image
    has_face: bool | None


def measure_scene(
    images: Sequence[SceneImage], cutout: Image.Image | None, place: Quad | None
) -> Verdict:
    """Whether a scene's images show what they should.

    Args:
        images: in Topview's order.
        cutout: the product, transparent around it; None when it is not to be had.
        place: where the product was put; None when Topview chose the place.
    """
    if images and all(is_stand_in(one.image.info) for one in images):
        return unmeasured(WHY)
    found = Findings()
    found.numbers |= {
        "images": len(images),
        "images_with_face": sum(bool(one.has_face) for one in images),
    }
    small = [_small(one.image) for one in images]
    if all(map(_is_flat, small)):
        found.wrong("every image is one flat colour", _ANOTHER)
        return found.verdict("")
    _look_for_faces(found, [(one.has_face, seen) for one, seen in zip(images, small, strict=True)])
    if place is None:
        found.not_measured("whether the product is where it was put: Topview chose the place")
    elif cutout is None:
        found.not_measured("whether the product is where it was put: its cut-out is not there")
    else:
        _look_for_product(found, [likeness(one.image, place, cutout) for one in images])
    return found.verdict(f"{len(images)} images show what they should.")


def _look_for_faces(found: Findings, seen: Sequence[tuple[bool | None, Image.Image]]) -> None:
    """By what Topview says of each image, and the image made small."""
    if all(has_face is None for has_face, _ in seen):
        found.not_measured("whether there is a face: Topview does not say")
        return
    if not any(has_face for has_face, _ in seen):
        found.doubt(
            "Topview found no face in any image",
            "only mode avatar2 animates it; choose a template with a person if one is to speak",
        )
        return
    skin = [_skin(small) for has_face, small in seen if has_face]
    known = [share for share in skin if share is not None]
    if not known:
        found.not_measured("whether there is a face: the images have no colour")
        return
    found.numbers["skin_share"] = max(known)
    if len(known) == len(skin) and max(known) < LEAST_SKIN:
        found.doubt("Topview says that there is a face, and nothing has a skin's colour", _ANOTHER)


def _look_for_product(found: Findings, seen: Sequence[Likeness]) -> None:
    best = max(seen, key=lambda one: (one.is_there, not one.is_absent, one.pattern))
    found.numbers |= {
        "images_with_product": sum(one.is_there for one in seen),
        "product_pattern_likeness": best.pattern,
        "product_colour_distance": best.colour_distance,
    }
    if best.is_absent:
        found.wrong("no image shows the product where it was put", _ANOTHER)
    elif not best.is_there:
        found.doubt("the product is not recognized in any image where it was put", _ANOTHER)


def _is_flat(small: Image.Image) -> bool:
    return max(ImageStat.Stat(small.convert("L")).stddev) < LEAST_CONTRAST


def _skin(small: Image.Image) -> float | None:
    """The share of a picture that has a skin's colour; None without any colour."""
    if ImageStat.Stat(small.convert("HSV")).mean[1] < _LEAST_COLOUR:
        return None
    _, blue, red = small.convert("YCbCr").split()
    pairs = zip(blue.tobytes(), red.tobytes(), strict=True)
    count = sum(
        _SKIN_BLUE[0] <= b <= _SKIN_BLUE[1] and _SKIN_RED[0] <= r <= _SKIN_RED[1] for b, r in pairs
    )
    return count / (small.width * small.height)


def _small(image: Image.Image) -> Image.Image:
    factor = max(max(image.size) // _SMALL, 1)
    plain = image if image.mode in ("RGB", "L") else image.convert("RGB")
    return plain.reduce(factor).convert("RGB")
