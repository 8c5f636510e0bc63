"""How alike a place in a picture is to a product's cut-out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image

LEAST_PATTERN: Final = 0.55
"""Correlation: of unrelated products it reaches 0.54, of a product in its scene 0.97."""
MOST_COLOUR_DISTANCE: Final = 30.0
"""Between mean colours (RGB, 0 to 255 each)."""
PLAIN_SPREAD: Final = 18.0
"""Standard deviation of a colour (0 to 255) over a product: below it there is a colour and no
pattern, but for light and a small label. The sample catalogue's products have 39 to 84."""
_SIDE: Final = 32
"""Both are looked at on a square of this side, in pixels: coarser than any misalignment."""
_SEEN: Final = 128
_LEAST_SEEN: Final = 20
"""Pixels of that square that the product must cover to be compared at all."""


@dataclass(frozen=True)
class Likeness:
    """How alike two pictures of a thing are.

    Attributes:
        pattern: correlation of their grey values and colours, from -1 to 1.
        colour_distance: between their mean colours, from 0 to 441.
        is_plain: the product has no pattern that could be looked for.
    """

    pattern: float
    colour_distance: float
    is_plain: bool

    @property
    def is_there(self) -> bool:
        """Whether the picture may show the product.

        Colour speaks for plain products only: a grey wall has the mean colour of black and white
        stripes.
        """
        if self.pattern >= LEAST_PATTERN:
            return True
        return self.is_plain and self.colour_distance <= MOST_COLOUR_DISTANCE


def likeness(
    picture: Image.Image, place: Sequence[Sequence[float]], cutout: Image.Image
) -> Likeness:
    """Compare the content of a quadrilateral with what a cut-out shows.

    Args:
        place: top left, top right, bottom right, bottom left, as fractions of the picture.
    """
    seen = _straightened(picture, place)
    product = cutout.convert("RGBA").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    alpha = product.getchannel("A").tobytes()
    covered = [index for index, value in enumerate(alpha) if value >= _SEEN]
    if len(covered) < _LEAST_SEEN:
        covered = list(range(_SIDE * _SIDE))
    pairs = [
        (_values(channel, covered), _values(other, covered))
        for channel, other in zip(seen.split(), product.convert("RGB").split(), strict=True)
    ]
    distance = math.dist(*zip(*((_mean(one), _mean(other)) for one, other in pairs), strict=True))
    pattern = max(_correlation(one, other) for one, other in pairs)
    spread = max(math.sqrt(_variance(other)) for _, other in pairs)
    return Likeness(pattern, distance, is_plain=spread < PLAIN_SPREAD)


def _straightened(picture: Image.Image, place: Sequence[Sequence[float]]) -> Image.Image:
    """The quadrilateral as a square."""
    corners = [(x * picture.width, y * picture.height) for x, y in place]
    left, top = (max(int(min(axis)), 0) for axis in zip(*corners, strict=True))
    right = min(math.ceil(max(x for x, _ in corners)) + 1, picture.width)
    bottom = min(math.ceil(max(y for _, y in corners)) + 1, picture.height)
    area = picture.crop((left, top, max(right, left + 1), max(bottom, top + 1))).convert("RGB")
    # Shrunk first: `transform` looks at single pixels, and a pattern finer than those is noise.
    factor = max(min(area.size) // _SIDE, 1)
    area = area.reduce(factor)
    top_left, top_right, bottom_right, bottom_left = (
        ((x - left) / factor, (y - top) / factor) for x, y in corners
    )
    return area.transform(
        (_SIDE, _SIDE),
        Image.Transform.QUAD,
        (*top_left, *bottom_left, *bottom_right, *top_right),
        Image.Resampling.BILINEAR,
    )


def _values(channel: Image.Image, covered: Sequence[int]) -> list[int]:
    data = channel.tobytes()
    return [data[index] for index in covered]


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values)


def _variance(values: Sequence[int]) -> float:
    mean = _mean(values)
    return sum((value - mean) ** 2 for value in values) / len(values)


def _correlation(one: Sequence[int], other: Sequence[int]) -> float:
    """Pearson's; 0 where one of them has no pattern."""
    mean, other_mean = _mean(one), _mean(other)
    together = sum((a - mean) * (b - other_mean) for a, b in zip(one, other, strict=True))
    spread = sum((a - mean) ** 2 for a in one) * sum((b - other_mean) ** 2 for b in other)
    return together / math.sqrt(spread) if spread > 1e-6 else 0.0
