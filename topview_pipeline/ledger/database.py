"""The ledger's database: opening it, its transactions, its clock. Knows no row's meaning."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, NoSuchModuleError

from topview_pipeline.ledger.errors import LedgerUnavailable, LedgerVersion
from topview_pipeline.ledger.schema import SCHEMA_VERSION, account, ledger_info, metadata

_LOCK_WAIT_SECONDS = 30.0


class Database:
    """Transactions on SQLite (WAL, synchronous=FULL, local disk only) or PostgreSQL.

    Args:
        url: SQLAlchemy URL. For PostgreSQL write `postgresql+psycopg2://` (Dagster fact 24).
        clock: for tests; by default the database's own clock.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] | None = None) -> None:
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise LedgerUnavailable(
                "TOPVIEW_LEDGER_URL is no SQLAlchemy URL; "
                "write sqlite:///path/ledger.db or postgresql+psycopg2://user@host/name"
            ) from error
        self.where = parsed.render_as_string(hide_password=True)
        self._clock = clock
        self._sqlite = parsed.get_backend_name() == "sqlite"
        try:
            if self._sqlite and parsed.database not in (None, "", ":memory:"):
                Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
            self._engine = sa.create_engine(parsed, connect_args=self._connect_args())
        except (OSError, NoSuchModuleError, ModuleNotFoundError) as error:
            raise LedgerUnavailable(f"ledger {self.where} cannot be opened: {error}") from error
        if self._sqlite:
            sa.event.listen(self._engine, "connect", _configure_sqlite)
            sa.event.listen(self._engine, "begin", _begin_sqlite)
        self._came_to = "Nothing was written and nothing was submitted."
        self._create()
        self._came_to = "This step was not written."

    def _connect_args(self) -> dict[str, float]:
        return {"timeout": _LOCK_WAIT_SECONDS} if self._sqlite else {}

    def _create(self) -> None:
        with self.write() as connection:
            metadata.create_all(connection)
            found = connection.scalar(
                sa.select(ledger_info.c.value).where(ledger_info.c.key == "schema_version")
            )
            if found is None:
                connection.execute(
                    ledger_info.insert().values(key="schema_version", value=str(SCHEMA_VERSION))
                )
            elif found != str(SCHEMA_VERSION):
                raise LedgerVersion(
                    f"ledger {self.where} has schema {found}, this program knows {SCHEMA_VERSION}; "
                    "use the program that wrote it, or another TOPVIEW_LEDGER_URL"
                )

    @contextmanager
    def write(self, *, lock: str | None = None) -> Iterator[sa.Connection]:
        """One transaction that may write: all of it is kept, or none.

        Args:
            lock: an account id; no other writer of that account runs at the same time. SQLite
                has one writer anyway (BEGIN IMMEDIATE); PostgreSQL locks the account's row.
        """
        with self._guarded(), self._engine.begin() as connection:
            if lock is not None and not self._sqlite:
                connection.execute(
                    sa.select(account.c.id).where(account.c.id == lock).with_for_update()
                )
            yield connection

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One consistent look that waits for no writer."""
        with self._guarded(), self._engine.connect() as connection:
            yield connection.execution_options(topview_read_only=True)

    def now(self, connection: sa.Connection) -> float:
        """The database's time in seconds since the epoch; for SQLite that is this machine's."""
        if self._clock is not None:
            return self._clock()
        if self._sqlite:
            return time.time()
        epoch = sa.func.extract("epoch", sa.func.clock_timestamp())
        return float(connection.scalar(sa.select(epoch)) or 0.0)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.IntegrityError:
            raise
        except (DBAPIError, DatabaseError) as error:
            cause = error.orig if error.orig is not None else error
            raise LedgerUnavailable(
                f"ledger {self.where}: {cause}. {self._came_to} "
                "Check that the disk has room, that the file may be written and that no other "
                "program holds it locked; then run again."
            ) from error


def _configure_sqlite(connection: object, _record: object) -> None:
    """Take BEGIN into our own hands, and make a commit survive a power cut."""
    connection.isolation_level = None  # type: ignore[attr-defined]  # sqlite3.Connection
    cursor = connection.cursor()  # type: ignore[attr-defined]  # sqlite3.Connection
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    """A writer takes the lock at once: upgrading a read lock later can fail in the middle."""
    read_only = connection.get_execution_options().get("topview_read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
