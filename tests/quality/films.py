"""Videos made for the tests, by FFmpeg: what is seen and heard in them is said by the test."""

from __future__ import annotations

import math
import tempfile
from array import array
from fractions import Fraction
from pathlib import Path

import av
from PIL import Image, ImageDraw

_RATE = 16_000
_FPS = 12
Film = bytes


def film(
    *,
    size: tuple[int, int] = (480, 854),
    seconds: float = 5.0,
    picture: str = "moving",
    sound: str | None = "tone",
    comment: str | None = None,
    key_frames: int = 250,
    sound_seconds: float | None = None,
    holds_from: float | None = None,
    black_from: float | None = None,
) -> Film:
    """An MP4 with its index first.

    Args:
        picture: moving, speaking (only a mouth moves), frozen or black.
        sound: tone, quiet, silence, or None for no track at all.
        key_frames: frames from one to the next.
        sound_seconds: of the track, which is as long as the pictures if not said.
        holds_from: the second whose picture stands to the end.
        black_from: the second from which the picture is black.
    """
    sound_seconds = seconds if sound_seconds is None else sound_seconds
    with tempfile.TemporaryDirectory() as folder:
        # A file, because FFmpeg opens it a second time to move the index.
        path = Path(folder) / "film.mp4"
        with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
            if comment is not None:
                container.metadata["comment"] = comment
            options = {"preset": "ultrafast", "sc_threshold": "0", "g": str(key_frames)}
            video = container.add_stream("libx264", rate=_FPS, options=options)
            video.width, video.height, video.pix_fmt = *size, "yuv420p"
            voice = None
            if sound is not None:
                voice = container.add_stream("aac", rate=_RATE, layout="mono")
            for index in range(round(seconds * _FPS)):
                second = min(index / _FPS, seconds if holds_from is None else holds_from)
                is_black = black_from is not None and second >= black_from
                image = _drawn("black" if is_black else picture, size, second)
                frame = av.VideoFrame.from_image(image)  # type: ignore[no-untyped-call]  # PyAV gives no type
                container.mux(video.encode(frame))
            container.mux(video.encode())
            if voice is not None and sound is not None:
                container.mux(voice.encode(_heard(sound, sound_seconds)))
                container.mux(voice.encode())
        return path.read_bytes()


def _drawn(picture: str, size: tuple[int, int], second: float) -> Image.Image:
    width, height = size
    if picture == "black":
        return Image.new("RGB", size)
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    draw = ImageDraw.Draw(image)
    if picture == "moving":
        left = int(second * width / 8) % width
        draw.rectangle((left, height // 3, left + width // 4, height // 2), (220, 60, 40))
    elif picture == "speaking" and int(second * 4) % 2:
        mouth = (width * 0.46, height * 0.30, width * 0.54, height * 0.33)
        draw.ellipse(mouth, (120, 20, 30))
    return image


def _heard(sound: str, seconds: float) -> av.AudioFrame:
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
