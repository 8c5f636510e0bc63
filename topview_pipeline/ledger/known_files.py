"""Files of the catalogue: the ids that Topview gave for their bytes, and hashes of what was read.

Hashes are shared by all processes and accounts of a ledger; without them a file is read again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Final

import sqlalchemy as sa

from topview_pipeline.ledger.database import Database, Part, upsert
from topview_pipeline.ledger.schema import file_hash, portions, upload

MOST_ROWS: Final = 500_000
"""Signed addresses differ each day; the oldest rows over this number are forgotten."""

Remembered = tuple[str, str]
"""(mark, sha256 in hex) of a file."""


class Uploads(Part):
    """The uploaded files of one account, by their sha256."""

    def find(self, sha256: str) -> str | None:
        return self._db.scalar(sa.select(upload.c.file_id).where(*self._of(sha256)))

    def remember(self, sha256: str, file_id: str, *, format: str) -> None:  # noqa: A002
        """Keep the file id of bytes just uploaded; the newest counts."""
        with self._db.write(lock=self._account) as connection:
            row = {"file_id": file_id, "format": format, "uploaded_at": self._db.now(connection)}
            upsert(connection, upload, [{"account": self._account, "sha256": sha256, **row}])

    def forget(self, sha256: str, *, file_id: str) -> None:
        """Topview no longer knows this file id; a newer one of the same bytes stays."""
        mine = *self._of(sha256), upload.c.file_id == file_id
        with self._db.write(lock=self._account) as connection:
            connection.execute(upload.delete().where(*mine))

    def _of(self, sha256: str) -> tuple[sa.ColumnElement[bool], ...]:
        return upload.c.account == self._account, upload.c.sha256 == sha256


class FileHashTable:
    """Hashes by path, or by what names a URL. Safe in threads."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._is_cut = False
        self._known: dict[str, Remembered] = {}
        """By key. Out of date where another process learns more: then a file is read again."""

    def get_many(self, keys: Collection[str]) -> dict[str, Remembered]:
        """The last mark and hash of each of these files that is known."""
        names = {_name(key): key for key in keys if key not in self._known}
        columns = file_hash.c.name, file_hash.c.mark, file_hash.c.sha256
        for some in portions(names):
            query = sa.select(*columns).where(file_hash.c.name.in_(some))
            for name, mark, sha256 in self._db.rows(query):
                self._known[names[name]] = mark, sha256
        return {key: self._known[key] for key in keys if key in self._known}

    def learnt_within(self, seconds: float, keys: Collection[str]) -> set[str]:
        """Those of the files that were asked for so short a time ago."""
        names = {_name(key): key for key in keys}
        since = self._db.now() - seconds
        found: set[str] = set()
        for some in portions(names):
            new = sa.and_(file_hash.c.name.in_(some), file_hash.c.learnt_at > since)
            rows = self._db.rows(sa.select(file_hash.c.name).where(new))
            found.update(names[name] for (name,) in rows)
        return found

    def put_many(self, hashes: Mapping[str, Remembered]) -> None:
        if not hashes:
            return
        self._known |= hashes
        named = {_name(key): remembered for key, remembered in hashes.items()}
        with self._db.write() as connection:
            now = self._db.now(connection)
            rows = [
                {"name": name, "mark": mark, "sha256": sha256, "learnt_at": now}
                # In one order, so that two processes never wait for each other.
                for name, (mark, sha256) in sorted(named.items())
            ]
            upsert(connection, file_hash, rows)
            if not self._is_cut:  # once a process is enough
                self._cut(connection)
        self._is_cut = True

    def _cut(self, connection: sa.Connection) -> None:
        newest = file_hash.c.learnt_at.desc()
        last = sa.select(file_hash.c.learnt_at).order_by(newest).offset(MOST_ROWS - 1).limit(1)
        old = file_hash.c.learnt_at < last.scalar_subquery()
        connection.execute(file_hash.delete().where(old))


def _name(key: str) -> str:
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()
