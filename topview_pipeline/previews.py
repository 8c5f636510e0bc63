"""Small pictures for the Dagster UI.

Dagster draws a Markdown value inline while it is short, so a picture of a few hundred bytes needs
no media server. Not here: the metadata that carries it (`defs`), what a file is (`probes`).
"""

import base64
import io
from typing import cast

from PIL import Image, ImageOps

from topview_pipeline.probes import (
    ImageInfo,
    Media,
    MediaProbeError,
    VideoInfo,
    opened_video,
    probe_image,
    probe_video,
    reading,
    seconds_of,
)

__all__ = [
    "ImageInfo",
    "MediaProbeError",
    "VideoInfo",
    "inline_preview",
    "poster",
    "probe_image",
    "probe_video",
]

LONGEST_INLINE = 999
"""Characters: Dagster shows a Markdown value of 1,000 and more as a link."""

_BEFORE, _AFTER = "![preview](data:image/webp;base64,", ")"
_MOST_BYTES = (LONGEST_INLINE - len(_BEFORE) - len(_AFTER)) // 4 * 3
_SIDES = (192, 176, 160, 144, 128, 112, 96, 80, 72, 64, 56, 48, 40, 32, 24)
"""Pixels of the longer side."""
_WORST_QUALITY, _BEST_QUALITY = 10, 80
"""Of WebP. At 10 face and product are still plain to see, in a picture with half as many pixels
again as at 20."""
_SQUARE = 8  # pixels of the checkerboard behind a transparent picture
_WHITE, _GREY = (255, 255, 255), (226, 226, 226)


def inline_preview(image: bytes | Image.Image) -> str | None:
    """A Markdown image of at most 999 characters, as large and then as good as fits in them.

    Transparent pictures lie on a checkerboard. None when even the smallest does not fit. Raises
    MediaProbeError when the bytes are no picture.
    """
    whole = _opaque(image)
    for side in _SIDES:
        small = whole.copy()
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        best = _best_fit(small)
        if best is not None:
            return _BEFORE + base64.b64encode(best).decode("ascii") + _AFTER
    return None


def poster(media: Media) -> Image.Image:
    """The frame of a video at 1 s, or at the middle of a shorter one. Raises MediaProbeError."""
    with opened_video(media) as container:
        wanted = min(1.0, seconds_of(container) / 2)
        frame = next(container.decode(video=0))
        for later in container.decode(video=0):
            if later.time is None or later.time > wanted:
                break
            frame = later
        return cast(Image.Image, frame.to_image())  # type: ignore[no-untyped-call]  # PyAV gives no type


def _best_fit(image: Image.Image) -> bytes | None:
    """The WebP of the best quality that is short enough."""
    best, low, high = None, _WORST_QUALITY, _BEST_QUALITY
    quality = low
    while low <= high:
        data = _webp(image, quality)
        if len(data) <= _MOST_BYTES:
            best, low = data, quality + 1
        elif best is None:
            return None
        else:
            high = quality - 1
        quality = (low + high) // 2
    return best


def _webp(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=quality, method=6)
    return buffer.getvalue()


def _opaque(image: bytes | Image.Image) -> Image.Image:
    """The picture upright, in RGB, no larger than the largest preview."""
    side = _SIDES[0]
    if isinstance(image, bytes):
        with reading(image), Image.open(io.BytesIO(image)) as opened:
            opened.draft("RGB", (side, side))
            return _opaque(ImageOps.exif_transpose(opened))
    if not image.has_transparency_data:
        small = image.convert("RGB")
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        return small
    small = image.convert("RGBA")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    board = _checkerboard(small.size)
    board.paste(small, mask=small.getchannel("A"))
    return board


def _checkerboard(size: tuple[int, int]) -> Image.Image:
    board = Image.new("RGB", size, _WHITE)
    for y in range(0, size[1], _SQUARE):
        for x in range(y // _SQUARE % 2 * _SQUARE, size[0], 2 * _SQUARE):
            board.paste(_GREY, (x, y, x + _SQUARE, y + _SQUARE))
    return board
