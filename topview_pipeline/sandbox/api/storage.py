"""The place of records and bytes: memory, or a folder in which they outlive the process.

Nothing here knows what a record means.
"""

import hashlib
import json
import sqlite3
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any


class Storage:
    """Records by table and id, and bytes by sha256, that end with the process.

    Reads of bytes may come from any thread. Records live in `State` too, so that memory need not
    keep them a second time.
    """

    def __init__(self) -> None:
        self._bytes: dict[str, bytes] = {}

    def save(self, table: str, record_id: str, record: Any) -> None:
        """Keep a dataclass instance (or plain JSON dict), replacing the one of that id."""

    def load(self, table: str) -> list[dict[str, Any]]:  # noqa: ARG002 -- no records in memory
        """All records of a table, in the order in which their ids were first saved."""
        return []

    def put(self, content: bytes) -> str:
        """Keep bytes; returns their sha256."""
        sha256 = hashlib.sha256(content).hexdigest()
        self._bytes.setdefault(sha256, content)
        return sha256

    def get(self, sha256: str) -> bytes:
        """The bytes of a sha256 that was put; KeyError for one that never was."""
        return self._bytes[sha256]

    def clear(self) -> None:
        """Forget every record; bytes stay, since files of the library are put only once."""

    def close(self) -> None:
        """Release files."""


class DiskStorage(Storage):
    """A folder: one SQLite file of JSON records, one file per distinct content.

    Each save is committed before it returns. Without fsync: a killed process loses nothing, a
    power cut may, which a sandbox can bear.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._blobs = directory / "blobs"
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(
            directory / "state.sqlite3", isolation_level=None, check_same_thread=False
        )
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS record (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL,"
            " id TEXT NOT NULL, body TEXT NOT NULL, UNIQUE (kind, id))"
        )

    def save(self, table: str, record_id: str, record: Any) -> None:
        body = json.dumps(record if isinstance(record, dict) else asdict(record))
        self._db.execute(
            "INSERT INTO record (kind, id, body) VALUES (?, ?, ?)"
            " ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
            (table, record_id, body),
        )

    def load(self, table: str) -> list[dict[str, Any]]:
        rows = self._db.execute("SELECT body FROM record WHERE kind = ? ORDER BY seq", (table,))
        return [json.loads(body) for (body,) in rows]

    def put(self, content: bytes) -> str:
        sha256 = hashlib.sha256(content).hexdigest()
        path = self._blobs / sha256
        if not path.exists():
            partial = path.with_suffix(f".{uuid.uuid4().hex}.part")
            partial.write_bytes(content)
            partial.replace(path)
        return sha256

    def get(self, sha256: str) -> bytes:
        try:
            return (self._blobs / sha256).read_bytes()
        except FileNotFoundError as error:
            raise KeyError(sha256) from error

    def clear(self) -> None:
        self._db.execute("DELETE FROM record")

    def close(self) -> None:
        self._db.close()
