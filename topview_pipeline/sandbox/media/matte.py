"""From a hard mask at working size to soft edges and clean colours at the photo's own size.

At an edge a photo's pixel is a mixture of product and background. With both colours known nearby,
the share of each follows, and so does the product's own colour. Only pixels near the outline are
touched, so that a photo of 60 megapixels takes little more memory than its own.
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

_TRUSTED = (10.0, 34.0)
"""RGB distances of product and background: below the first the mixture is not trusted, above the
second it is trusted fully."""


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
    rows, columns = rgb.shape[:2]
    signed = _signed_distance(mask)
    around = bounds(signed > -_BAND - 1)
    crop = _scaled(around, signed.shape, (rows, columns))
    size = (crop.right - crop.left, crop.bottom - crop.top)
    near = np.asarray(cv2.resize(signed[around.slices], size, interpolation=cv2.INTER_CUBIC))
    alpha = np.clip(near * 0.75 + 0.5, 0, 1).astype(np.float32)
    colours = rgb[crop.slices].copy()
    band = np.flatnonzero(np.abs(near) < _BAND)
    if band.size:
        _unmix(alpha, colours, band, crop, (rows, columns), _Nearby.of(small, mask))
    whole = np.zeros((rows, columns), np.uint8)
    whole[crop.slices] = np.rint(alpha * 255)
    tight = bounds(whole > VISIBLE)
    inner = Crop(
        tight.top - crop.top,
        tight.bottom - crop.top,
        tight.left - crop.left,
        tight.right - crop.left,
    )
    return Matte(whole, tight, colours[inner.slices])


def _signed_distance(mask: npt.NDArray[np.bool_]) -> Plane:
    """Working pixels to the outline, positive inside, its staircase smoothed."""
    inside = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform(np.pad(~mask, 1, mode="edge").astype(np.uint8), cv2.DIST_L2, 5)
    signed = np.where(inside > 0, inside - 0.5, 0.5 - outside)[1:-1, 1:-1]
    return np.asarray(cv2.GaussianBlur(signed.astype(np.float32), (0, 0), 0.9), np.float32)


def bounds(where: npt.NDArray[np.bool_]) -> Crop:
    """The smallest crop that holds all pixels of `where`; there must be some."""
    rows = np.flatnonzero(where.any(axis=1))
    columns = np.flatnonzero(where.any(axis=0))
    return Crop(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)


def _scaled(crop: Crop, size: tuple[int, ...], target: tuple[int, int]) -> Crop:
    """The same part of a picture of another size (rows, columns)."""
    down, right = target[0] / size[0], target[1] / size[1]
    return Crop(
        round(crop.top * down),
        round(crop.bottom * down),
        round(crop.left * right),
        round(crop.right * right),
    )


@dataclass(frozen=True)
class _Nearby:
    """At every working pixel, the mean colour of sure product and of sure background around."""

    product: Plane
    background: Plane

    @classmethod
    def of(cls, small: Pixels, mask: npt.NDArray[np.bool_]) -> "_Nearby":
        rgb = small.astype(np.float32)
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
        solid = cv2.erode(mask.astype(np.uint8), disc)
        # Thin straps have no inside after the erosion: there the mask itself has to do.
        thin = mask & (cv2.dilate(solid, np.ones((9, 9), np.uint8)) == 0)
        clear = cv2.erode((~mask).astype(np.uint8), disc)
        return cls(_local_mean(rgb, (solid > 0) | thin), _local_mean(rgb, clear > 0))


def _local_mean(rgb: Plane, where: npt.NDArray[np.bool_]) -> Plane:
    """Mean colour of the pixels of `where` in the neighbourhood, wider where there are none.

    The wide neighbourhoods are taken from smaller and smaller copies, which costs next to nothing.
    """
    rows, columns = rgb.shape[:2]
    weight = where.astype(np.float32)
    total, share = np.asarray(rgb * weight[..., None], np.float32), weight
    result = np.zeros_like(rgb)
    missing = np.ones((rows, columns), np.float32)
    for shrink in (1, 3, 12, 48):
        size = (max(1, columns // shrink), max(1, rows // shrink))
        around, known = _wide(total, size), _wide(share, size)
        trust = np.clip(known * 12, 0, 1) * missing
        result += around / np.maximum(known, 1e-6)[..., None] * trust[..., None]
        missing -= trust
    return np.asarray(result / np.maximum(1 - missing, 1e-6)[..., None], np.float32)


def _wide(field: Plane, size: tuple[int, int]) -> Plane:
    """Blurred at a smaller size."""
    shrunk = cv2.resize(field, size, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(shrunk, (0, 0), 2.0)
    whole = (field.shape[1], field.shape[0])
    return np.asarray(cv2.resize(blurred, whole, interpolation=cv2.INTER_LINEAR), np.float32)


def _unmix(
    alpha: Plane,
    colours: Pixels,
    band: npt.NDArray[np.intp],
    crop: Crop,
    size: tuple[int, int],
    nearby: _Nearby,
) -> None:
    """Set opacity and colour of the pixels of `band` (flat indices into the crop), in place."""
    columns = crop.right - crop.left
    small_rows, small_columns = nearby.product.shape[:2]
    y = (band // columns + crop.top + 0.5) * (small_rows / size[0]) - 0.5
    x = (band % columns + crop.left + 0.5) * (small_columns / size[1]) - 0.5
    front, back = _sample(nearby.product, y, x), _sample(nearby.background, y, x)
    seen = colours.reshape(-1, 3)[band].astype(np.float32)
    across = front - back
    apart = np.linalg.norm(across, axis=1)
    mixed = ((seen - back) * across).sum(axis=1) / np.maximum(apart**2, 1.0)
    trust = np.clip((apart - _TRUSTED[0]) / (_TRUSTED[1] - _TRUSTED[0]), 0, 1)
    flat = alpha.reshape(-1)
    by_shape = flat[band]
    # The outline says where mixing can be at all; beyond it a similar colour is another thing.
    by_colour = np.clip(mixed * 1.08 - 0.04, np.maximum(0, by_shape - 0.6), by_shape + 0.6)
    opacity = np.clip(by_shape + trust * (by_colour - by_shape), 0, 1)
    flat[band] = opacity
    own = (seen - (1 - opacity[:, None]) * back) / np.maximum(opacity, 0.25)[:, None]
    solid = np.clip(opacity * 1.6 - 0.6, 0, 1)[:, None]
    clean = np.clip(own * solid + front * (1 - solid), 0, 255)
    kept = np.where((opacity >= 0.995)[:, None], seen, clean)
    colours.reshape(-1, 3)[band] = np.rint(kept).astype(np.uint8)


def _sample(field: Plane, y: npt.NDArray[np.float64], x: npt.NDArray[np.float64]) -> Plane:
    """Bilinear values of a field at fractional positions."""
    rows, columns = field.shape[:2]
    y, x = np.clip(y, 0, rows - 1), np.clip(x, 0, columns - 1)
    top, left = np.minimum(y.astype(int), rows - 2), np.minimum(x.astype(int), columns - 2)
    down, right = (y - top)[:, None], (x - left)[:, None]
    upper = field[top, left] * (1 - right) + field[top, left + 1] * right
    lower = field[top + 1, left] * (1 - right) + field[top + 1, left + 1] * right
    return np.asarray(upper * (1 - down) + lower * down, np.float32)
