"""The media that Topview made: their size and length, small previews, and checks of what they show.

Works on paths and bytes alone. Importing this room loads neither Pillow nor FFmpeg: 0.3 s.
"""

from topview_pipeline.media.quality import (
    VERSION,
    Outcome,
    Verdict,
    is_faceless,
    is_refused,
    refused_images,
    unmeasured,
)

__all__ = [
    "VERSION",
    "Outcome",
    "Verdict",
    "is_faceless",
    "is_refused",
    "refused_images",
    "unmeasured",
]
