"""Which pixels of a product photo are product, at a working size. No soft edges: see matte.py."""

import cv2
import numpy as np

from .backdrop import Backdrop, fit_backdrop, to_lab
from .clues import Clues, read_clues
from .holes import tidy
from .outlines import Mask, border_ring, disc, grown
from .pictures import Pixels, Plane

_GRABCUT_ROUNDS = 3

_TOUCHED = 0.12
"""Share of the border that may differ from the backdrop: a product cut off there, not a room."""

_PALETTE = 8
"""Colours that stand for the border of a photo without a plain backdrop."""


def product_mask(rgb: Pixels) -> Mask:
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
    return tidy(_without_shadow(mask, clues), clues)


def _guess(clues: Clues) -> Pixels:
    """GrabCut's starting point; what it may change is the neighbourhood of the outline.

    Its colour models cannot tell a grey product from a shadow of the same grey, so what no shadow
    leads to is product for certain, whatever its colour.
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
    """The product of a photo without a plain backdrop: what has none of the border's colours."""
    ring = border_ring(*lab.shape[:2])
    cv2.setRNGSeed(0)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
    samples = np.ascontiguousarray(lab[ring], np.float32)
    _, _, palette = cv2.kmeans(
        samples,
        _PALETTE,
        None,  # type: ignore[call-overload]  # no first labels: the stub does not know of None
        stop,
        1,
        cv2.KMEANS_PP_CENTERS,
    )
    nearest = np.min([np.linalg.norm(lab - colour, axis=-1) for colour in palette], axis=0)
    guess = np.where(nearest > 14, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    guess[ring] = cv2.GC_BGD
    half = (max(2, lab.shape[1] // 2), max(2, lab.shape[0] // 2))
    small = _grabcut(
        np.asarray(cv2.resize(picture, half, interpolation=cv2.INTER_AREA), np.uint8),
        np.asarray(cv2.resize(guess, half, interpolation=cv2.INTER_NEAREST), np.uint8),
    )
    full = cv2.resize(small.astype(np.float32), (lab.shape[1], lab.shape[0]))
    return tidy(_central(np.asarray(full) > 0.5), None)


def _central(mask: Mask) -> Mask:
    """The part nearest the middle in relation to its size: what the photo is about."""
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
