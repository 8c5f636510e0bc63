"""A place in a picture made straight, and the same place a little smaller, moved or turned.

What is compared with it is in `likeness`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageFilter

SIDE: Final = 16
"""Patches are squares of this side, in pixels: finer than that, nothing is blended in alike."""
_MARGIN: Final = 0.25
"""Of the place's sides, kept around it: a moved or turned place reaches over its edge."""
_WIDE: Final = 48
"""Pixels of the straight picture, margins and all."""

Quad = Sequence[Sequence[float]]
"""Top left, top right, bottom right, bottom left, as fractions of the picture."""


@dataclass(frozen=True)
class Placement:
    """Where in its place a thing may stand.

    Attributes:
        scale: of its sides, 1 fills the place.
        right, down: from the middle, in sides of the place.
        degrees: turned by, clockwise.
    """

    scale: float = 1.0
    right: float = 0.0
    down: float = 0.0
    degrees: float = 0.0


AS_PUT: Final = Placement()
NEARBY: Final = tuple(
    Placement(scale, right, down, degrees)
    for scale in (1.0, 0.85, 0.7)
    for degrees in (0.0, -10.0, 10.0, -20.0, 20.0)
    for right in (0.0, -0.1, 0.1)
    for down in (0.0, -0.1, 0.1)
)
"""Topview blends a product in: it comes out smaller, moved and turned."""


class Straightened:
    """A place in a picture as if it were seen from the front.

    Args:
        aspect: width by height of what was put there.
    """

    def __init__(self, picture: Image.Image, place: Quad, aspect: float) -> None:
        self._seen = _straightened(picture, _widened(picture, place))
        self._aspect = aspect

    def patch(self, placement: Placement) -> Image.Image:
        """What is seen there, of `SIDE` x `SIDE` pixels."""
        place = _WIDE / (1 + 2 * _MARGIN)
        step = place / SIDE
        along = math.cos(math.radians(placement.degrees)) * placement.scale
        across = math.sin(math.radians(placement.degrees)) * placement.scale
        # A square stands for a place of another aspect, in which a turn is no turn of the square.
        tilt_x, tilt_y = -across / self._aspect, across * self._aspect
        left = place * (_MARGIN + 0.5 + placement.right - 0.5 * (along + tilt_x))
        top = place * (_MARGIN + 0.5 + placement.down - 0.5 * (along + tilt_y))
        return self._seen.transform(
            (SIDE, SIDE),
            Image.Transform.AFFINE,
            (along * step, tilt_x * step, left, tilt_y * step, along * step, top),
            Image.Resampling.BILINEAR,
        )


def _widened(picture: Image.Image, place: Quad) -> list[tuple[float, float]]:
    """The place and its margin, as pixels."""
    corners = [(x * picture.width, y * picture.height) for x, y in place]

    def at(u: float, v: float) -> tuple[float, float]:
        shares = ((1 - u) * (1 - v), u * (1 - v), u * v, (1 - u) * v)
        x, y = (
            sum(share * corner[axis] for share, corner in zip(shares, corners, strict=True))
            for axis in (0, 1)
        )
        return x, y

    low, high = -_MARGIN, 1 + _MARGIN
    return [at(low, low), at(high, low), at(high, high), at(low, high)]


def _straightened(picture: Image.Image, corners: Sequence[tuple[float, float]]) -> Image.Image:
    """The quadrilateral as a square; black where it reaches over the picture's edge."""
    left, top = (max(int(min(axis)), 0) for axis in zip(*corners, strict=True))
    right = min(math.ceil(max(x for x, _ in corners)) + 1, picture.width)
    bottom = min(math.ceil(max(y for _, y in corners)) + 1, picture.height)
    area = picture.crop((left, top, max(right, left + 1), max(bottom, top + 1))).convert("RGB")
    # Shrunk first: `transform` looks at single pixels, and a pattern finer than those is noise.
    factor = max(min(area.size) // _WIDE, 1)
    area = area.reduce(factor)
    top_left, top_right, bottom_right, bottom_left = (
        ((x - left) / factor, (y - top) / factor) for x, y in corners
    )
    straight = area.transform(
        (_WIDE, _WIDE),
        Image.Transform.QUAD,
        (*top_left, *bottom_left, *bottom_right, *top_right),
        Image.Resampling.BILINEAR,
    )
    # A patch has half the pixels a side.
    return straight.filter(ImageFilter.BoxBlur(1))
