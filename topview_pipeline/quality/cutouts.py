"""A cut-out: something of the photo is left, and not all of it."""

from __future__ import annotations

from typing import Final

from PIL import Image

from topview_pipeline.quality.standins import WHY, is_stand_in
from topview_pipeline.quality.verdict import Findings, Verdict, unmeasured

LEAST_COVERAGE: Final = 0.02
"""Of the picture, which is cropped to the product: even a ring or a chain covers more."""
MOST_COVERAGE: Final = 0.998
"""A box seen from the front fills its crop but for the rounding of its corners."""
FULL_PHOTO: Final = 0.98
"""A cut-out of this share of the photo's area that is opaque all over is the photo itself."""
LEAST_SIDE: Final = 16
"""Pixels: nothing can be recognized on less."""
_SEEN: Final = 32
"""Alpha (of 255) from which a pixel counts as there: below it is the haze of a soft edge."""
_LOOK_AGAIN: Final = (
    "take another photo, with one product before a plain background, and materialize it again"
)


def measure_cutout(cutout: Image.Image, photo: tuple[int, int] | None) -> Verdict:
    """Whether a cut-out is neither empty nor the whole photo.

    Args:
        cutout: as Topview gave it, cropped to the product.
        photo: width and height of what it was cut out of; the mask keeps them.
    """
    if is_stand_in(cutout.info):
        return unmeasured(WHY)
    found = Findings()
    width, height = cutout.size
    found.numbers |= {"width_pixels": width, "height_pixels": height}
    if min(width, height) < LEAST_SIDE:
        found.wrong(f"the cut-out is only {width} x {height} pixels", _LOOK_AGAIN)
    coverage = coverage_of(cutout)
    found.numbers["coverage"] = coverage
    if coverage < LEAST_COVERAGE:
        found.wrong(f"the cut-out is empty: {coverage:.1%} of it is visible", _LOOK_AGAIN)
    elif coverage > MOST_COVERAGE:
        _opaque(found, cutout, photo)
    return found.verdict(f"The product covers {coverage:.0%} of its cut-out.")


def coverage_of(picture: Image.Image) -> float:
    """The share of a picture that is not transparent, from 0 to 1."""
    if not picture.has_transparency_data:
        return 1.0
    counts = picture.convert("RGBA").getchannel("A").histogram()
    return sum(counts[_SEEN:]) / max(sum(counts), 1)


def _opaque(found: Findings, cutout: Image.Image, photo: tuple[int, int] | None) -> None:
    """Opaque all over is the whole photo, or a rectangular product cropped to itself."""
    if photo is None:
        found.not_measured("whether it is the whole photo: there is no mask to compare with")
        return
    share = cutout.width * cutout.height / max(photo[0] * photo[1], 1)
    found.numbers["share_of_photo"] = share
    if share >= FULL_PHOTO:
        found.wrong("nothing was cut out: it is the whole photo", _LOOK_AGAIN)
