"""Small copies of the catalogue's photos beside the page.

A photo on this machine is copied once for each version of the file. One behind a URL is shown from
there, unless the URL has a query: that may be a signature, and a page is passed on.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from topview_pipeline.probes import MediaProbeError, reading
from topview_pipeline.sources import is_url, local_path

if TYPE_CHECKING:
    from PIL import Image

FOLDER: Final = "photos"
_SIDE: Final = 480  # pixels of the longer side: twice what a card shows
_QUALITY: Final = 80


def photo_for(ref: str | None, folder: Path) -> str | None:
    """The address of a product's photo, seen from the page in `folder`; None without a picture.

    Raises:
        OSError: the folder cannot be written.
    """
    if ref is None:
        return None
    path = local_path(ref)
    if path is not None:
        return _copy(path, folder)
    parts = urlsplit(ref)
    is_plain = parts.scheme in ("http", "https") and not (parts.query or parts.username)
    return ref if is_url(ref) and is_plain else None


def _copy(path: Path, folder: Path) -> str | None:
    try:
        state = path.stat()
    except OSError:
        return None
    key = f"{path}\n{state.st_mtime_ns}\n{state.st_size}"
    name = f"{hashlib.sha256(key.encode('utf-8', 'surrogateescape')).hexdigest()[:20]}.webp"
    target = folder / FOLDER / name
    if not target.exists():
        try:
            small = _small(path)
        except MediaProbeError:
            return None
        _write(small, target)
    return f"{FOLDER}/{name}"


def _small(path: Path) -> Image.Image:
    """Raises MediaProbeError, also for a picture with more pixels than Pillow takes."""
    from PIL import Image, ImageOps

    with reading(path), Image.open(path) as opened:
        opened.draft("RGB", (_SIDE, _SIDE))
        small = ImageOps.exif_transpose(opened)
        small = small.convert("RGBA" if small.has_transparency_data else "RGB")
        small.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
        return small


def _write(small: Image.Image, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        small.save(part, "WEBP", quality=_QUALITY, method=2)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
