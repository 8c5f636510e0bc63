"""A product photo to its cut-out and mask: remove_background's work.

The product is found at a working size, from the clues of backdrop.py; the edges are then made soft
at the photo's own size. There a pixel is a mixture of product and background: the product's colour
from just inside takes its place. Only the crop around the product is touched, so that a photo of 60
megapixels takes little more memory than its own.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from .backdrop import (
    Backdrop,
    Clues,
    Mask,
    border_ring,
    disc,
    fit_backdrop,
    grown,
    read_clues,
)
from .engine import Cutout, MediaError
from .pictures import Pixels, Plane, decode, on_white, png, to_lab

_WORKING_SIDE = 640
"""Longest side for segmentation: outlines are found as well as at full size, and far faster."""

_SMALLEST_SIDE = 16

_LEAST_SHARE, _MOST_SHARE = 0.0008, 0.97
"""Of the photo's area: less is a speck, more means that there is no background around."""

_GRABCUT_ROUNDS = 3

_TOUCHED = 0.12
"""Share of the border that may differ from the backdrop: a product cut off there, not a room."""

_PALETTE = 40
"""Pixels that stand for the border of a photo without a plain backdrop."""

_LEAST_PART = 1 / 25
"""Of the largest part's area: a pair of shoes is two parts, a speck is none."""

_LEAST_HOLE = 0.0015
"""Of the product's area: smaller holes are glints and print."""

_LARGE_HOLE = 0.18
"""Of the product's area: larger than any handle. Glass looks like that, with a tint of its own."""

_TINT = 1.0
"""CIE76 between the mean colour in a large hole and the backdrop: from here on it is glass."""

_SHARP = 0.7
"""Share of a hole's edge that must be an outline."""

_VISIBLE = 8
"""Opacity (0..255) from which a pixel counts as product."""

_BAND = 2.5
"""Half width of the soft edge, in working pixels."""

_INWARDS, _MIXED = 0.4, 1.4
"""Working pixels by which the edge lies inside the mask's, and up to which pixels are mixtures."""

_REACH = 3.0
"""Working pixels from which an edge takes its colour."""


@dataclass(frozen=True)
class _Crop:
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
class _Matte:
    """The product's opacity in the whole photo, its bounding box, and its colours there."""

    alpha: Pixels
    crop: _Crop
    colours: Pixels


def cut_out(image: bytes) -> Cutout:
    """`MediaEngine.cutout`. A picture that already has transparency is cropped along it.

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
    cut = np.dstack([matte.colours, matte.alpha[crop.slices]])
    return Cutout(
        png=png(cut),
        width=crop.right - crop.left,
        height=crop.bottom - crop.top,
        mask_png=png(matte.alpha),
        mask_width=columns,
        mask_height=rows,
    )


def _given(photo: Pixels) -> _Matte | None:
    """The photo's own transparency, if it has a product-like amount of it."""
    if photo.shape[2] == 3:
        return None
    alpha = photo[..., 3]
    visible = alpha > _VISIBLE
    if float(visible.mean()) > _MOST_SHARE:
        return None
    if not bool(visible.any()):
        raise MediaError("No product found: the product image is transparent everywhere.")
    crop = _bounds(visible)
    return _Matte(alpha, crop, np.ascontiguousarray(photo[crop.slices][..., :3]))


def _found(rgb: Pixels) -> _Matte:
    small = _working_copy(rgb)
    mask = _product_mask(small)
    share = float(mask.mean())
    if share < _LEAST_SHARE:
        raise MediaError("No product found: nothing stands out from the background of the image.")
    if share > _MOST_SHARE:
        raise MediaError("No product found: the image shows no background around a product.")
    return _soften(rgb, small, mask)


def _working_copy(rgb: Pixels) -> Pixels:
    rows, columns = rgb.shape[:2]
    scale = min(1.0, _WORKING_SIDE / max(rows, columns))
    size = (max(2, round(columns * scale)), max(2, round(rows * scale)))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _product_mask(rgb: Pixels) -> Mask:
    """True where the product is. All False if nothing stands out."""
    calm = np.asarray(cv2.medianBlur(rgb, 3), np.uint8)
    lab = np.asarray(cv2.GaussianBlur(to_lab(calm), (0, 0), 0.7), np.float32)
    backdrop = fit_backdrop(lab)
    if not backdrop.plain:
        return _from_a_room(calm, lab)
    clues = read_clues(lab, backdrop)
    ring = border_ring(*lab.shape[:2])
    if float((clues.distance > 3 * clues.threshold)[ring].mean()) > _TOUCHED:
        return _from_a_room(calm, lab)
    if not bool((clues.distance[_eroded(~clues.outside, 5)] > clues.threshold).any()):
        return np.zeros(lab.shape[:2], dtype=bool)
    mask = _grabcut(_flattened(lab, backdrop), _guess(clues))
    return _tidy(_without_shadow(mask, clues), clues)


def _guess(clues: Clues) -> Pixels:
    """GrabCut's starting point; it may change the neighbourhood of the outline.

    Its colour models cannot tell a grey product from a shadow of the same grey, so pixels that no
    shadow leads to are product for certain, whatever their colour.
    """
    guess = np.full(clues.distance.shape, cv2.GC_PR_FGD, np.uint8)
    enclosed = ~clues.outside
    guess[enclosed & clues.plainly] = cv2.GC_PR_BGD
    guess[_eroded(enclosed, 9) & ~clues.plainly] = cv2.GC_FGD
    strong = enclosed & ~clues.shadow & (clues.distance > max(14.0, 3 * clues.threshold))
    guess[_eroded(strong, 3)] = cv2.GC_FGD
    guess[clues.outside] = cv2.GC_PR_BGD
    guess[clues.outside & clues.plainly] = cv2.GC_BGD
    return guess


def _eroded(mask: Mask, size: int) -> Mask:
    return np.asarray(cv2.erode(mask.astype(np.uint8), disc(size)), bool)


def _flattened(lab: Plane, backdrop: Backdrop) -> Pixels:
    """The difference from the backdrop as a picture.

    Uneven light is gone, and faint differences are spread: a white product on white paper is a few
    steps of L away from it, which GrabCut's colour models would take for one colour.
    """
    away = lab - backdrop.lab
    spread = 128 + 110 * np.tanh(away / 42.0) + 14 * np.tanh(away / 5.0)
    return np.asarray(np.clip(spread, 0, 255), np.uint8)


def _without_shadow(mask: Mask, clues: Clues) -> Mask:
    """GrabCut keeps the darkest strip of a contact shadow; it hangs on to shadow outside."""
    fallen = clues.outside & clues.shadow & ~clues.plainly
    return mask & ~clues.outside & ~(grown(fallen, 9) & clues.shadow)


def _from_a_room(picture: Pixels, lab: Plane) -> Mask:
    """The product of a photo without a plain backdrop: pixels with none of the border's colours."""
    ring = border_ring(*lab.shape[:2])
    palette = lab[ring][:: max(1, int(ring.sum()) // _PALETTE)]
    nearest = np.min([np.linalg.norm(lab - colour, axis=-1) for colour in palette], axis=0)
    guess = np.where(nearest > 14, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    guess[ring] = cv2.GC_BGD
    half = (max(2, lab.shape[1] // 2), max(2, lab.shape[0] // 2))
    small = _grabcut(
        np.asarray(cv2.resize(picture, half, interpolation=cv2.INTER_AREA), np.uint8),
        np.asarray(cv2.resize(guess, half, interpolation=cv2.INTER_NEAREST), np.uint8),
    )
    full = cv2.resize(small.astype(np.float32), (lab.shape[1], lab.shape[0]))
    return _tidy(_central(np.asarray(full) > 0.5), None)


def _central(mask: Mask) -> Mask:
    """The part nearest the middle in relation to its size: the subject of the photo."""
    count, labels, stats, centres = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 2:
        return mask
    middle = np.array([mask.shape[1], mask.shape[0]]) / 2
    off = np.linalg.norm((centres[1:] - middle) / middle, axis=1)
    best = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA] * np.exp(-3 * off)))
    return np.asarray(labels == best)


def _grabcut(picture: Pixels, guess: Pixels) -> Mask:
    product = (cv2.GC_FGD, cv2.GC_PR_FGD)
    start = np.isin(guess, product)
    if bool(start.all()) or not bool(start.any()):
        return start
    # GrabCut's colour models start from k-means, which draws from OpenCV's global generator.
    cv2.setRNGSeed(0)
    labels, _, _ = cv2.grabCut(
        picture,
        guess,
        None,  # type: ignore[call-overload]  # no rectangle: the stub does not know mask mode
        np.zeros((1, 65)),
        np.zeros((1, 65)),
        _GRABCUT_ROUNDS,
        cv2.GC_INIT_WITH_MASK,
    )
    return np.isin(labels, product)


def _tidy(rough: Mask, clues: Clues | None) -> Mask:
    """Drop specks of a rough mask, smooth its outline, fill its holes or keep them open.

    Without clues, on no plain backdrop, all holes are filled.
    """
    smooth = np.asarray(cv2.medianBlur(rough.astype(np.uint8) * 255, 5), np.uint8) > 127
    return _with_holes(_significant(smooth), rough, clues)


def _significant(mask: Mask) -> Mask:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 2:
        return np.zeros_like(mask)
    areas = stats[1:, cv2.CC_STAT_AREA]
    keep = 1 + np.flatnonzero(areas >= areas.max() * _LEAST_PART)
    return np.asarray(np.isin(labels, keep))


def _with_holes(mask: Mask, rough: Mask, clues: Clues | None) -> Mask:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        (~mask).astype(np.uint8), connectivity=4
    )
    labels = np.asarray(labels)
    open_parts = set(
        np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    )
    area = float(np.count_nonzero(mask))
    filled = mask.copy()
    for label in range(1, count):
        if label in open_parts:
            continue
        hole = (labels == label) & ~mask
        share = float(stats[label, cv2.CC_STAT_AREA]) / max(area, 1.0)
        if clues is None or share < _LEAST_HOLE or not _seen_through(hole, share, rough, clues):
            filled |= hole
    return filled


def _seen_through(hole: Mask, share: float, rough: Mask, clues: Clues) -> bool:
    """True if the backdrop is behind a hole, as in a handle, and not a label that resembles it."""
    inner = np.asarray(cv2.erode(hole.astype(np.uint8), np.ones((3, 3), np.uint8)), bool)
    where = inner if bool(inner.any()) else hole
    # A shadow may fall into a handle, so not all of the hole has to match.
    explained = clues.plainly | clues.shadow
    if float(np.median(clues.distance[where])) > 1.6 * clues.threshold:
        return False
    if float(explained[where].mean()) < 0.8:
        return False
    # A label carries print; nothing hovers inside a handle.
    if np.count_nonzero(rough & hole) > 0.01 * np.count_nonzero(hole):
        return False
    # A bright curve of the product fades into the backdrop's colour; a hole has an edge all around.
    edge = grown(hole, 3) & ~hole
    if float(grown(clues.outline, 5)[edge].mean()) < _SHARP:
        return False
    tint = float(np.linalg.norm(clues.away[where].mean(axis=0)))
    return share < _LARGE_HOLE or tint < _TINT


def _soften(rgb: Pixels, small: Pixels, mask: Mask) -> _Matte:
    """Opacity and clean colours of a photo whose working copy `small` has the product `mask`."""
    signed = _signed_distance(mask)
    around = _bounds(signed > -_BAND - 1)
    down, right = rgb.shape[0] / mask.shape[0], rgb.shape[1] / mask.shape[1]
    crop = _Crop(
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
    tight = _bounds(alpha > _VISIBLE)
    return _Matte(alpha, tight, colours[tight.slices])


def _signed_distance(mask: Mask) -> Plane:
    """Working pixels to the outline, positive inside, its staircase smoothed."""
    inside = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform(np.pad(~mask, 1, mode="edge").astype(np.uint8), cv2.DIST_L2, 5)
    signed = np.where(inside > 0, inside - 0.5, 0.5 - outside)[1:-1, 1:-1]
    return np.asarray(cv2.GaussianBlur(signed.astype(np.float32), (0, 0), 0.9), np.float32)


def _from_inside(small: Pixels, mask: Mask) -> Pixels:
    """Each working pixel in the mean colour of sure product around it, or else its own."""
    solid = cv2.erode(mask.astype(np.float32), np.ones((5, 5), np.uint8))
    share = np.asarray(cv2.GaussianBlur(solid, (0, 0), _REACH), np.float32)[..., None]
    total = cv2.GaussianBlur(small * np.asarray(solid)[..., None], (0, 0), _REACH)
    # Thin straps have no inside.
    return np.asarray(np.where(share > 0.005, total / np.maximum(share, 1e-6), small), np.uint8)


def _bounds(where: Mask) -> _Crop:
    """The smallest crop that holds all pixels of `where`; there must be some."""
    rows = np.flatnonzero(where.any(axis=1))
    columns = np.flatnonzero(where.any(axis=0))
    return _Crop(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)
