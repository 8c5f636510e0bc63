"""A slow camera move over a still, as planes that an encoder takes without converting.

The still becomes YUV once; each frame is three affine warps. Converting every frame from RGB would
cost more than encoding it.
"""

import random
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .pictures import Pixels, Plane

_MARGIN = 1.14
"""Size of the still in relation to the frame; a little over the strongest zoom, to stay sharp."""

_NEAR, _FAR = 1.12, 1.025


def to_yuv(rgb: Pixels) -> Plane:
    """BT.709 in the limited range of video, the same shape."""
    weights = np.array(
        [
            [0.1826, 0.6142, 0.0620],
            [-0.1006, -0.3386, 0.4392],
            [0.4392, -0.3989, -0.0403],
        ],
        np.float32,
    )
    return rgb.astype(np.float32) @ weights.T + np.array([16, 128, 128], np.float32)


@dataclass(frozen=True)
class Frame:
    """One picture as YUV 4:2:0: luma in full size, both chromas in half."""

    luma: Pixels
    chroma: tuple[Pixels, Pixels]

    def stacked(self) -> Pixels:
        """The planes below one another, as encoders take them: 1.5 times the rows."""
        planes = [plane.ravel() for plane in (self.luma, *self.chroma)]
        return np.concatenate(planes).reshape(-1, self.luma.shape[1])


class Camera:
    """Looks at a still through a frame of `size` (width, height), nearer or farther over time.

    It moves in or out, around the middle so that neither head nor product leaves the frame, eased
    so that neither start nor end jerks. Whole-pixel positions would tremble; these are fractions.
    """

    def __init__(self, still: Pixels, size: tuple[int, int], seed: int) -> None:
        draw = random.Random(f"camera:{seed}")  # noqa: S311 -- variety, not secrecy
        self._size = size
        self._still = _covering(still, size)
        yuv = np.clip(np.rint(to_yuv(self._still)), 0, 255).astype(np.uint8)
        half = (yuv.shape[1] // 2, yuv.shape[0] // 2)
        self._luma = np.ascontiguousarray(yuv[..., 0])
        self._chroma = tuple(
            np.asarray(
                cv2.resize(np.ascontiguousarray(yuv[..., i]), half, interpolation=cv2.INTER_AREA),
                np.uint8,
            )
            for i in (1, 2)
        )
        self._inwards = draw.random() < 0.7
        self._target = np.array([draw.uniform(0.42, 0.58), draw.uniform(0.46, 0.6)])

    def frame(self, progress: float) -> Frame:
        """The picture at a point between 0, the start, and 1, the end."""
        view = self._view(progress)
        half = np.array([[view[0, 0], 0, view[0, 2] / 2], [0, view[1, 1], view[1, 2] / 2]])
        small = (self._size[0] // 2, self._size[1] // 2)
        blue, red = (_seen(plane, half, small) for plane in self._chroma)
        return Frame(_seen(self._luma, view, self._size), (blue, red))

    def still_frame(self, progress: float) -> Pixels:
        """The same picture in RGB, for a cover."""
        return _seen(self._still, self._view(progress), self._size)

    def _view(self, progress: float) -> npt.NDArray[np.float64]:
        """From frame to still: the matrix of a part of the still."""
        eased = 0.5 * progress + 0.5 * progress**2 * (3 - 2 * progress)
        along = eased if self._inwards else 1 - eased
        zoom = _FAR * (_NEAR / _FAR) ** along
        whole = np.array([self._still.shape[1], self._still.shape[0]], np.float64)
        frame = np.array(self._size, np.float64)
        step = whole / frame / zoom
        centre = whole * (0.5 + (self._target - 0.5) * (zoom - 1))
        corner = centre - step * frame / 2 + step / 2 - 0.5
        return np.array([[step[0], 0, corner[0]], [0, step[1], corner[1]]])


def _covering(still: Pixels, size: tuple[int, int]) -> Pixels:
    """The middle of a still in the frame's proportions, a little larger than the frame."""
    rows, columns = still.shape[:2]
    ratio = size[0] / size[1]
    wide, high = min(columns, round(rows * ratio)), min(rows, round(columns / ratio))
    left, top = (columns - wide) // 2, (rows - high) // 2
    part = still[top : top + high, left : left + wide]
    target = (round(size[0] * _MARGIN / 2) * 2, round(size[1] * _MARGIN / 2) * 2)
    method = cv2.INTER_AREA if target[0] < wide else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(part, target, interpolation=method), np.uint8)


def _seen(plane: Pixels, view: npt.NDArray[np.float64], size: tuple[int, int]) -> Pixels:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(plane, view, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )
