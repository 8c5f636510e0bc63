"""Small real pictures and a small real video, written below a store's root."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
from PIL import Image

from topview_pipeline.export import Report

_FRAMES_A_SECOND = 10
_SECONDS = 3


def write_media(root: Path, report: Report) -> None:
    """Every file of these products; they share their bytes."""
    video = root / "video.mp4"
    root.mkdir(parents=True, exist_ok=True)
    _write_video(video)
    picture = root / "picture.png"
    Image.new("RGB", (180, 320), "teal").save(picture)
    for one in report.products:
        for name in ("cutout.png", "scene_1.png", "scene_2.png", "video.mp4", "cover.jpg"):
            path = root / "account" / one.product_id / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.hardlink_to(video if name == "video.mp4" else picture)


def _write_video(path: Path) -> None:
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=_FRAMES_A_SECOND)
        stream.width, stream.height, stream.pix_fmt = 180, 320, "yuv420p"
        stream.time_base = Fraction(1, _FRAMES_A_SECOND)
        for number in range(_FRAMES_A_SECOND * _SECONDS):
            picture = Image.new("RGB", (180, 320), (number * 8 % 256, 90, 120))
            container.mux(stream.encode(_frame(picture)))
        container.mux(stream.encode())


def _frame(picture: Image.Image) -> av.VideoFrame:
    frame: av.VideoFrame = av.VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]  # PyAV gives no type
    return frame
