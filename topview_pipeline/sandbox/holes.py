"""A rough mask made one clean shape: specks dropped, outline smoothed, holes decided."""

import cv2
import numpy as np

from .clues import Clues
from .outlines import Mask, grown

_LEAST_PART = 1 / 25
"""Of the largest part's area: a pair of shoes is two parts, a speck is none."""

_LEAST_HOLE = 0.0015
"""Of the product's area: smaller holes are glints and print."""

_LARGE_HOLE = 0.18
"""Of the product's area: larger than any handle. Glass looks so, and has its own tint."""

_TINT = 1.0
"""CIE76 between the mean colour in a large hole and the backdrop from which it is glass."""


_SHARP = 0.7
"""Share of a hole's edge that must be an outline."""


def tidy(rough: Mask, clues: Clues | None) -> Mask:
    """The product of a rough mask. Without clues, on no plain backdrop, all holes are filled."""
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
    """Whether the backdrop is behind a hole, as in a handle, and not a label that resembles it."""
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
