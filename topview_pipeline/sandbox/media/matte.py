"""From a hard mask at working size to soft edges and clean colours at the photo's own size.

At an edge a photo's pixel is a mixture of product and background: there the product's colour from
just inside takes its place. Only the crop around the product is touched, so that a photo of 60
megapixels takes little more memory than its own.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .pictures import Pixels, Plane

VISIBLE = 8
"""Opacity (0..255) from which a pixel counts as product."""

_BAND = 2.5
"""Half width of the soft edge, in working pixels."""

_INWARDS, _MIXED = 0.4, 1.4
"""Working pixels by which the edge lies inside the mask's, and up to which pixels are mixtures."""

_REACH = 3.0
"""Working pixels from which an edge takes its colour."""


@dataclass(frozen=True)
class Crop:
    """Rows `top` to `bottom` and columns `left` to `right` of the photo, ends excluded."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the part in an array of the photo's size."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True)
class Matte:
    """The product's opacity in the whole photo, its bounding box, and its colours there."""

    alpha: Pixels
    crop: Crop
    colours: Pixels


def soften(rgb: Pixels, small: Pixels, mask: npt.NDArray[np.bool_]) -> Matte:
    """Opacity and clean colours of a photo whose working copy `small` has the product `mask`."""
    signed = _signed_distance(mask)
    around = bounds(signed > -_BAND - 1)
    down, right = rgb.shape[0] / mask.shape[0], rgb.shape[1] / mask.shape[1]
    crop = Crop(
        round(around.top * down),
        round(around.bottom * down),
        round(around.left * right),
        round(around.right * right),
    )
    size = (crop.right - crop.left, crop.bottom - crop.top)
    near = np.asarray(cv2.resize(signed[around.slices], size, interpolation=cv2.INTER_CUBIC))
    alpha = np.zeros(rgb.shape[:2], np.uint8)
    alpha[crop.slices] = np.rint(np.clip((near - _INWARDS) * 0.75 + 0.5, 0, 1) * 255)
    inside = cv2.resize(_from_inside(small, mask)[around.slices], size)
    colours = rgb.copy()
    part, edge = colours[crop.slices], near < _MIXED
    part[edge] = np.asarray(inside)[edge]
    tight = bounds(alpha > VISIBLE)
    return Matte(alpha, tight, colours[tight.slices])


def _signed_distance(mask: npt.NDArray[np.bool_]) -> Plane:
    """Working pixels to the outline, positive inside, its staircase smoothed."""
    inside = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform(np.pad(~mask, 1, mode="edge").astype(np.uint8), cv2.DIST_L2, 5)
    signed = np.where(inside > 0, inside - 0.5, 0.5 - outside)[1:-1, 1:-1]
    return np.asarray(cv2.GaussianBlur(signed.astype(np.float32), (0, 0), 0.9), np.float32)


def _from_inside(small: Pixels, mask: npt.NDArray[np.bool_]) -> Pixels:
    """Each working pixel in the mean colour of sure product around it, or else its own."""
    solid = cv2.erode(mask.astype(np.float32), np.ones((5, 5), np.uint8))
    share = np.asarray(cv2.GaussianBlur(solid, (0, 0), _REACH), np.float32)[..., None]
    total = cv2.GaussianBlur(small * np.asarray(solid)[..., None], (0, 0), _REACH)
    # Thin straps have no inside.
    return np.asarray(np.where(share > 0.005, total / np.maximum(share, 1e-6), small), np.uint8)


def bounds(where: npt.NDArray[np.bool_]) -> Crop:
    """The smallest crop that holds all pixels of `where`; there must be some."""
    rows = np.flatnonzero(where.any(axis=1))
    columns = np.flatnonzero(where.any(axis=0))
    return Crop(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)
