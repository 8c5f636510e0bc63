"""Image files to arrays and back, and colours. No segmentation and no composing here.

Arrays are RGB or RGBA, `uint8`, rows first.
"""

from io import BytesIO
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from .engine import MediaError

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""A picture: (rows, columns, 3 or 4), or (rows, columns) for one channel."""

Plane: TypeAlias = npt.NDArray[np.float32]
"""The same shapes in floating point."""

_MOST_PIXELS = 64_000_000
"""About 200 MB as RGB: more than any phone's normal photo, less than a worker's memory."""

_SMALL_FILE_PIXELS = 4_000_000
"""Above this, PNGs are compressed with less effort: a large one would take seconds."""


def decode(content: bytes, what: str) -> Pixels:
    """An image file as RGB, or RGBA if it can be transparent, upright as its EXIF says.

    `what` names the image in errors, as in "The template image".

    Raises:
        MediaError: it is no image, it is broken, or it has more than 64 megapixels.
    """
    try:
        with Image.open(BytesIO(content)) as image:
            width, height = image.size
            if width * height > _MOST_PIXELS:
                raise MediaError(
                    f"{what} has {width} x {height} pixels; "
                    f"at most {_MOST_PIXELS // 1_000_000} megapixels can be handled."
                )
            form = "RGBA" if image.has_transparency_data else "RGB"
            upright = ImageOps.exif_transpose(image)
            return np.array(upright.convert(form), dtype=np.uint8)
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise MediaError(f"{what} is not an image that can be read.") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise MediaError(f"{what} is broken or cut short.") from error


def on_white(pixels: Pixels) -> Pixels:
    """RGB, over a white ground where the picture is transparent."""
    if pixels.shape[2] == 3:
        return pixels
    alpha = pixels[..., 3:].astype(np.uint16)
    blended = (pixels[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
    return np.asarray(blended, np.uint8)


def with_alpha(pixels: Pixels) -> Pixels:
    """RGBA, opaque if the picture has no transparency of its own."""
    if pixels.shape[2] == 4:
        return pixels
    return np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])


def png(pixels: Pixels) -> bytes:
    """A PNG of grey, RGB or RGBA pixels."""
    rows, columns = pixels.shape[:2]
    effort = 4 if rows * columns <= _SMALL_FILE_PIXELS else 1
    target = BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(target, "PNG", compress_level=effort)
    return target.getvalue()


def jpeg(rgb: Pixels) -> bytes:
    """A JPEG of RGB pixels."""
    target = BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(target, "JPEG", quality=88, optimize=True)
    return target.getvalue()


def to_lab(rgb: Pixels) -> Plane:
    """CIE Lab with L in 0..100."""
    return np.asarray(cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
