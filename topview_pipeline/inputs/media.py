"""What is a picture and what is a recording, for Topview: told by decoding the bytes."""

import io
from typing import TYPE_CHECKING, Final

from PIL import Image, UnidentifiedImageError

from topview_pipeline.inputs.errors import InputError

if TYPE_CHECKING:
    from av.container import InputContainer

IMAGE_PIXELS: Final = 50_000_000
"""Largest picture in pixels: decoded it takes four bytes each, and the answer is 1080p at most."""

_IMAGE_FORMATS: Final = {"PNG": "png", "JPEG": "jpg", "MPO": "jpg", "BMP": "bmp", "WEBP": "webp"}
_AUDIO_FORMATS: Final = ("mp3", "wav", "m4a")  # FFmpeg and Topview call them alike
_MICROSECONDS: Final = 1_000_000  # FFmpeg's unit of a container's duration
_SCALE_DOWN: Final = f"Scale it down to at most {IMAGE_PIXELS // 1_000_000} million pixels."


def image_format(data: bytes, where: str) -> str:
    """png, jpg, bmp or webp, after decoding all of it. Raises InputError naming `where`."""
    mend = "Save it as PNG, JPEG, BMP or WebP."
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "BMP", "WEBP")) as image:
            _check_pixels(image, where)
            image.load()
            return _IMAGE_FORMATS[image.format or ""]
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError("far too many pixels", where, _SCALE_DOWN) from error
    except UnidentifiedImageError as error:
        raise InputError("not a picture of a kind that Topview takes", where, mend) from error
    except Exception as error:
        # Pillow's decoders raise what the broken bytes lead them to: no common class.
        what = f"a broken or cut-off picture ({type(error).__name__})"
        raise InputError(
            what, where, f"Get it anew, or open it and save it again. {mend}"
        ) from error


def audio_seconds(data: bytes, where: str = "audio") -> float:
    """How long a recording is. Raises InputError naming `where` when it is none."""
    return opened_audio(data, where)[1]


def opened_audio(data: bytes, where: str) -> tuple[str, float]:
    """mp3, wav or m4a, and its seconds, after decoding the beginning. Raises InputError."""
    mend = "Save it as MP3, WAV or M4A."
    try:
        import av  # 0.2 s, and most processes never see a recording

        with av.open(io.BytesIO(data), "r") as container:
            format_ = _audio_format(container)
            if format_ is not None:
                next(container.decode(audio=0))
                return format_, _duration(container)
    except Exception as error:
        # FFmpeg's errors, StopIteration of a file without a frame, and others of broken bytes.
        what = f"not a recording that can be decoded ({type(error).__name__})"
        raise InputError(what, where, mend) from error
    raise InputError("not a recording of a kind that Topview takes", where, mend)


def _audio_format(container: "InputContainer") -> str | None:
    """mp3, wav or m4a; None for anything else, a video among them."""
    from av.stream import Disposition

    # The cover of a song is a video stream too, of one attached picture.
    is_video = any(not s.disposition & Disposition.attached_pic for s in container.streams.video)
    if is_video or not container.streams.audio:
        return None
    return next((name for name in container.format.name.split(",") if name in _AUDIO_FORMATS), None)


def _duration(container: "InputContainer") -> float:
    if container.duration is not None:
        return container.duration / _MICROSECONDS
    container.seek(0)
    frames = container.decode(audio=0)
    return float(sum(frame.samples / frame.sample_rate for frame in frames))


def _check_pixels(image: Image.Image, where: str) -> None:
    if image.width * image.height > IMAGE_PIXELS:
        raise InputError(f"{image.width} x {image.height} pixels", where, _SCALE_DOWN)
