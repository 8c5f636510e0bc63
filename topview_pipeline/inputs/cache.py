"""The hashes of files that were read before, in a small SQLite file that may be deleted any time.

A row says: when this file or URL had this mark (`sources.reading`), its bytes had this sha256.
Several processes use it at once. Whatever goes wrong with it costs only reading files again.
"""

import contextlib
import logging
import sqlite3
import threading
from pathlib import Path
from typing import Final

_log = logging.getLogger(__name__)

_MOST_ROWS: Final = 500_000
"""Signed addresses differ each day; the oldest rows over this number are forgotten."""
_LOCK_SECONDS: Final = 5.0
_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS file"
    " (name TEXT PRIMARY KEY, mark TEXT NOT NULL, sha256 TEXT NOT NULL)"
)
_FORGET: Final = "DELETE FROM file WHERE rowid <= (SELECT max(rowid) FROM file) - ?"


class HashCache:
    """The memory in the file at `path`, opened when it is first used. Safe in threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._is_out_of_use = False

    def known(self, name: str) -> tuple[str, str] | None:
        """(mark, sha256 in hex) as last learnt of a file or URL."""
        row = self._run("SELECT mark, sha256 FROM file WHERE name = ?", name)
        return None if row is None else (str(row[0]), str(row[1]))

    def learn(self, name: str, mark: str, sha256: str) -> None:
        """Remember that `name` has these bytes while it has this mark."""
        self._run("INSERT OR REPLACE INTO file VALUES (?, ?, ?)", name, mark, sha256)

    def forget(self, name: str) -> None:
        """`name` has other bytes, and no mark that would tell when they change again."""
        self._run("DELETE FROM file WHERE name = ?", name)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            self._drop_connection()

    def _run(self, statement: str, *values: str) -> tuple[str, str] | None:
        with self._lock:
            if self._is_out_of_use:
                return None
            for rebuild in (True, False):
                try:
                    row: tuple[str, str] | None = (
                        self._opened().execute(statement, values).fetchone()
                    )
                except (sqlite3.OperationalError, OSError) as error:
                    # Locked for long, or a disk that is full or read-only: the files are read.
                    _log.debug("%s: %s", self._path, error)
                    return None
                except sqlite3.DatabaseError as error:
                    self._start_again(error, rebuild=rebuild)
                else:
                    return row
        return None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self._path, timeout=_LOCK_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                # SQLite does not wait for others here. The mode stays with the file: who opens it
                # next sets it, or has just done so.
                with contextlib.suppress(sqlite3.OperationalError):
                    connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=NORMAL")
                connection.execute(_TABLE)
                connection.execute(_FORGET, (_MOST_ROWS,))
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _start_again(self, error: sqlite3.DatabaseError, *, rebuild: bool) -> None:
        self._drop_connection()
        if not rebuild:
            self._is_out_of_use = True
            _log.warning("%s cannot be used (%s); files are read instead", self._path, error)
            return
        _log.warning("%s is broken (%s) and begun anew; files are read again", self._path, error)
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                self._path.with_name(self._path.name + suffix).unlink()

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
