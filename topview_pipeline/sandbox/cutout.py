"""A product photo to its cut-out and mask: remove_background's work. See segment.py, matte.py."""

import cv2
import numpy as np

from .matte import Crop, Matte, soften
from .media import Cutout, MediaError
from .pictures import Pixels, decode, on_white, png
from .segment import product_mask

_WORKING_SIDE = 640
"""Longest side for segmentation: outlines are found as well as at full size, and far faster."""

_SMALLEST_SIDE = 16

_LEAST_SHARE, _MOST_SHARE = 0.0008, 0.97
"""Of the photo's area: less is a speck, more means that there is no background around."""


def cut_out(image: bytes) -> Cutout:
    """The product of a photo, cropped (RGBA PNG), and a mask of the photo's size (grey PNG).

    A picture that already has transparency is cropped along it.

    Raises:
        MediaError: no image, too small or too large, blank, or no product stands out.
    """
    photo = decode(image, "The product image")
    rows, columns = photo.shape[:2]
    if min(rows, columns) < _SMALLEST_SIDE:
        raise MediaError(
            f"The product image has {columns} x {rows} pixels; "
            f"at least {_SMALLEST_SIDE} on each side are needed."
        )
    matte = _given(photo) or _found(on_white(photo))
    crop = matte.crop
    cut = np.dstack([matte.colours, matte.alpha[crop.top : crop.bottom, crop.left : crop.right]])
    return Cutout(
        png=png(cut),
        width=crop.right - crop.left,
        height=crop.bottom - crop.top,
        mask_png=png(matte.alpha),
        mask_width=columns,
        mask_height=rows,
    )


def _given(photo: Pixels) -> Matte | None:
    """The photo's own transparency, if it has a product-like amount of it."""
    if photo.shape[2] == 3:
        return None
    alpha = photo[..., 3]
    visible = alpha > 8
    if float(visible.mean()) > _MOST_SHARE:
        return None
    if not bool(visible.any()):
        raise MediaError("No product found: the product image is transparent everywhere.")
    ys, xs = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    crop = Crop(int(ys[0]), int(ys[-1]) + 1, int(xs[0]), int(xs[-1]) + 1)
    colours = photo[crop.top : crop.bottom, crop.left : crop.right, :3]
    return Matte(alpha, crop, np.ascontiguousarray(colours))


def _found(rgb: Pixels) -> Matte:
    small = _working_copy(rgb)
    mask = product_mask(small)
    share = float(mask.mean())
    if share < _LEAST_SHARE:
        raise MediaError("No product found: nothing stands out from the background of the image.")
    if share > _MOST_SHARE:
        raise MediaError("No product found: the image shows no background around a product.")
    return soften(rgb, small, mask)


def _working_copy(rgb: Pixels) -> Pixels:
    rows, columns = rgb.shape[:2]
    scale = min(1.0, _WORKING_SIDE / max(rows, columns))
    size = (max(2, round(columns * scale)), max(2, round(rows * scale)))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
