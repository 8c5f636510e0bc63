"""Finding a face in a picture, and putting another one in its place.

The features are classical: two dark eyes side by side in skin of one colour, and under them a
mouth that differs from it. It was tuned on drawn frontal faces of light and dark skin. It
finds no profiles, no eyes behind dark glasses, and no faces under a fifteenth of the width.
"""

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from .pictures import Pixels, Plane, to_lab

_WORKING_SIDE = 480
_EYE_KERNELS = (7, 13, 25)
"""Sizes of the spots that are looked for, in working pixels: far, middle and near faces."""

_MOST_SPOTS = 70
_Places: TypeAlias = tuple[tuple[float, float, float], ...]
"""Patches of a face: to the right of and below the middle between the eyes, and the half width,
all in distances between the eyes."""

_PUPILS: _Places = ((-0.5, 0.0, 0.09), (0.5, 0.0, 0.09))
_LIPS: _Places = ((0.0, 0.9, 0.07), (0.0, 1.0, 0.07), (0.0, 1.1, 0.07), (0.0, 1.2, 0.07))
_MOUTH_SIDES: _Places = tuple((x, y, 0.07) for y in (1.0, 1.15) for x in (-0.22, 0.22))
_SKIN: _Places = (
    (0.0, 0.02, 0.1),  # root of the nose
    (0.0, 0.42, 0.1),  # its tip
    (-0.52, 0.5, 0.1),  # cheeks
    (0.52, 0.5, 0.1),
    (-0.5, 0.32, 0.06),  # under the eyes
    (0.5, 0.32, 0.06),
    (0.0, -0.62, 0.08),  # forehead
)

_NEAREST, _FARTHEST = 0.03, 0.33
"""Distance between the eyes as a share of the picture's width."""


@dataclass(frozen=True)
class Face:
    """Where a face is, in pixels of its picture, and the Lab colour of its skin.

    `x`, `y` is the middle between the eyes and `eyes` their distance; the rest of a frontal face
    follows from these.
    """

    x: float
    y: float
    eyes: float
    skin: tuple[float, float, float]

    @property
    def chin(self) -> float:
        """The row where the face ends."""
        return self.y + 1.65 * self.eyes

    def oval(self, rows: int, columns: int) -> Pixels:
        """The face from brow to chin, without hair: 255 in a picture of that size, else 0."""
        oval = np.zeros((rows, columns), np.uint8)
        centre = (round(self.x), round(self.y + 0.42 * self.eyes))
        axes = (max(1, round(0.92 * self.eyes)), max(1, round(1.2 * self.eyes)))
        cv2.ellipse(oval, centre, axes, 0, 0, 360, 255, -1)
        return oval


def find_face(rgb: Pixels) -> Face | None:
    """The clearest frontal face of a picture, or None."""
    scale = min(1.0, _WORKING_SIDE / max(rgb.shape[:2]))
    size = (max(8, round(rgb.shape[1] * scale)), max(8, round(rgb.shape[0] * scale)))
    small = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    lab = np.asarray(cv2.GaussianBlur(to_lab(small), (0, 0), 1.0), np.float32)
    best: tuple[float, Face] | None = None
    for kernel in _EYE_KERNELS:
        spots = _dark_spots(lab[..., 0], kernel)
        for left, right in _pairs(spots, size[0], kernel):
            found = _judge(lab, left, right)
            if found is not None and (best is None or found[0] > best[0]):
                best = found
    if best is None:
        return None
    face = best[1]
    return Face(face.x / scale, face.y / scale, face.eyes / scale, face.skin)


def _dark_spots(light: Plane, kernel: int) -> npt.NDArray[np.int64]:
    """The strongest spots darker than all around them, as rows of x, y."""
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (kernel, kernel))
    depth = np.asarray(cv2.morphologyEx(light, cv2.MORPH_BLACKHAT, window), np.float32)
    depth = np.asarray(cv2.GaussianBlur(depth, (0, 0), kernel / 6), np.float32)
    peak = depth >= cv2.dilate(depth, np.ones((kernel, kernel), np.uint8))
    ys, xs = np.nonzero(peak & (depth > 4.0))
    strongest = np.argsort(-depth[ys, xs], kind="stable")[:_MOST_SPOTS]
    return np.stack([xs[strongest], ys[strongest]], axis=1)


def _pairs(
    spots: npt.NDArray[np.int64], width: int, kernel: int
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Spots that could be the two eyes of an upright face, the left one first."""
    if len(spots) < 2:
        return []
    apart = spots[None, :, :] - spots[:, None, :]
    across, down = apart[..., 0], apart[..., 1]
    fits = (
        (across > max(_NEAREST * width, 0.9 * kernel))
        & (across < min(_FARTHEST * width, 6.5 * kernel))
        & (np.abs(down) < 0.25 * across)
    )
    return [(spots[i], spots[j]) for i, j in np.argwhere(fits)]


def _judge(
    lab: Plane, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]
) -> tuple[float, Face] | None:
    """A score and the face if two spots look like its eyes, or None."""
    middle = (left + right) / 2.0
    along = (right - left).astype(float)
    eyes = float(np.hypot(*along))
    along /= eyes
    below = np.array([-along[1], along[0]])

    def patch(sideways: float, down: float, radius: float) -> npt.NDArray[np.float64] | None:
        x, y = middle + along * sideways * eyes + below * down * eyes
        reach = max(1.0, radius * eyes)
        rows, columns = lab.shape[:2]
        if not (reach <= x < columns - reach and reach <= y < rows - reach):
            return None
        top, start = int(y - reach), int(x - reach)
        window = lab[top : int(y + reach) + 1, start : int(x + reach) + 1]
        return np.median(window.reshape(-1, 3), axis=0).astype(np.float64)

    def patches(places: _Places) -> npt.NDArray[np.float64] | None:
        found = [patch(*place) for place in places]
        known = [colour for colour in found if colour is not None]
        return np.array(known) if len(known) == len(places) else None

    skins = patches(_SKIN)
    pupils, lips, corners = patches(_PUPILS), patches(_LIPS), patches(_MOUTH_SIDES)
    if skins is None or pupils is None or lips is None or corners is None:
        return None
    skin = np.median(skins, axis=0)
    if not _skin_coloured(skin):
        return None
    # Light falls from one side, so the lightness may differ more than the colour.
    spread = np.sort(np.linalg.norm((skins - skin) * (0.5, 1.0, 1.0), axis=1))
    eye_depth = float((skin[0] - pupils[:, 0]).min())
    mouth = float(np.linalg.norm(lips - skin, axis=1).max())
    uneven = (
        float(np.linalg.norm(pupils[0] - pupils[1])),
        float(np.linalg.norm(corners[0::2] - corners[1::2], axis=1).mean()),
    )
    if spread[-2] > 9 or spread[-1] > 16 or eye_depth < 12 or mouth < 9 or max(uneven) > 16:
        return None
    score = min(eye_depth, 45) + 0.5 * min(mouth, 40) - 2 * float(spread.mean())
    colour = (float(skin[0]), float(skin[1]), float(skin[2]))
    return score, Face(float(middle[0]), float(middle[1]), eyes, colour)


def _skin_coloured(lab: npt.NDArray[np.float64]) -> bool:
    """True for the colours of skin: of all people one range of orange hues, light or dark."""
    light, red, yellow = lab
    hue = float(np.degrees(np.arctan2(yellow, red)))
    chroma = float(np.hypot(red, yellow))
    return bool(18 < light < 96 and 15 < hue < 85 and 6 < chroma < 52)


def replace_face(scene: Pixels, face: Face, portrait: Pixels) -> Pixels:
    """The scene with the face of a portrait in the place of its own.

    A portrait in which no face is found is taken to show one in the middle, as those that people
    upload for it do.
    """
    rows, columns = portrait.shape[:2]
    own = find_face(portrait) or Face(columns / 2, rows * 0.42, columns * 0.24, face.skin)
    ratio = face.eyes / own.eyes
    move = np.array(
        [[ratio, 0, face.x - ratio * own.x], [0, ratio, face.y - ratio * own.y]], np.float32
    )
    size = (scene.shape[1], scene.shape[0])
    moved = cv2.warpAffine(
        portrait, move, size, flags=cv2.INTER_AREA if ratio < 1 else cv2.INTER_CUBIC
    )
    seen = cv2.warpAffine(np.full((rows, columns), 255, np.uint8), move, size)
    oval = np.minimum(face.oval(size[1], size[0]), seen)
    soft = cv2.GaussianBlur(oval, (0, 0), max(1.0, 0.12 * face.eyes))
    share = soft.astype(np.float32)[..., None] / 255
    return np.asarray(np.rint(scene * (1 - share) + moved * share), np.uint8)
