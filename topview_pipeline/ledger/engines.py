"""What SQLite and PostgreSQL need each: driver, isolation, locks, time limits, and advice.

Nothing here knows a table.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from topview_pipeline.ledger.errors import LedgerUnavailable

LOCK_WAIT_SECONDS: Final = 30.0
"""So long a writer waits for another one."""
_STATEMENT_SECONDS: Final = 60.0
_IDLE_SECONDS: Final = 60.0
"""After this the server ends the session of a machine that vanished inside a transaction."""
_NEW_SCHEMA_LOCK: Final = 7_698_104_536_208_917_863
"""Any number, the same for all programs that make or upgrade a ledger in a database."""


class Backend(Protocol):
    """One kind of database."""

    reading: Mapping[str, Any]
    """Execution options of a transaction that only reads, and sees one state of the ledger."""

    def advice(self, trouble: str) -> str:
        """What to do when it fails with this message."""

    def engine(self, url: URL) -> sa.Engine:
        """An engine whose transactions that write begin with what a writer needs."""

    def now(self, connection: sa.Connection) -> float:
        """The database's time in seconds since the epoch."""

    def change_schema_alone(self, connection: sa.Connection) -> None:
        """Wait until nobody else changes the schema, and keep others off until the end."""


_DAMAGED: Final = ("malformed", "not a database")
"""SQLite's words for a file that is none of its own any more."""


class Sqlite:
    """WAL, synchronous=FULL, on a local disk: WAL needs memory that all its users share."""

    reading: Mapping[str, Any] = {"topview_read_only": True}

    def advice(self, trouble: str) -> str:
        """See `Backend`."""
        if any(word in trouble for word in _DAMAGED):
            return (
                "The file is damaged. Restore it from a backup, or without one move it away; then "
                "run `topview-pipeline tasks rebuild`, which makes the rows that it lacks again "
                "from the store."
            )
        return (
            "Check that the disk has room, that the file may be written and that no other program "
            "holds it locked; then run again."
        )

    def engine(self, url: URL) -> sa.Engine:
        """See `Backend`. Makes the folder of the file."""
        file = url.database or ":memory:"
        if not file.startswith((":memory:", "file:")):  # SQLite's own URLs say what may be made
            Path(file).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(url, connect_args={"timeout": LOCK_WAIT_SECONDS})
        sa.event.listen(engine, "connect", _configure_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
        return engine

    def now(self, connection: sa.Connection) -> float:  # noqa: ARG002
        """This machine's time, as the file is on its disk."""
        return time.time()

    def change_schema_alone(self, connection: sa.Connection) -> None:
        """A writer is alone from its BEGIN on."""


class Postgresql:
    """By psycopg2; READ COMMITTED for writers, which lock the account's row first."""

    reading: Mapping[str, Any] = {
        "isolation_level": "REPEATABLE READ",
        "postgresql_readonly": True,
    }
    _CONNECT: Final[Mapping[str, int | str]] = {
        "connect_timeout": 10,
        # A server that vanished is noticed within a minute, not after the system's two hours.
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
        "fallback_application_name": "topview-pipeline",
    }

    def advice(self, trouble: str) -> str:  # noqa: ARG002 - see `Backend`
        """See `Backend`."""
        return (
            "Check that the PostgreSQL server runs, that this machine reaches it, and host, user, "
            "password and database in TOPVIEW_LEDGER_URL; then run again."
        )

    def engine(self, url: URL) -> sa.Engine:
        """See `Backend`. What the URL says itself goes over our own time limits."""
        engine = sa.create_engine(
            url,
            connect_args={k: v for k, v in self._CONNECT.items() if k not in url.query},
            isolation_level="READ COMMITTED",
            pool_pre_ping=True,
        )
        sa.event.listen(engine, "connect", _configure_postgresql)
        return engine

    def now(self, connection: sa.Connection) -> float:
        """The server's time, the same for all machines; it goes on within a transaction."""
        epoch = sa.func.extract("epoch", sa.func.clock_timestamp())
        return float(connection.execute(sa.select(epoch)).scalar_one())

    def change_schema_alone(self, connection: sa.Connection) -> None:
        """A lock of the whole database: there may be no table yet that could be locked."""
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_NEW_SCHEMA_LOCK)))


_BACKENDS: Final[dict[str, Backend]] = {
    "sqlite": Sqlite(),
    "postgresql+psycopg2": Postgresql(),
}


def parse(url: str) -> URL:
    """A SQLAlchemy URL; `postgresql://` means psycopg2, whatever SQLAlchemy takes it for.

    Raises:
        LedgerUnavailable: it is none, without its text: there may be a password in it.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise LedgerUnavailable(
            "TOPVIEW_LEDGER_URL is no SQLAlchemy URL; write sqlite:///path/ledger.db or "
            "postgresql+psycopg2://user:password@host/name, "
            "with %40 and %2F for @ and / in a password"
        ) from None
    if parsed.drivername == "postgresql":
        return parsed.set(drivername="postgresql+psycopg2")
    return parsed


def place(url: URL) -> str:
    """Where a ledger is, for people: without password and options, which may hold one, too."""
    return url.set(query={}).render_as_string(hide_password=True)


def open_engine(url: URL) -> tuple[Backend, sa.Engine]:
    """The kind of database and an engine for it, which has not yet connected.

    Raises:
        LedgerUnavailable: it is another database, or the driver is missing.
    """
    name = "sqlite" if url.get_backend_name() == "sqlite" else url.drivername
    backend = _BACKENDS.get(name)
    if backend is None:
        raise LedgerUnavailable(
            f"ledger {place(url)} cannot be opened: {name} is not supported; "
            "use sqlite:// or postgresql+psycopg2://"
        )
    try:
        return backend, backend.engine(url)
    except ModuleNotFoundError as error:
        if error.name == "psycopg2":
            raise LedgerUnavailable(
                "A ledger on PostgreSQL needs a driver that is not installed: "
                "pip install 'topview-pipeline[postgres]'"
            ) from error
        raise LedgerUnavailable(f"ledger {place(url)} cannot be opened: {error}") from error
    except (OSError, NoSuchModuleError) as error:
        raise LedgerUnavailable(f"ledger {place(url)} cannot be opened: {error}") from error


def _configure_sqlite(connection: Any, _record: object) -> None:
    """Take BEGIN into our own hands, and make a commit survive a power cut."""
    connection.isolation_level = None
    cursor = connection.cursor()
    _change_to_wal(cursor)
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _change_to_wal(cursor: sqlite3.Cursor) -> None:
    """Wait for another process that changes the same new file: here SQLite itself does not."""
    until = time.monotonic() + LOCK_WAIT_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: sa.Connection) -> None:
    """A writer takes the lock at once: upgrading a read lock later can fail in the middle."""
    read_only = connection.get_execution_options().get("topview_read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _configure_postgresql(connection: Any, _record: object) -> None:
    """Nobody waits for ever, whatever the server's own limits are; and a commit is on its disk."""
    limits = {
        "lock_timeout": LOCK_WAIT_SECONDS,
        "statement_timeout": _STATEMENT_SECONDS,
        "idle_in_transaction_session_timeout": _IDLE_SECONDS,
    }
    with connection.cursor() as cursor:
        for name, seconds in limits.items():
            cursor.execute(f"SET {name} = {seconds * 1000:.0f}")
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false) "
            "WHERE current_setting('synchronous_commit') = 'off'"
        )
    connection.commit()
