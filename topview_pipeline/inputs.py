"""The files a catalogue names: photos, templates, faces, recordings. What they are, and hashes.

What is no picture or no recording is refused here, before anything is sent or paid. Not here:
getting bytes (`sources`), uploading them (`topview`).
"""

import hashlib
import io
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from PIL import Image, UnidentifiedImageError

from topview_pipeline.sources import SourceError, local_path, read_limited, shown

if TYPE_CHECKING:
    from av.container import InputContainer

IMAGE_BYTES = 20 * 2**20
"""Largest picture in bytes. Topview names no limit; a good product photo has under 5 MiB."""
IMAGE_PIXELS = 50_000_000
"""Largest picture in pixels: decoded it takes four bytes each, and the answer is 1080p at most."""
AUDIO_BYTES = 50 * 2**20
"""Largest recording in bytes, as Topview's web page allows; 120 s of WAV are 23 MiB."""

_IMAGE_FORMATS = {"PNG": "png", "JPEG": "jpg", "MPO": "jpg", "BMP": "bmp", "WEBP": "webp"}
_AUDIO_FORMATS = ("mp3", "wav", "m4a")  # FFmpeg and Topview call them alike
_MICROSECONDS = 1_000_000  # FFmpeg's unit of a container's duration
_SCALE_DOWN = f"Scale it down to at most {IMAGE_PIXELS // 1_000_000} million pixels."


class InputError(ValueError):
    """A file that cannot be used: what is wrong, where, and how to mend it."""

    def __init__(self, what: str, where: str, mend: str) -> None:
        super().__init__(f"{where}: {what}. {mend}")
        self.what, self.where, self.mend = what, where, mend


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file ready to be uploaded. `format` is Topview's word for what the bytes are."""

    data: bytes
    sha256: str
    format: str


class InputFiles:
    """Reads and hashes by path, http(s) or fsspec URL. Its methods block: call them in a thread.

    A local file is hashed again when its size or time changes, a URL never: use one InputFiles for
    one run. `hashes` is the memory; pass a mapping that outlives the process to spare 20,000
    photos their hashing.
    """

    def __init__(self, hashes: MutableMapping[str, str] | None = None) -> None:
        self._hashes: MutableMapping[str, str] = {} if hashes is None else hashes
        self._url_hashes: dict[str, str] = {}

    def sha256(self, ref: str) -> str:
        """The hash of the bytes in hex, whatever they are. Raises InputError: missing, too big."""
        path = local_path(ref)
        if path is None:
            if ref not in self._url_hashes:
                self._url_hashes[ref] = _sha256(_bytes(ref, AUDIO_BYTES))
            return self._url_hashes[ref]
        try:
            stat = path.stat()
        except (OSError, ValueError):
            return _sha256(_bytes(ref, AUDIO_BYTES))  # says what is wrong with it
        key = f"{path.absolute()}|{stat.st_size}|{stat.st_mtime_ns}"
        if key not in self._hashes:
            self._hashes[key] = _sha256(_bytes(ref, AUDIO_BYTES))
        return self._hashes[key]

    def read(self, ref: str, *, kind: Literal["image", "audio"]) -> InputFile:
        """The bytes, proven to be a whole picture or a recording. Raises InputError otherwise."""
        where = shown(ref)
        if kind == "image":
            data = _bytes(ref, IMAGE_BYTES)
            format_ = image_format(data, where)
        else:
            data = _bytes(ref, AUDIO_BYTES)
            format_ = _opened_audio(data, where)[0]
        return InputFile(data, _sha256(data), format_)


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
    return _opened_audio(data, where)[1]


def _opened_audio(data: bytes, where: str) -> tuple[str, float]:
    """Format and seconds, after decoding the beginning."""
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


def _bytes(ref: str, limit: int) -> bytes:
    try:
        data = read_limited(ref, limit)
    except SourceError as error:
        raise InputError(error.what, error.where, error.mend) from error
    if not data:
        raise InputError("empty", shown(ref), "Get it anew.")
    return data


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
