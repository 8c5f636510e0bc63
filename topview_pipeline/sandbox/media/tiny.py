"""Small valid files for load: nothing is drawn or encoded per task.

Each kind of file is made once and then only marked, so that every task has its own bytes: a PNG by
a text chunk, an MP4 by a `free` box.
"""

import io
import struct
import zlib
from fractions import Fraction
from functools import lru_cache
from hashlib import sha256

import av
import numpy as np
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from topview_pipeline.sandbox.draws import unit
from topview_pipeline.sandbox.kinds import MODES

from .engine import Cutout, MediaError, Scene, SceneInputs, Video, VideoInputs

_CUTOUT_SIZE = (44, 60)
_VIDEO_SECONDS = 1
_COMMENT = "stand-in"
"""Metadata of each file, so that nobody takes it for a bad picture or a silent video."""
_FACELESS_SHARE = 0.25
"""Share of later scenes without a face; the first of a task always shows one."""


class TinyMedia:
    """A `MediaEngine` that costs microseconds. It reads an image's header and ignores the rest."""

    def cutout(self, image: bytes) -> Cutout:
        _check_image(image, "The product image")
        mark = sha256(image).digest()
        width, height = _CUTOUT_SIZE
        return Cutout(
            png=_marked_png(_png("RGBA", width, height), mark),
            width=width,
            height=height,
            mask_png=_marked_png(_png("L", height, height), mark),
            mask_width=height,
            mask_height=height,
        )

    def scenes(self, given: SceneInputs) -> list[Scene]:
        _check_image(given.cutout, "The product image")
        _check_image(given.template, "The template image")
        if given.face is not None:
            _check_image(given.face, "The face image")
        mark = _mark(given.cutout, given.location, given.prompt)[:8]
        base = _png("RGB", 54, 96)
        return [
            Scene(
                png=_marked_png(base, mark + struct.pack(">IB", given.seed, index)),
                face_existence=index == 0 or unit(given.seed, "face", index) >= _FACELESS_SHARE,
            )
            for index in range(given.count)
        ]

    def video(self, given: VideoInputs) -> Video:
        _check_image(given.scene, "The scene")
        mark = _mark(given.scene, given.text, given.audio, given.caption_id, given.seed)
        return Video(_mp4(given.mode) + _free_box(mark), _jpeg(), float(_VIDEO_SECONDS))


def _mark(content: bytes, *rest: object) -> bytes:
    return sha256(sha256(content).digest() + repr(rest).encode()).digest()


def _check_image(content: bytes, what: str) -> None:
    try:
        with Image.open(io.BytesIO(content)):
            return
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise MediaError(f"{what} cannot be read as an image.") from error


@lru_cache(maxsize=8)
def _png(mode: str, width: int, height: int) -> bytes:
    out = io.BytesIO()
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", _COMMENT)
    Image.linear_gradient("L").resize((width, height)).convert(mode).save(out, "PNG", pnginfo=info)
    return out.getvalue()


@lru_cache(maxsize=1)
def _jpeg() -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize((54, 96)).convert("RGB").save(out, "JPEG")
    return out.getvalue()


def _marked_png(png: bytes, mark: bytes) -> bytes:
    """The PNG with a tEXt chunk before its end, which is always its last 12 bytes."""
    chunk = b"tEXtMark\x00" + mark.hex().encode()
    body = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return png[:-12] + body + png[-12:]


def _free_box(mark: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(mark), b"free") + mark


@lru_cache(maxsize=len(MODES))
def _mp4(mode: str) -> bytes:
    """One second of H.264 and AAC silence in the mode's shape."""
    width = MODES[mode].short_side // 20 * 2
    height = width * 16 // 18 * 2
    rate, samples = 4, 22_050
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        container.metadata["comment"] = _COMMENT
        video = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        sound = container.add_stream("aac", rate=samples, layout="mono")
        for shade in range(_VIDEO_SECONDS * rate):
            pixels = np.full((height, width, 3), 60 + 40 * shade, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode())
        silence = np.zeros((1, _VIDEO_SECONDS * samples), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = samples, 0, Fraction(1, samples)
        container.mux(sound.encode(frame))
        container.mux(sound.encode())
    return out.getvalue()
