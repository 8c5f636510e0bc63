"""What a product photo would show without the product: a smooth model of the background.

A backdrop of paper or cloth is one colour under slowly changing light, so a low polynomial per Lab
channel, fitted to what surely is background, predicts it behind the product too.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .outlines import Mask, border_ring, disc, find_outlines
from .pictures import Pixels, Plane

_PLAIN_NOISE = 9.0
"""A border that the fit misses by more than this is a room or a pattern, not a backdrop."""


@dataclass(frozen=True)
class Backdrop:
    """The background of one photo.

    `lab` is the predicted colour of each pixel (L 0..100); `noise` the typical CIE76 distance of
    real background from it; `plain` whether the model describes the photo's border at all.
    """

    lab: Plane
    noise: float
    plain: bool


def to_lab(rgb: Pixels) -> Plane:
    """CIE Lab with L in 0..100."""
    return np.asarray(cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)


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
    # A polynomial is smooth enough to be evaluated on a coarse grid.
    grid_y, grid_x = np.mgrid[0:1:65j, 0:1:65j]
    grid = (_terms(grid_y.ravel(), grid_x.ravel(), degree) @ weights).reshape(65, 65, 3)
    return _spread(grid.astype(np.float32), rows, columns)


def _terms(
    y: npt.NDArray[np.float64], x: npt.NDArray[np.float64], degree: int
) -> npt.NDArray[np.float64]:
    """The monomials up to `degree` at positions 0..1, centred, one row per position."""
    y, x = 2 * y - 1, 2 * x - 1
    return np.stack(
        [x**i * y**j for i in range(degree + 1) for j in range(degree + 1 - i)], axis=-1
    )


def _spread(grid: Plane, rows: int, columns: int) -> Plane:
    """A grid whose outermost nodes are the picture's corner pixels, at the picture's size."""
    steps = (
        np.linspace(0, grid.shape[1] - 1, columns, dtype=np.float32),
        np.linspace(0, grid.shape[0] - 1, rows, dtype=np.float32),
    )
    at_x, at_y = np.meshgrid(*steps)
    return np.asarray(cv2.remap(grid, at_x, at_y, cv2.INTER_LINEAR), np.float32)


def _distance(lab: Plane, model: Plane) -> Plane:
    return np.asarray(np.linalg.norm(lab - model, axis=-1), np.float32)


def _noise(lab: Plane, model: Plane, ring: Mask) -> float:
    """What most of the border stays below.

    Coarse JPEG blocks raise the upper part of the distances more than the median. A product that
    is cut off by the border raises it further still, and must not count as noise.
    """
    median, high = np.quantile(_distance(lab, model)[ring], (0.5, 0.85))
    return float(max(1.2 * median, min(0.8 * high, 3 * median)))


def _reached_from_border(free: Mask) -> Mask:
    """The parts of `free` that touch the border of the picture, through gaps of five pixels."""
    padded = np.pad(free.astype(np.uint8), 3, constant_values=1)
    wide = np.asarray(cv2.morphologyEx(padded, cv2.MORPH_OPEN, disc(5)), np.uint8)
    _, labels = cv2.connectedComponents(wide, connectivity=4)
    labels = np.asarray(labels)
    return np.asarray((labels == labels[0, 0])[3:-3, 3:-3])
