"""What a browser is given of a folder: pictures and videos by their names, and nothing else.

A folder that a setting or an option names may hold anything: a .env with a key, results with
account and credits, a ledger.
"""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import Final

from starlette.staticfiles import StaticFiles

_MEDIA: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".mp4"})


class MediaFiles(StaticFiles):
    """Serves the media below a folder, which may come into being later."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        super().__init__(directory=directory, check_dir=False)
        self._top = os.path.realpath(directory)

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """The file that a request leads to, links followed; none when it is no media."""
        found, state = super().lookup_path(path)
        if state is None:
            return found, None
        inside = PurePath(os.path.relpath(found, self._top))
        is_hidden = any(part.startswith(".") for part in inside.parts)
        is_media = inside.suffix.lower() in _MEDIA
        return (found, state) if is_media and not is_hidden else ("", None)
