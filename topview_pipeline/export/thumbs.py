"""Thumbnails beside the page: small copies of photos and of stored pictures, each made once.

A contact sheet of full pictures would load megabytes a card; with thumbnails it also shows where
the store cannot be reached.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import urldefrag, urlsplit

from topview_pipeline.catalogue.references import file_mark, local_path
from topview_pipeline.errors import PipelineError
from topview_pipeline.media.probe import MediaError, opened_image
from topview_pipeline.store import Artifact, Store, whole

if TYPE_CHECKING:
    from PIL import Image

THUMBS: Final = "thumbs"
"""The folder of the thumbnails, beside the page."""
MOST_SECONDS: Final = 30.0
"""For the thumbnails that one writing of the page makes; the next goes on."""
_SIDE: Final = 560  # pixels of the longer side: a card of a sharp screen
_QUALITY: Final = 75
_THREADS: Final = 4

_UNSAFE: Final = {
    code: "_" for code in range(128) if not (chr(code).isalnum() or chr(code) in "-.")
}

Opener = Callable[[], AbstractContextManager[Path]]
"""Gives the picture that a thumbnail is made of as a local file."""


def photo_thumb(ref: str | None) -> tuple[str, Opener] | None:
    """The name of a thumbnail, another one for a changed file, and the photo; None for a URL."""
    path = None if ref is None else local_path(ref)
    if path is None:
        return None
    try:
        state = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(state.st_mode):
        return None  # a pipe would never end
    key = f"{path}\n{file_mark(state)}"
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{digest[:20]}.webp", lambda: nullcontext(path)


def photo_url(ref: str | None) -> str | None:
    """A photo's address for browsers; none with a query: that may be a signature."""
    parts = urlsplit(ref or "")
    is_plain = parts.scheme in ("http", "https") and not (parts.query or "@" in parts.netloc)
    return urldefrag(ref or "").url if is_plain else None


def stored_thumb(picture: Artifact, store: Store) -> tuple[str, Opener]:
    """The name of a stored picture's thumbnail, a part of the picture's own, and the picture."""
    path = PurePosixPath(picture.path)
    name = f"{path.parent.name[:20]}-{path.stem}.webp"
    return name.translate(_UNSAFE), partial(store.local_copy, picture)


def write_thumbs(wanted: Mapping[str, Opener], folder: Path) -> frozenset[str]:
    """Make the thumbnails that are missing; the names of those that are there.

    A picture that cannot be read has none, and when the time is over neither has the rest. Raises
    OSError: the folder cannot be written.
    """
    target = folder / THUMBS
    target.mkdir(parents=True, exist_ok=True)
    there = {name for name in os.listdir(target) if name in wanted}
    end = time.monotonic() + MOST_SECONDS

    def made(name: str) -> bool:
        if time.monotonic() > end:
            return False
        try:
            with wanted[name]() as path:
                small = _small(path)
        except (MediaError, PipelineError):
            return False
        with whole(target / name) as part:
            small.save(part, "WEBP", quality=_QUALITY, method=2)
        return True

    missing = [name for name in wanted if name not in there]
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="thumbs") as pool:
        are_made = pool.map(made, missing)
        there.update(name for name, done in zip(missing, are_made, strict=True) if done)
    return frozenset(there)


def _small(path: Path) -> Image.Image:
    """Raises MediaError, also for a picture with more pixels than Pillow takes."""
    from PIL import Image, ImageOps

    with opened_image(path) as opened:
        opened.draft("RGB", (_SIDE, _SIDE))
        small = ImageOps.exif_transpose(opened)
        small = small.convert("RGBA" if small.has_transparency_data else "RGB")
        small.thumbnail((_SIDE, _SIDE), Image.Resampling.BICUBIC, reducing_gap=2.0)
        return small
