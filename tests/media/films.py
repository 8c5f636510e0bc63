"""Videos and pictures made for the tests: what is seen and heard in them is said by the test."""

import io
import math
import tempfile
from array import array
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
from PIL import Image, ImageDraw, PngImagePlugin

_RATE = 16_000
_FPS = 12


@cache
def film(
    *,
    size: tuple[int, int] = (144, 256),
    seconds: float = 5.0,
    picture: str = "moving",
    sound: str | None = "tone",
    comment: str | None = None,
    key_frames: int = 250,
    sound_seconds: float | None = None,
    holds_from: float | None = None,
    is_sparse: bool = False,
    black_from: float | None = None,
) -> bytes:
    """An MP4 with its index first.

    Args:
        picture: moving, speaking (only a mouth moves), zooming (slowly) or frozen.
        sound: tone, quiet, silence, or None for no track at all.
        key_frames: Frames from one key frame to the next.
        sound_seconds: Of the track, which is as long as the pictures if not said.
        holds_from: The second from which the picture stands to the end.
        is_sparse: Until the last frame there is none after `holds_from`.
        black_from: The second from which the picture is black.
    """
    holds_from = seconds if holds_from is None else holds_from
    count = round(seconds * _FPS)
    with tempfile.TemporaryDirectory() as folder:
        # A file, because FFmpeg opens it a second time to move the index.
        path = Path(folder) / "film.mp4"
        with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
            if comment is not None:
                container.metadata["comment"] = comment
            options = {"preset": "superfast", "sc_threshold": "0", "g": str(key_frames)}
            video = container.add_stream("libx264", rate=_FPS, options=options)
            video.width, video.height, video.pix_fmt = *size, "yuv420p"
            voice = (
                None if sound is None else container.add_stream("aac", rate=_RATE, layout="mono")
            )
            for index in range(count):
                second = index / _FPS
                if is_sparse and holds_from < second and index < count - 1:
                    continue
                is_black = black_from is not None and second >= black_from
                shown = min(second, holds_from)
                image = Image.new("RGB", size) if is_black else _drawn(picture, size, shown)
                frame = av.VideoFrame.from_image(image)  # type: ignore[no-untyped-call]  # PyAV gives no type
                frame.pts, frame.time_base = index, Fraction(1, _FPS)
                container.mux(video.encode(frame))
            container.mux(video.encode())
            if voice is not None and sound is not None:
                length = seconds if sound_seconds is None else sound_seconds
                container.mux(voice.encode(_played(sound, length)))
                container.mux(voice.encode())
        return path.read_bytes()


def png(image: Image.Image, comment: str | None = None) -> bytes:
    """A picture as a PNG, which may call itself a stand-in."""
    texts, out = PngImagePlugin.PngInfo(), io.BytesIO()
    if comment is not None:
        texts.add_text("Comment", comment)
    image.save(out, "PNG", pnginfo=texts)
    return out.getvalue()


@cache
def _scenery(size: tuple[int, int]) -> Image.Image:
    large = (size[0] * 2, size[1] * 2)
    return Image.effect_mandelbrot(large, (-2, -1.6, 1, 1.6), 60).convert("RGB")


def _drawn(picture: str, size: tuple[int, int], second: float) -> Image.Image:
    width, height = size
    if picture == "zooming":  # by a quarter of a per cent of its width in a second
        margin = second / 400
        box = (width * margin, height * margin, width * (2 - margin), height * (2 - margin))
        return _scenery(size).resize(size, Image.Resampling.BILINEAR, box=box)
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    draw = ImageDraw.Draw(image)
    if picture == "moving":
        left = int(second * width / 8) % width
        draw.rectangle((left, height // 3, left + width // 4, height // 2), (220, 60, 40))
    elif picture == "speaking" and int(second * 4) % 2:
        mouth = (width * 0.46, height * 0.30, width * 0.54, height * 0.33)
        draw.ellipse(mouth, (120, 20, 30))
    return image


def _played(sound: str, seconds: float) -> Any:
    loudness = {"tone": 6000, "quiet": 5, "silence": 0}[sound]
    values = array(
        "h",
        (
            round(loudness * math.sin(2 * math.pi * 220 * index / _RATE))
            for index in range(round(seconds * _RATE))
        ),
    )
    frame = av.AudioFrame(format="s16", layout="mono", samples=len(values))
    frame.planes[0].update(values.tobytes().ljust(frame.planes[0].buffer_size, b"\0"))
    frame.sample_rate, frame.pts, frame.time_base = _RATE, 0, Fraction(1, _RATE)
    return frame
