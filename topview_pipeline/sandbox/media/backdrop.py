"""The background of a product photo: its colour, the outlines in it, and the shadows on it.

A backdrop of paper or cloth is one colour under slowly changing light, so a low polynomial per Lab
channel, fitted to what surely is background, predicts it behind the product too. cutout.py decides
from these clues what is product.
"""

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from .pictures import Pixels, Plane

Mask: TypeAlias = npt.NDArray[np.bool_]

_PLAIN_NOISE = 9.0
"""A border that the fit misses by more than this is a room or a pattern, not a backdrop."""

_RING_SHARE = 0.035
"""Width of the border that is taken for background at first, of the shorter side."""

_FAINTEST = 0.7
"""CIE76 per working pixel: less is no outline, however calm the picture."""

_STEP = 1.6
"""An outline is so much steeper than its surroundings. A shadow that fades is not."""

_STEEPEST = 6.0
"""CIE76 per working pixel: steeper than that is an outline in any surroundings."""

_LEAST_VISIBLE = 2.2
"""CIE76: a smaller difference from the backdrop cannot be seen in a JPEG."""

_DEEPEST_SHADOW = 62.0
"""The most by which a shadow is darker (L) than the backdrop."""

_TINTED = 16.0
"""The most hue and saturation (CIE76) that a shadow takes on, as that of coloured glass does."""

_LEAST_LEFT = 0.25
"""If following shadows leaves less than this of the product, they led into the product."""


@dataclass(frozen=True)
class Backdrop:
    """The background of one photo.

    `lab` is the predicted colour of each pixel (L 0..100); `noise` the typical CIE76 distance of
    real background from it; not `plain`: the model does not describe the photo's border at all.
    """

    lab: Plane
    noise: float
    plain: bool


@dataclass(frozen=True)
class Clues:
    """Evidence per pixel.

    `away` is the Lab difference from the backdrop and `distance` its length (CIE76). The masks:
    `plainly`, the distance is below `threshold`; `shadow`, a shadow could explain it; `outline`,
    colours change at once; `outside`, the border reaches it over backdrop and shadow without
    crossing an outline, or it looks like backdrop seen through the product.
    """

    away: Plane
    distance: Plane
    threshold: float
    plainly: Mask
    shadow: Mask
    outline: Mask
    outside: Mask


def fit_backdrop(lab: Plane) -> Backdrop:
    """Fit the border first, then everything that looks like its continuation."""
    rows, columns = lab.shape[:2]
    ring = border_ring(rows, columns)
    rough = _fit(lab, ring, degree=2)
    noise = _noise(lab, rough, ring)
    if noise > _PLAIN_NOISE:
        return Backdrop(rough, noise, plain=False)
    model, smooth = rough, ~find_outlines(lab)
    for degree in (3, 4):
        # Only up to outlines: a white product is nearer to the model than the paper's vignette.
        near = smooth & (_distance(lab, model) < max(6.0, 3 * noise))
        # Shadows are darker than the backdrop: they must not pull the model down.
        near &= lab[..., 0] - model[..., 0] > -max(3.0, 2 * noise)
        model = _fit(lab, _reached_from_border(near) | (ring & near), degree)
    return Backdrop(model, _noise(lab, model, ring), plain=True)


def _fit(lab: Plane, where: Mask, degree: int) -> Plane:
    """Least squares on the pixels of `where`, four times, each time without the worst misses."""
    rows, columns = lab.shape[:2]
    known = np.flatnonzero(where)
    if known.size < 500:
        known = np.flatnonzero(border_ring(rows, columns))
    known = known[:: max(1, known.size // 8_000)]
    y, x = known // columns / max(1, rows - 1), known % columns / max(1, columns - 1)
    design = _terms(y, x, degree)
    colours = lab.reshape(-1, 3)[known]
    keep = np.ones(len(known), dtype=bool)
    weights: npt.NDArray[np.float64] = np.zeros((design.shape[1], 3))
    for _ in range(4):
        weights = np.asarray(
            np.linalg.lstsq(design[keep], colours[keep], rcond=None)[0], np.float64
        )
        miss = np.linalg.norm(colours - design @ weights, axis=1)
        keep = miss <= max(1.0, 2.5 * float(np.median(miss)))
    down, right = np.mgrid[0 : 1 : rows * 1j, 0 : 1 : columns * 1j]
    return np.asarray(_terms(down, right, degree) @ weights, np.float32)


def _terms(
    y: npt.NDArray[np.float64], x: npt.NDArray[np.float64], degree: int
) -> npt.NDArray[np.float64]:
    """The monomials up to `degree` at positions 0..1, centred, in a last dimension."""
    y, x = 2 * y - 1, 2 * x - 1
    return np.stack(
        [x**i * y**j for i in range(degree + 1) for j in range(degree + 1 - i)], axis=-1
    )


def _distance(lab: Plane, model: Plane) -> Plane:
    return np.asarray(np.linalg.norm(lab - model, axis=-1), np.float32)


def _noise(lab: Plane, model: Plane, ring: Mask) -> float:
    """A distance that most of the border stays below.

    Coarse JPEG blocks raise the upper part of the distances more than the median. A product that
    is cut off by the border raises it further still, and must not count as noise.
    """
    median, high = np.quantile(_distance(lab, model)[ring], (0.5, 0.85))
    return float(max(1.2 * median, min(0.8 * high, 3 * median)))


def _reached_from_border(free: Mask) -> Mask:
    """The parts of `free` that touch the border of the picture."""
    return np.asarray(_wide_parts(free)[1] == 1)


def _wide_parts(mask: Mask) -> tuple[int, npt.NDArray[np.int32]]:
    """Number and label the parts of a mask; 0 is none, 1 is all that touches the border.

    Only gaps of five pixels or more connect: narrower ones are leaks in the faint outline of a
    product that resembles its backdrop.
    """
    padded = np.pad(mask.astype(np.uint8), 3, constant_values=1)
    wide = np.asarray(cv2.morphologyEx(padded, cv2.MORPH_OPEN, disc(5)), np.uint8)
    # The first part found is the padding and all it touches.
    count, labels = cv2.connectedComponents(wide, connectivity=4)
    return count, np.asarray(labels, np.int32)[3:-3, 3:-3]


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
    """Pixels that the border reaches, or that look like backdrop seen through the product."""
    count, labels = _wide_parts(passable)
    areas = np.bincount(labels.ravel(), minlength=count)
    plain_areas = np.bincount(labels[plainly], minlength=count)
    reached = plain_areas > 0.5 * np.maximum(areas, 1)
    reached[0], reached[1] = False, True
    outside = np.asarray(reached[labels])
    for _ in range(2):
        # Back into the narrow corners that opening the gaps has closed, but no deeper.
        outside |= plainly & grown(outside, 5)
    return outside


def find_outlines(lab: Plane) -> Mask:
    """Mark the pixels where one thing ends and another begins.

    An outline is crossed in two or three pixels, so that a blur wipes most of its slope out; the
    slope of a shadow, even of a deep one close under the product, survives. Grain and JPEG blocks,
    which the border has too, are no outlines.
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
    """The mask and all within half of `size` pixels of it."""
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disc(size)), bool)


def disc(size: int) -> Pixels:
    """A round structuring element."""
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)
