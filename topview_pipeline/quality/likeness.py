"""How alike a place in a picture is to a product's cut-out.

The margins were measured with the sample catalogue: each of its products pasted into the photos of
its templates at 75 to 100 % of its place, shifted by up to 12 % and turned by up to 20 degrees;
every other product in the same place; and the photos without any.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul
from typing import Final

from PIL import Image

from topview_pipeline.quality.patches import AS_PUT, NEARBY, SIDE, Quad, Straightened

LEAST_PATTERN: Final = 0.8
"""Correlation from which the product is there. Of the product it was 0.74 and more, 0.86 and more
just where it was put; of other products, some of the same outline, up to 0.83."""
MOST_PATTERN_OF_ANOTHER: Final = 0.65
"""Up to this it may be something else. Of photos without any product it was 0.34 at most."""
NEAR_COLOUR: Final = 30.0
"""Between mean colours (RGB, 0 to 255 each): a plain product so near is there."""
FAR_COLOUR: Final = 45.0
"""The product was within 26 of its own, and within 91 in warm light, which leaves its pattern."""
PLAIN_SPREAD: Final = 18.0
"""Standard deviation of a colour (0 to 255) over a product: below it there is a colour and no
pattern, but for light and a small label. The sample catalogue's products have 39 to 84."""
_SEEN: Final = 128
_LEAST_SEEN: Final = 5
"""Pixels of a patch that the product must cover to be compared at all."""


@dataclass(frozen=True)
class Likeness:
    """How alike two pictures of a thing are.

    Attributes:
        pattern: correlation of their colours, from -1 to 1: the best that was found.
        colour_distance: between their mean colours, from 0 to 441: the least that was found.
        is_plain: the product has no pattern that could be looked for.
    """

    pattern: float
    colour_distance: float
    is_plain: bool

    @property
    def is_there(self) -> bool:
        """Whether the picture shows the product.

        Colour speaks for plain products only: a grey wall has the mean colour of black and white
        stripes.
        """
        if self.is_plain:
            return self.colour_distance <= NEAR_COLOUR
        return self.pattern >= LEAST_PATTERN

    @property
    def is_absent(self) -> bool:
        """Whether the picture certainly shows something else: pattern and colour both say so.

        A product that is blended in, lit and turned may be neither there nor absent.
        """
        is_another = self.is_plain or self.pattern <= MOST_PATTERN_OF_ANOTHER
        return is_another and self.colour_distance >= FAR_COLOUR


def likeness(picture: Image.Image, place: Quad, cutout: Image.Image) -> Likeness:
    """Compare the content of a quadrilateral, and what is around it, with what a cut-out shows."""
    product = _Product(cutout)
    seen = Straightened(picture, place, cutout.width / cutout.height)
    pattern, distance = product.compare(seen.patch(AS_PUT))
    just_there = Likeness(pattern, distance, product.is_plain)
    if just_there.is_there:
        return just_there
    compared = [product.compare(seen.patch(placement)) for placement in NEARBY]
    patterns, distances = zip(*compared, strict=True)
    return Likeness(max(patterns), min(distances), product.is_plain)


class _Product:
    """What a cut-out shows, made ready to be compared with many patches."""

    def __init__(self, cutout: Image.Image) -> None:
        small = cutout.convert("RGBA").resize((SIDE, SIDE), Image.Resampling.BOX)
        alpha = small.getchannel("A").tobytes()
        self._covered = [index for index, value in enumerate(alpha) if value >= _SEEN]
        if len(self._covered) < _LEAST_SEEN:
            self._covered = list(range(SIDE * SIDE))
        channels = self._values(small.convert("RGB"))
        self._means = [sum(values) / len(values) for values in channels]
        self._centred = [
            [value - mean for value in values]
            for values, mean in zip(channels, self._means, strict=True)
        ]
        spreads = [sum(map(mul, values, values)) for values in self._centred]
        self._spread = sum(spreads)
        self.is_plain = math.sqrt(max(spreads) / len(self._covered)) < PLAIN_SPREAD

    def compare(self, patch: Image.Image) -> tuple[float, float]:
        """Pearson's correlation, 0 where the patch has no pattern; distance of mean colours."""
        together = spread = 0.0
        means = []
        for values, centred in zip(self._values(patch), self._centred, strict=True):
            mean = sum(values) / len(values)
            together += sum(map(mul, values, centred))
            spread += sum(map(mul, values, values)) - len(values) * mean * mean
            means.append(mean)
        scale = math.sqrt(max(spread, 0.0) * self._spread)
        return together / scale if scale > 1.0 else 0.0, math.dist(means, self._means)

    def _values(self, picture: Image.Image) -> list[Sequence[int]]:
        """By channel, of the pixels that the product covers."""
        channels = (channel.tobytes() for channel in picture.split())
        return [[data[index] for index in self._covered] for data in channels]
