"""Small pictures for the Dagster UI.

Dagster draws a Markdown value inline while it is short, so a picture of a few hundred bytes needs
no media server. Not here: the metadata that carries it (`defs`).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, cast

from topview_pipeline.media.probe import Media, opened_image, opened_video, seconds_of

if TYPE_CHECKING:
    from PIL import Image

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
