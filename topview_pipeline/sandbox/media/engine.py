"""The contract between the sandbox and an engine that makes its pictures and videos.

`RealMedia` does real work, `TinyMedia` makes small valid files for load. An engine may be called
from several threads at once and keeps no state between calls.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


class MediaError(Exception):
    """An input that cannot become media; the message becomes the task's `errorMsg`."""


@dataclass(frozen=True)
class Cutout:
    """A product without its background.

    `png` is cropped to the product (RGBA); `mask_png` keeps the size of the input image, as in
    the getting-started document's example. Sizes in pixels.
    """

    png: bytes
    width: int
    height: int
    mask_png: bytes
    mask_width: int
    mask_height: int


@dataclass(frozen=True)
class Scene:
    """One picture of a person with the product; `face_existence` is the API's `faceExistence`."""

    png: bytes
    face_existence: bool


@dataclass(frozen=True)
class Video:
    """A finished clip, the still that stands for it, and its length in seconds."""

    mp4: bytes
    cover_jpg: bytes
    seconds: float


class MediaEngine(Protocol):
    """Makes the media of the three kinds of task. The same arguments give the same media."""

    def cutout(self, image: bytes) -> Cutout:
        """Cut the product out of an image file; MediaError if it is none or shows no product."""

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
        """Put the cut-out into the template, `count` times.

        `location` is four [x, y] fractions of the template, top left first, then clockwise;
        None leaves the place to the engine.
        """

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
        """Animate a scene; `mode` is image2Video's, and either `text` or `audio` is given."""


def engine_named(name: Literal["real", "tiny"]) -> MediaEngine:
    """The engine of a configuration; imported here, since tiny media need no OpenCV."""
    if name == "tiny":
        from .tiny import TinyMedia

        return TinyMedia()
    from .real import RealMedia

    return RealMedia()
