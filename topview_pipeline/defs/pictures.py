"""What a materialization shows of its file: a small picture and its size.

"No picture" never fails a product, and where previews are off none of this is called.
"""

import io
from dataclasses import dataclass

from topview_pipeline.artifacts import Artifact, ArtifactStore, StoreError
from topview_pipeline.ledger import Task

_SHOWN = ("cutout.png", "scene_1.png", "cover.jpg", "video.mp4")
"""The first of these that a task has is its picture."""
_MEASURED = ("cutout.png", "scene_1.png", "video.mp4")
"""The first of these that a task has gives the size: a cover need not have the video's."""


@dataclass(frozen=True)
class Picture:
    """What can be seen of a task's file; None is what could not be found out.

    Attributes:
        markdown: a picture inline, short enough for the UI to draw.
        width: pixels.
        height: pixels.
        seconds: of a video.
    """

    markdown: str | None = None
    width: int | None = None
    height: int | None = None
    seconds: float | None = None


def preview_of(task: Task, store: ArtifactStore) -> Picture:
    """A small picture of what was made, and how large and long that is."""
    artifacts = {one.name: one for one in map(Artifact.from_json, task.artifacts or ())}
    shown = next((artifacts[name] for name in _SHOWN if name in artifacts), None)
    measured = next((artifacts[name] for name in _MEASURED if name in artifacts), None)
    size = Picture() if measured is None else _size_of(measured, store)
    return Picture(
        None if shown is None else _drawn(shown, store), size.width, size.height, size.seconds
    )


def _drawn(shown: Artifact, store: ArtifactStore) -> str | None:
    # Pillow and FFmpeg take 0.3 s to import, and the code location must load without them.
    from topview_pipeline.previews import MediaProbeError, inline_preview, poster

    try:
        data = store.read_bytes(shown)
        if shown.name.endswith(".mp4"):
            frame = io.BytesIO()
            poster(data).save(frame, "PNG")
            data = frame.getvalue()
        return inline_preview(data)
    except (MediaProbeError, StoreError, OSError):
        return None


def _size_of(measured: Artifact, store: ArtifactStore) -> Picture:
    from topview_pipeline.probes import MediaProbeError, probe_image, probe_video

    try:
        media = store.local_path(measured) or store.read_bytes(measured)
        if measured.name.endswith(".mp4"):
            video = probe_video(media)
            return Picture(None, video.width, video.height, video.seconds)
        image = probe_image(media)
        return Picture(None, image.width, image.height)
    except (MediaProbeError, StoreError, OSError):
        return Picture()
