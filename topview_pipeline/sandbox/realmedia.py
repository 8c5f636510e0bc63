"""The engine that does the work: segmentation, composition, encoding. See media.py for the rest."""

from collections.abc import Sequence

import cv2

from .compose import make_scenes
from .cutout import cut_out
from .media import Cutout, Scene, Video
from .video import make_video


class RealMedia:
    """A `MediaEngine` whose cut-outs, scenes and videos are what a customer would look at.

    It keeps nothing between calls, may be called from several threads or processes at once, and
    makes the same media from the same arguments. Each call uses one core, apart from what others
    use: a pool of workers spreads tasks over the cores better than OpenCV spreads one picture.
    """

    def cutout(self, image: bytes) -> Cutout:
        """See `MediaEngine.cutout`."""
        cv2.setNumThreads(1)
        return cut_out(image)

    def scenes(
        self,
        *,
        cutout: bytes,
        template: bytes,
        location: Sequence[Sequence[float]] | None,
        prompt: str,
        face: bytes | None,
        count: int,
        seed: int,
    ) -> list[Scene]:
        """See `MediaEngine.scenes`. A face is ignored if the template shows none."""
        cv2.setNumThreads(1)
        return make_scenes(cutout, template, location, prompt, face, count, seed)

    def video(
        self,
        *,
        scene: bytes,
        mode: str,
        text: str | None,
        audio: bytes | None,
        caption_id: str,
        seed: int,
    ) -> Video:
        """See `MediaEngine.video`. Without a caption id the script is shown in the first style."""
        cv2.setNumThreads(1)
        return make_video(scene, mode, text, audio, caption_id, seed)
