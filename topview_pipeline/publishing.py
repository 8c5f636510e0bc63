"""Writes a manifest into the store: whole, with what changed, and without losing the one before.

    <account>/manifest/videos.csv, videos.jsonl, changes.jsonl    what is true now
    <account>/manifest/manifest.json                              written last: which version it is
    <account>/manifest/2026-05-04T030201Z-3f2a.../...             every version there was

Not here: what stands in it (`manifest`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from typing import Any, Final

from topview_pipeline.artifacts import Artifact, ArtifactStore, StoreError
from topview_pipeline.manifest import (
    Changes,
    Listing,
    Measured,
    Row,
    changes_between,
    from_jsonl,
    listing,
    to_csv,
    to_jsonl,
)
from topview_pipeline.portfolio import ProductShown
from topview_pipeline.probes import MediaProbeError, probe_video

FOLDER: Final = "manifest"
CSV: Final = "videos.csv"
JSONL: Final = "videos.jsonl"
CHANGES: Final = "changes.jsonl"
HEAD: Final = "manifest.json"


@dataclass(frozen=True)
class Published:
    """A manifest as it is in the store now.

    Attributes:
        version: its name; that of the one before when nothing changed.
        addresses: of its files, by name.
    """

    listing: Listing
    changes: Changes
    version: str
    addresses: Mapping[str, str]


class Publisher:
    """Manifests of one account in one store.

    Args:
        address: where a shop finds a file of the store; by default the store's own address.
    """

    def __init__(
        self,
        store: ArtifactStore,
        account: str,
        *,
        address: Callable[[Artifact], str] | None = None,
    ) -> None:
        self._store = store
        self._account = account
        self._address = address or store.uri

    def publish(self, portfolio: list[ProductShown], *, now: float) -> Published:
        """List what may be exported, and write it when it differs from the last one.

        Args:
            now: seconds since the epoch.

        Raises:
            StoreError: the store does not answer or cannot be written.
        """
        head = self._head()
        before = self._rows_of(head)
        known = {row.get("video_sha256"): _measured(row) for row in before}
        sizes = self._files

        def measure(video: Artifact) -> Measured:
            found = known.get(video.sha256)
            return self._probed(video) if found is None else found

        found = listing(
            portfolio,
            is_there=lambda artifact: sizes.get(artifact.path) == artifact.bytes,
            address=self._address,
            measure=measure,
        )
        changes = changes_between(before, found.rows)
        if changes or not self._is_whole(head):
            version = self._write(found, changes, now)
        else:
            version = str(head["version"])
        names = (CSV, JSONL, CHANGES)
        addresses = {name: self._store.uri_of(self._path(name)) for name in names}
        return Published(found, changes, version, addresses)

    def _head(self) -> Mapping[str, Any]:
        """What the last manifest says of itself; empty when there is none, or it is damaged."""
        data = self._store.published(self._path(HEAD))
        try:
            found = {} if data is None else json.loads(data)
        except ValueError:
            return {}
        is_one = isinstance(found, dict) and "version" in found and "sha256" in found
        return found if is_one else {}

    def _rows_of(self, head: Mapping[str, Any]) -> list[Row]:
        """The rows of the version that is named there: the plain names may be half renewed."""
        if not head:
            return []
        data = self._store.published(self._path(f"{head['version']}/{JSONL}"))
        try:
            return [] if data is None else from_jsonl(data)
        except ValueError:
            return []

    def _is_whole(self, head: Mapping[str, Any]) -> bool:
        """Whether the plain names hold what the head says."""
        return bool(head) and all(
            _sha256(self._store.published(self._path(name))) == head["sha256"].get(name)
            for name in (CSV, JSONL, CHANGES)
        )

    @cached_property
    def _files(self) -> Mapping[str, int]:
        """One listing instead of a question for each file."""
        return self._store.files(self._account)

    def _probed(self, video: Artifact) -> Measured:
        try:
            seen = probe_video(self._store.local_path(video) or self._store.read_bytes(video))
        except (MediaProbeError, StoreError):
            return Measured()
        return Measured(round(seen.seconds, 3) or None, seen.width, seen.height)

    def _write(self, found: Listing, changes: Changes, now: float) -> str:
        files = {
            CSV: to_csv(found.rows),
            JSONL: to_jsonl(found.rows),
            CHANGES: to_jsonl(changes.lines()),
        }
        digest = hashlib.sha256(files[JSONL] + files[CHANGES]).hexdigest()[:8]
        moment = datetime.fromtimestamp(now, timezone.utc)
        version = f"{moment:%Y-%m-%dT%H%M%SZ}-{digest}"
        # First the version, which stays, then the names that always mean the newest: whoever is
        # killed in between leaves the last one whole.
        for name, data in files.items():
            self._store.publish(self._path(f"{version}/{name}"), data)
        for name, data in files.items():
            self._store.publish(self._path(name), data)
        head = {
            "version": version,
            "made_at": moment.isoformat(timespec="seconds"),
            "videos": len(found.rows),
            "left_out": len(found.left_out),
            "sha256": {name: _sha256(data) for name, data in files.items()},
        }
        self._store.publish(self._path(HEAD), json.dumps(head, indent=2).encode() + b"\n")
        return version

    def _path(self, name: str) -> str:
        return f"{self._account}/{FOLDER}/{name}"


def _measured(row: Row) -> Measured | None:
    """What the last manifest knows of a video; None when it could not be measured then."""
    seconds = row.get("duration_seconds")
    return None if seconds is None else Measured(seconds, row.get("width"), row.get("height"))


def _sha256(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()
