"""The size and length of a picture or video, and how its bytes are opened and read.

Not here: previews (`preview`), checks of what is seen and heard (`quality`), what may be sent to
Topview (`catalogue.files`).
"""

from __future__ import annotations

import contextlib
import errno
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from av.container import InputContainer
    from PIL import Image

Media = Path | str | bytes
"""A path on this machine, or the bytes themselves."""

_STAND_IN: Final = "stand-in"


class MediaError(ValueError):
    """A picture or video that cannot be read: one of the two classes below."""

    def __init__(self, what: str, where: str) -> None:
        super().__init__(f"{where}: {what}")
        self.what, self.where = what, where


class MediaDamagedError(MediaError):
    """The bytes are no picture or video that can be decoded."""


class MediaUnreadError(MediaError):
    """The machine could not read the bytes, which may be good; tomorrow it may."""


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """Pixels, and the seconds that a video's header says, 0 when it says none."""

    width: int
    height: int
    seconds: float = 0.0


def probe_image(media: Media) -> MediaInfo:
    """Decode all of a picture. Raises MediaError, also for one that is cut off."""
    with opened_image(media) as image:
        image.load()
        return MediaInfo(image.width, image.height)


def probe_video(media: Media) -> MediaInfo:
    """Read a video's header and decode its first frame. Raises MediaError."""
    with opened_video(media) as container:
        stream = container.streams.video[0]
        next(container.decode(stream))
        context = stream.codec_context
        return MediaInfo(context.width, context.height, seconds_of(container))


@contextlib.contextmanager
def opened_image(media: Media) -> Iterator[Image.Image]:
    """A picture of which the header was read. Raises MediaError, also from within."""
    from PIL import Image

    with _reading(media) as file, Image.open(file) as image:
        yield image


@contextlib.contextmanager
def opened_video(media: Media) -> Iterator[InputContainer]:
    """A container with a video stream at least. Raises MediaError, also from within."""
    import av

    with _reading(media) as file, av.open(file, "r") as container:
        if not container.streams.video:
            raise MediaDamagedError("cannot be decoded (no video in it)", _where(media))
        yield container


def seconds_of(container: InputContainer) -> float:
    """The length that the header says, 0 when it says none."""
    return (container.duration or 0) / 1_000_000  # FFmpeg counts microseconds


def is_stand_in(texts: Mapping[Any, Any]) -> bool:
    """True if a file's own texts say that it only stands in for media, as in a rehearsal.

    The sandbox's tiny media carry the comment `stand-in`. There is nothing to see in them.
    """
    return any(str(name).lower() == "comment" and text == _STAND_IN for name, text in texts.items())


@contextlib.contextmanager
def _reading(media: Media) -> Iterator[IO[bytes]]:
    """The open file. What fails with it is the bytes' fault or the machine's: see the classes.

    FFmpeg, too, reads through a Python file: by a path, it takes a disk error in the middle of the
    file for the file's end.
    """
    try:
        with io.BytesIO(media) if isinstance(media, bytes) else Path(media).open("rb") as file:
            yield file
    except MediaError:
        raise
    except Exception as error:
        # Broken bytes lead Pillow and FFmpeg to exceptions without a common class.
        cause = f"({type(error).__name__}: {error})"
        if _is_of_the_machine(error):
            raise MediaUnreadError(f"cannot be read {cause}", _where(media)) from error
        raise MediaDamagedError(f"cannot be decoded {cause}", _where(media)) from error


def _is_of_the_machine(error: Exception) -> bool:
    """True if the disk, the network or the memory failed, and not the bytes.

    For broken bytes Pillow raises OSError without a number. FFmpeg's errors are OSErrors with a
    number of FFmpeg's own, or with a system's number that a decoder chose; it also seeks to places
    before the file's begin, which is EINVAL.
    """
    if isinstance(error, MemoryError):
        return True
    if not isinstance(error, OSError) or error.errno in (None, errno.EINVAL):
        return False
    from av.error import FFmpegError

    return not isinstance(error, FFmpegError)


def _where(media: Media) -> str:
    return f"{len(media)} bytes" if isinstance(media, bytes) else str(media)
