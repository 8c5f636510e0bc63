"""Telling media by their first bytes. Headers of storage servers are not evidence."""

from typing import Literal

Media = Literal["image", "video"]

HEAD_BYTES = 12
"""How many first bytes are needed."""


def media_type(head: bytes) -> str | None:
    """Return the MIME type that the first HEAD_BYTES bytes of a file prove, or None.

    Known are PNG, JPEG and WebP images, MP4 and QuickTime videos.
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        return "video/quicktime" if head[8:12] == b"qt  " else "video/mp4"
    return None
