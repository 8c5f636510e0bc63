"""The engine that does the work: segmentation, composition, encoding."""

import cv2

from .composition import make_scenes
from .cutout import cut_out
from .video import make_video


class RealMedia:
    """A `MediaEngine` whose cut-outs, scenes and videos look like a customer's.

    It keeps nothing between calls, may be called from several threads at once, and makes the same
    media from the same arguments. Each call uses one core: a pool of workers spreads tasks over
    the cores better than OpenCV spreads one picture.
    """

    def __init__(self) -> None:
        cv2.setNumThreads(1)  # of the process

    cutout = staticmethod(cut_out)
    scenes = staticmethod(make_scenes)
    video = staticmethod(make_video)
