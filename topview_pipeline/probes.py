"""What a picture or video really is: size, length, codecs.

Not here: pictures for the UI (`previews`), what may be sent to Topview (`inputs`).
"""

import contextlib
import errno
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from PIL import Image

if TYPE_CHECKING:
    from av.container import InputContainer

Media = Path | str | bytes
"""A path of this machine, or the bytes themselves."""


class MediaProbeError(ValueError):
    """Bytes that are no readable picture or video: what is wrong, and where."""

    def __init__(self, what: str, where: str) -> None:
        super().__init__(f"{where}: {what}")
        self.what, self.where = what, where


class MediaUnreadError(MediaProbeError):
    """The machine did not give the bytes, or had no memory for them.

    That says nothing of the media: the same bytes may be good tomorrow.
    """


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """Pixels, Pillow's name of the format in lower case (png, jpeg, webp), and transparency."""

    width: int
    height: int
    format: str
    has_alpha: bool


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """Pixels, seconds, frames a second, FFmpeg's names of the codecs (h264, aac), bytes."""

    width: int
    height: int
    seconds: float
    fps: float
    video_codec: str
    audio_codec: str | None
    bytes: int


def probe_image(media: Media) -> ImageInfo:
    """Decode all of a picture. Raises MediaProbeError, also for one that is cut off."""
    with (
        reading(media),
        Image.open(io.BytesIO(media) if isinstance(media, bytes) else media) as image,
    ):
        image.load()
        return ImageInfo(
            image.width, image.height, (image.format or "").lower(), image.has_transparency_data
        )


def probe_video(media: Media) -> VideoInfo:
    """Read a video's header and decode its first frame. Raises MediaProbeError."""
    with opened_video(media) as container:
        stream = container.streams.video[0]
        next(container.decode(stream))
        audio = container.streams.audio
        return VideoInfo(
            width=stream.codec_context.width,
            height=stream.codec_context.height,
            seconds=seconds_of(container),
            fps=float(stream.average_rate or 0),
            video_codec=stream.codec_context.name,
            audio_codec=audio[0].codec_context.name if audio else None,
            bytes=len(media) if isinstance(media, bytes) else Path(media).stat().st_size,
        )


@contextlib.contextmanager
def opened_video(media: Media) -> "Iterator[InputContainer]":
    """The container of a video with at least one video stream; any failure is a MediaProbeError."""
    import av  # 0.2 s, and most processes never see a video

    with reading(media), opened(media) as file, av.open(file, "r") as container:
        if not container.streams.video:
            raise MediaProbeError("no video in it", where(media))
        yield container


def opened(media: Media) -> BinaryIO:
    """The bytes as a file.

    FFmpeg reads through it and not by the path, because it takes a disk's error in the middle of a
    file for the file's end; an error of a Python file comes back as it was.
    """
    return io.BytesIO(media) if isinstance(media, bytes) else Path(media).open("rb")


def seconds_of(container: "InputContainer") -> float:
    """The length that the header tells, 0 when it tells none."""
    return (container.duration or 0) / 1_000_000  # FFmpeg counts microseconds


def where(media: Media) -> str:
    """How to name it in an error."""
    return f"{len(media)} bytes" if isinstance(media, bytes) else str(media)


@contextlib.contextmanager
def reading(media: Media) -> Iterator[None]:
    """Any failure to decode as a MediaProbeError, one of the machine as a MediaUnreadError."""
    try:
        yield
    except MediaProbeError:
        raise
    except Exception as error:
        # Pillow and FFmpeg raise what broken bytes lead them to: no common class.
        said = f"({type(error).__name__}: {error})"
        if _is_the_machines(error):
            raise MediaUnreadError(f"cannot be read {said}", where(media)) from error
        raise MediaProbeError(f"cannot be decoded {said}", where(media)) from error


def _is_the_machines(error: Exception) -> bool:
    """Whether the disk, the network or the memory failed, and not the bytes.

    Pillow says OSError of broken bytes too, without a number. FFmpeg's errors are OSErrors with a
    number of FFmpeg's own, or with one of the system's that a decoder chose for broken bytes.
    """
    if isinstance(error, MemoryError):
        return True
    if not isinstance(error, OSError) or error.errno not in errno.errorcode:
        return False
    from av.error import FFmpegError  # see `opened_video`

    return not isinstance(error, FFmpegError)
