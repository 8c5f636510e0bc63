"""Where people and other programs find a file of the store: addresses, ready for a link."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from topview_pipeline.artifacts.artifact import Artifact
from topview_pipeline.artifacts.store import ArtifactStore

Links = Callable[[Artifact], str]
"""The address of a file, percent-encoded."""


def beside(store: ArtifactStore, folder: Path) -> Links:
    """For a page in a folder of the machine that has the store: works without any server."""

    def link(artifact: Artifact) -> str:
        path = store.local_path(artifact)
        if path is None:
            return store.uri(artifact)
        try:
            relative = os.path.relpath(path, folder)
        except ValueError:  # another drive of Windows
            return path.as_uri()
        return quote(relative.replace(os.sep, "/"))

    return link


def at(base_url: str) -> Links:
    """For a store that is served below a URL; a relative one is seen from the page."""

    def link(artifact: Artifact) -> str:
        return f"{base_url.rstrip('/')}/{quote(artifact.path)}"

    return link


def public(store: ArtifactStore, media_url: str | None) -> Links:
    """What others can open: below the URL at which the store is served, else its own addresses."""
    return store.uri if media_url is None else at(media_url)
