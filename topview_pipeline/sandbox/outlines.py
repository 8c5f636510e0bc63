"""Where colours change at once in a photo, and the few operations on masks that this needs."""

from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from .pictures import Pixels, Plane

Mask: TypeAlias = npt.NDArray[np.bool_]

_RING_SHARE = 0.035
"""Width of the border that is taken for background at first, of the shorter side."""

_FAINTEST = 0.7
"""CIE76 per working pixel: less is no outline, however calm the picture."""

_STEP = 1.6
"""How much steeper than its surroundings an outline is. A shadow that fades is not."""

_STEEPEST = 6.0
"""CIE76 per working pixel: steeper than that is an outline in any surroundings."""


def find_outlines(lab: Plane) -> Mask:
    """Where one thing ends and another begins.

    An outline is crossed in two or three pixels, so that a blur wipes most of its slope out; the
    slope of a shadow, even of a deep one close under the product, survives. What the border has,
    grain and JPEG blocks, is no outline.
    """
    fine, coarse = _slope(lab, 1.0), _slope(lab, 3.0)
    grain = float(np.median(fine[border_ring(*fine.shape)]))
    faint = max(_FAINTEST, 3 * grain)
    return np.asarray(fine >= np.maximum(faint, np.minimum(_STEP * coarse, _STEEPEST)))


def _slope(lab: Plane, sigma: float) -> Plane:
    """Change of colour per pixel after a blur."""
    smooth = cv2.GaussianBlur(lab, (0, 0), sigma)
    across = np.asarray(cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8), np.float32)
    down = np.asarray(cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8), np.float32)
    return np.asarray(np.sqrt((across**2 + down**2).sum(axis=-1)), np.float32)


def border_ring(rows: int, columns: int) -> Mask:
    """The outermost pixels, where a product photo shows background."""
    width = max(2, round(min(rows, columns) * _RING_SHARE))
    ring = np.ones((rows, columns), dtype=bool)
    ring[width:-width, width:-width] = False
    return ring


def grown(mask: Mask, size: int) -> Mask:
    """The mask and what is within half of `size` pixels of it."""
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disc(size)), bool)


def disc(size: int) -> Pixels:
    """A round structuring element."""
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)
