"""Pictures and videos: opened and read, their size and length, and small previews of them.

Not here: checks of what is seen and heard (`quality`), what may be sent to Topview
(`catalogue.files`), the metadata that carries a preview (`defs`).
"""

from __future__ import annotations

import base64
import contextlib
import errno
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast

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
    """True if a file says that it only stands in for media, as the sandbox's tiny ones do."""
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


# Previews. Dagster draws a Markdown value inline while it is short, so a picture of a few hundred
# bytes needs no media server.

LONGEST_INLINE: Final = 999
"""Characters: Dagster shows a Markdown value of 1,000 and more as a link."""

_BEFORE, _AFTER = "![preview](data:image/webp;base64,", ")"
_MOST_BYTES: Final = (LONGEST_INLINE - len(_BEFORE) - len(_AFTER)) // 4 * 3
_SIDES: Final = (192, 176, 160, 144, 128, 112, 96, 80, 72, 64, 56, 48, 40, 32, 24)
"""Pixels of the longer side."""
_QUALITIES: Final = (80, 60, 45, 35, 25, 20, 15, 10)
"""Of WebP. At 10, face and product are still plain to see, in a picture with half as many pixels
again as at 20."""
_GAP: Final = 5
"""Pixels between and around pictures side by side."""
_BEHIND: Final = (236, 236, 236)
"""The light grey behind a transparent picture."""


def inline_preview(*pictures: Media) -> str | None:
    """A Markdown image of at most 999 characters, as large and then as good as fits.

    None when even the smallest does not fit. Raises MediaError.

    Args:
        pictures: several are drawn side by side.
    """
    from PIL import Image

    whole = _side_by_side([_shown(picture) for picture in pictures])
    for side in _SIDES:
        small = whole.copy()
        small.thumbnail((side * len(pictures), side), Image.Resampling.LANCZOS)
        if len(_webp(small, _QUALITIES[-1])) > _MOST_BYTES:
            continue
        encoded = (_webp(small, quality) for quality in _QUALITIES)
        best = next(data for data in encoded if len(data) <= _MOST_BYTES)
        return _BEFORE + base64.b64encode(best).decode("ascii") + _AFTER
    return None


def _shown(picture: Media) -> Image.Image:
    """The picture without transparency, no larger than any preview."""
    from PIL import Image

    with opened_image(picture) as opened:
        opened.draft("RGB", (2 * _SIDES[0], 2 * _SIDES[0]))  # of a JPEG a quarter is read faster
        whole = _opaque(opened)
    whole.thumbnail((_SIDES[0], _SIDES[0]), Image.Resampling.LANCZOS)
    return whole


def _side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    from PIL import Image

    if len(pictures) == 1:
        return pictures[0]
    height = max(picture.height for picture in pictures)
    places = [_GAP]
    for picture in pictures:
        places.append(places[-1] + picture.width + _GAP)
    strip = Image.new("RGB", (places[-1], height + 2 * _GAP), "white")
    for place, picture in zip(places, pictures, strict=False):
        strip.paste(picture, (place, _GAP))
    return strip


def poster(media: Media) -> Image.Image:
    """The frame of a video at 1 s, or at the middle of a shorter one. Raises MediaError."""
    with opened_video(media) as container:
        wanted = min(1.0, seconds_of(container) / 2)
        frame = next(container.decode(video=0))
        for later in container.decode(video=0):
            if later.time is None or later.time > wanted:
                break
            frame = later
        return cast("Image.Image", frame.to_image())  # type: ignore[no-untyped-call]  # PyAV gives no type


def _opaque(image: Image.Image) -> Image.Image:
    from PIL import Image

    if not image.has_transparency_data:
        return image.convert("RGB")
    behind = Image.new("RGBA", image.size, _BEHIND)
    return Image.alpha_composite(behind, image.convert("RGBA")).convert("RGB")


def _webp(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=quality, method=6)
    return buffer.getvalue()
