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


@dataclass(frozen=True, kw_only=True)
class SceneInputs:
    """The inputs of image_replace: `count` scenes of the cut-out in the template.

    `location` is four [x, y] fractions of the template, top left first, then clockwise; None
    leaves the place to the engine.
    """

    cutout: bytes
    template: bytes
    location: Sequence[Sequence[float]] | None
    prompt: str
    face: bytes | None
    count: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class VideoInputs:
    """The inputs of image2Video; either `text` or `audio` is given."""

    scene: bytes
    mode: str
    text: str | None
    audio: bytes | None
    caption_id: str
    seed: int


class MediaEngine(Protocol):
    """Makes the media of the three kinds of task. The same arguments give the same media."""

    def cutout(self, image: bytes) -> Cutout:
        """Cut the product out of an image file; MediaError if it is none or shows no product."""

    def scenes(self, given: SceneInputs) -> list[Scene]:
        """Put the cut-out into the template."""

    def video(self, given: VideoInputs) -> Video:
        """Animate a scene."""


def engine_named(name: Literal["real", "tiny"]) -> MediaEngine:
    """The engine of a configuration; imported here, since tiny media need no OpenCV."""
    if name == "tiny":
        from .tiny import TinyMedia

        return TinyMedia()
    from .real import RealMedia

    return RealMedia()
