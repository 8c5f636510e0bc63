"""What each pixel of a product photo says: backdrop, shadow on the backdrop, or neither.

Deciding what is product follows from it in segment.py.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from .backdrop import Backdrop
from .outlines import Mask, disc, find_outlines, grown
from .pictures import Plane

_LEAST_VISIBLE = 2.2
"""CIE76: what differs less from the backdrop cannot be told from it in a JPEG."""

_DEEPEST_SHADOW = 62.0
"""How much darker (L) than the backdrop a shadow on it may be."""

_TINTED = 16.0
"""How much hue and saturation (CIE76) a shadow may take on, as that of coloured glass does."""

_LEAST_LEFT = 0.25
"""If following shadows leaves less than this of the product, they led into the product."""


@dataclass(frozen=True)
class Clues:
    """Evidence per pixel.

    `away` is the Lab difference from the backdrop, `distance` its length (CIE76), `plainly` where
    that is below `threshold`, `shadow` where a shadow could explain it, `outline` where colours
    change at once, and `outside` what is reached from the border over backdrop and shadow without
    crossing an outline, with the parts that look like backdrop seen through the product.
    """

    away: Plane
    distance: Plane
    threshold: float
    plainly: Mask
    shadow: Mask
    outline: Mask
    outside: Mask


def read_clues(lab: Plane, backdrop: Backdrop) -> Clues:
    """Find the backdrop and the shadows on it.

    A shadow scales the backdrop's light: it is darker, nearly keeps the hue, and fades in softly.
    A grey product has the same colours but a sharp outline, and there the way in ends.
    """
    away = lab - backdrop.lab
    distance = np.asarray(np.linalg.norm(away, axis=-1), np.float32)
    threshold = min(7.0, max(_LEAST_VISIBLE, 2.4 * backdrop.noise))
    darker = -away[..., 0]
    dimmed = backdrop.lab[..., 1:] * ((lab[..., :1] + 16) / (backdrop.lab[..., :1] + 16))
    hue_change = np.linalg.norm(lab[..., 1:] - dimmed, axis=-1)
    shadow = (
        (darker > 0)
        & (darker < _DEEPEST_SHADOW)
        & (hue_change < np.minimum(_TINTED, max(3.0, threshold) + 0.7 * darker))
    )
    plainly = distance < threshold
    outline = find_outlines(lab)
    outside = _flood(plainly | (shadow & ~outline), plainly)
    without_shadow = _flood(plainly, plainly)
    if np.count_nonzero(~outside) < _LEAST_LEFT * np.count_nonzero(~without_shadow):
        outside = without_shadow
    return Clues(away, distance, threshold, plainly, np.asarray(shadow), outline, outside)


def _flood(passable: Mask, plainly: Mask) -> Mask:
    """What the border reaches, and what looks like backdrop seen through the product.

    Only through gaps of five pixels or more: narrower ones are leaks in the faint outline of a
    product that resembles its backdrop.
    """
    padded = np.pad(passable.astype(np.uint8), 3, constant_values=1)
    wide = np.asarray(cv2.morphologyEx(padded, cv2.MORPH_OPEN, disc(5)), np.uint8)
    count, labels = cv2.connectedComponents(wide, connectivity=4)
    labels = np.asarray(labels)[3:-3, 3:-3]
    areas = np.bincount(labels.ravel(), minlength=count)
    plain_areas = np.bincount(labels[plainly], minlength=count)
    reached = plain_areas > 0.5 * np.maximum(areas, 1)
    reached[0], reached[1] = False, True  # the first part found is the padding and all it touches
    outside = np.asarray(reached[labels])
    for _ in range(2):
        # Back into the narrow corners that opening the gaps has closed, but no deeper.
        outside |= plainly & grown(outside, 5)
    return outside
