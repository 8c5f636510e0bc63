"""The inline picture of a materialization. "No picture" never fails a product."""

import io

from topview_pipeline.artifacts import Artifact, ArtifactStore, StoreError
from topview_pipeline.ledger import Task

_SHOWN = ("cutout.png", "scene_1.png", "cover.jpg", "video.mp4")
"""The first of these that a task has is its picture."""


def preview_of(task: Task, store: ArtifactStore) -> str | None:
    """Markdown with a small picture of what was made, or None."""
    # Pillow and FFmpeg take 0.3 s to import, and the code location must load without them.
    from topview_pipeline.previews import MediaProbeError, inline_preview, poster

    artifacts = {one.name: one for one in map(Artifact.from_json, task.artifacts or ())}
    shown = next((artifacts[name] for name in _SHOWN if name in artifacts), None)
    if shown is None:
        return None
    try:
        data = store.read_bytes(shown)
        if shown.name.endswith(".mp4"):
            frame = io.BytesIO()
            poster(data).save(frame, "PNG")
            data = frame.getvalue()
        return inline_preview(data)
    except (MediaProbeError, StoreError, OSError):
        return None
