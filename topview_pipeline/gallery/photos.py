"""Small copies of the catalogue's photos beside the page.

A photo on this machine is copied once for each version of the file. One behind a URL is shown from
there, unless the URL has a query: that may be a signature, and a page is passed on.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from topview_pipeline.sources import is_url, local_path

FOLDER: Final = "photos"
_SIDE: Final = 480  # pixels of the longer side: twice what a card shows
_QUALITY: Final = 80


def photo_for(ref: str | None, folder: Path) -> str | None:
    """The address of a product's photo, seen from the page in `folder`; None without a picture."""
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
        key = f"{path}\n{state.st_mtime_ns}\n{state.st_size}"
        name = f"{hashlib.sha256(key.encode('utf-8', 'surrogateescape')).hexdigest()[:20]}.webp"
        target = folder / FOLDER / name
        if not target.exists():
            _write_small(path, target)
    except OSError:  # Pillow's errors for what is no picture are among them
        return None
    return f"{FOLDER}/{name}"


def _write_small(path: Path, target: Path) -> None:
    from PIL import Image, ImageOps

    with Image.open(path) as opened:
        opened.draft("RGB", (_SIDE, _SIDE))
        small = ImageOps.exif_transpose(opened)
        small = small.convert("RGBA" if small.has_transparency_data else "RGB")
        small.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.{os.getpid()}.part")
        try:
            small.save(part, "WEBP", quality=_QUALITY, method=2)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
