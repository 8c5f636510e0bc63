"""Where a product goes: the quad that the request gives, or the place that the picture offers.

Quads are four points in pixels of the template, in the order top left, top right, bottom right,
bottom left.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .backdrop import to_lab
from .faces import Face
from .media import MediaError
from .pictures import Pixels

Quad = npt.NDArray[np.float64]

_WORKING_WIDTH = 270
_SKIN_REACH = 11.0
"""CIE76, colour counted more than lightness: how far a hand's colour may be from the face's."""

_TALLEST, _WIDEST = 3.3, 2.75
"""Of a product in two hands, in distances between the person's eyes."""

_WORDS = {
    "tiny": 0.65, "small": 0.8, "smaller": 0.8, "little": 0.8,
    "big": 1.2, "bigger": 1.2, "large": 1.2, "larger": 1.2, "huge": 1.4,
}  # fmt: skip
"""Words of an image edit prompt that say how large the product shall be."""


def quad_at(location: Sequence[Sequence[float]], size: tuple[int, int]) -> Quad:
    """The request's `location` in pixels of a template of `size` (width, height).

    Raises:
        MediaError: not four finite points, or they do not span a convex quadrilateral.
    """
    try:
        quad = np.array(location, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise MediaError("location must be four points [x, y].") from error
    if quad.shape != (4, 2) or not bool(np.isfinite(quad).all()):
        raise MediaError("location must be four points [x, y].")
    quad = quad * np.array(size)
    sides = np.roll(quad, -1, axis=0) - quad
    after = np.roll(sides, -1, axis=0)
    turns = sides[:, 0] * after[:, 1] - sides[:, 1] * after[:, 0]
    if not (bool((turns > 4).all()) or bool((turns < -4).all())):
        raise MediaError(
            "location must be the corners of a convex shape, in the order "
            "top left, top right, bottom right, bottom left."
        )
    return np.asarray(quad, np.float64)


@dataclass(frozen=True)
class Variation:
    """How one of several scenes differs from the others: scale, degrees, and eye distances."""

    scale: float
    degrees: float
    aside: float


def offered_quad(
    template: Pixels, face: Face | None, ratio: float, prompt: str, variation: Variation
) -> Quad:
    """A place for a product of width to height `ratio`, standing where the hands are.

    Without hands it stands where they would be under the face, without a face a little under the
    middle of the picture.
    """
    rows, columns = template.shape[:2]
    eyes = face.eyes if face else 0.118 * min(columns, rows * 0.6)
    x, base = _stand(template, face)
    height = min(_TALLEST * eyes, _WIDEST * eyes / ratio)
    if face:
        # The product may hide a collar, never the chin.
        height = min(height, max(1.5 * eyes, base - face.chin - 0.4 * eyes))
    height *= variation.scale * _wanted_scale(prompt)
    width = height * ratio
    shrink = min(1.0, 0.96 * columns / width, 0.9 * base / height)
    width, height = width * shrink, height * shrink
    corners = np.array([[-0.5, -1], [0.5, -1], [0.5, 0], [-0.5, 0]]) * (width, height)
    angle = math.radians(variation.degrees)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    foot = np.array([x + variation.aside * eyes, base])
    return np.asarray(corners @ turn + foot, np.float64)


def _wanted_scale(prompt: str) -> float:
    """What the prompt's words say about the size; 1 if they say nothing."""
    said = [_WORDS[word] for word in re.findall(r"[a-z]+", prompt.lower()) if word in _WORDS]
    return said[0] if said else 1.0


def _stand(template: Pixels, face: Face | None) -> tuple[float, float]:
    """The point on which the product stands."""
    rows, columns = template.shape[:2]
    if face is None:
        return columns * 0.5, rows * 0.74
    hands = _hands(template, face)
    if len(hands) == 0:
        return face.x, min(rows * 0.86, face.y + 5.4 * face.eyes)
    if len(hands) == 1:
        # One open hand: on the palm.
        return float(hands[0, 0]), float(hands[0, 1])
    return float(hands[:, 0].mean()), float(hands[:, 1].mean()) + 0.15 * face.eyes


def _hands(template: Pixels, face: Face) -> npt.NDArray[np.float64]:
    """Middles of the one or two largest parts below the shoulders with the colour of the face."""
    scale = _WORKING_WIDTH / template.shape[1]
    size = (_WORKING_WIDTH, max(8, round(template.shape[0] * scale)))
    lab = to_lab(np.asarray(cv2.resize(template, size, interpolation=cv2.INTER_AREA), np.uint8))
    away = np.linalg.norm((lab - np.array(face.skin)) * (0.4, 1.5, 1.5), axis=-1)
    skin = (away < _SKIN_REACH).astype(np.uint8)
    skin[: round((face.chin + 1.6 * face.eyes) * scale)] = 0
    reach = 3.2 * face.eyes * scale
    across = np.abs(np.arange(size[0]) - face.x * scale)
    skin[:, across > reach] = 0
    skin = np.asarray(cv2.morphologyEx(skin, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), np.uint8)
    eyes = face.eyes * scale
    count, _, stats, centres = cv2.connectedComponentsWithStats(skin)
    found = [
        np.array([*centres[part], stats[part, cv2.CC_STAT_AREA]])
        for part in range(1, count)
        if 0.12 * eyes**2 < stats[part, cv2.CC_STAT_AREA] < 4.5 * eyes**2
        and max(stats[part, cv2.CC_STAT_WIDTH], stats[part, cv2.CC_STAT_HEIGHT]) < 3 * eyes
    ]
    pairs = [
        (_unlike(one, other, face.x * scale, eyes), one, other)
        for one in found
        for other in found
        if one[0] < face.x * scale < other[0]
    ]
    best = min(pairs, key=lambda pair: pair[0], default=None)
    if best is not None and best[0] < 1:
        return np.asarray(np.array([best[1][:2], best[2][:2]]) / scale, np.float64)
    largest = max(found, key=lambda hand: float(hand[2]), default=None)
    return np.empty((0, 2)) if largest is None else largest[None, :2] / scale


def _unlike(
    left: npt.NDArray[np.float64], right: npt.NDArray[np.float64], axis: float, eyes: float
) -> float:
    """How far two parts (x, y, area) are from a person's hands that hold one thing.

    Those are alike in size, equally high, and at both sides of the face; 1 is the most.
    """
    sizes = abs(math.log(float(left[2] / right[2]))) / math.log(4)
    heights = abs(float(left[1] - right[1])) / (1.2 * eyes)
    middle = abs(float(left[0] + right[0]) / 2 - axis) / (1.2 * eyes)
    return max(sizes, heights, middle)
