"""The ledger's database: opening it, its schema's version, its transactions and its clock.

Everything in which SQLite and PostgreSQL differ is here; what a row means is not. `Part` is the
base of the ledger's parts.
"""

from __future__ import annotations

import selectors
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError

from topview_pipeline.errors import PipelineError
from topview_pipeline.ledger import schema
from topview_pipeline.ledger.task_row import Task

LOCK_WAIT_SECONDS: Final = 30.0
"""Longest time that a writer waits for another one."""
_STATEMENT_SECONDS: Final = 60.0
_IDLE_SECONDS: Final = 60.0
"""After this the server ends the session of a machine that vanished inside a transaction."""
_VERSION_KEY: Final = "schema_version"
_NEW_SCHEMA_LOCK: Final = 7_698_104_536_208_917_863
"""Any number, the same for all programs that make a ledger in a database."""
_READING: Final[Mapping[str, Mapping[str, Any]]] = {
    "sqlite": {"topview_read_only": True},
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}
"""Execution options of a transaction that only reads, and sees one state of the ledger."""
_ONE: Final = {**_READING, "postgresql": {"isolation_level": "AUTOCOMMIT"}}
"""Those of a single statement."""
_NAME_A_PLACE: Final = (
    "Let TOPVIEW_HOME, or TOPVIEW_LEDGER_URL, name a place on a local disk that may be written."
)
_SQLITE_ADVICE: Final = (
    "Check that the disk has room, that TOPVIEW_HOME (or TOPVIEW_LEDGER_URL) may be written and "
    "that no other program holds it locked; then run again."
)
_DAMAGED_ADVICE: Final = (
    "The file is damaged. Restore it from a backup, or without one move it away and run "
    "`topview-pipeline ledger adopt`: what the store has is then taken up again, free."
)
_POSTGRESQL_ADVICE: Final = (
    "Check that the PostgreSQL server runs, that this machine reaches it, and host, user, password "
    "and database in TOPVIEW_LEDGER_URL; then run again."
)


class LedgerError(PipelineError):
    """The ledger cannot be used."""


class LedgerUnavailable(LedgerError):
    """The database cannot be opened, read or written: the transaction was not kept."""


class LedgerVersion(LedgerError):
    """The database has a schema that this program does not know."""


class Database:
    """Transactions on SQLite (WAL, synchronous=FULL, local disk only) or PostgreSQL.

    Args:
        url: as `PipelineConfig.ledger_url` has it: `sqlite:///` or `postgresql+psycopg2://`.
        clock: seconds since the epoch, for tests; by default the database's own clock.
        migrate: a database without tables gets them; its role must be allowed to make some.
    """

    def __init__(
        self, url: str, *, clock: Callable[[], float] | None = None, migrate: bool = True
    ) -> None:
        self.where, self.engine = _open(url)
        self._is_sqlite = self.engine.dialect.name == "sqlite"
        self._clock = clock
        self._outcome = "Nothing was written and nothing was submitted."
        self._create_if_new(may_create=migrate)
        self._outcome = "This step was not written."

    @property
    def is_remote(self) -> bool:
        """A server is asked, which may take milliseconds."""
        return not self._is_sqlite

    @contextmanager
    def write(self, *, lock: str | None = None) -> Iterator[sa.Connection]:
        """One transaction that may write: all of it is kept, or none.

        Args:
            lock: an account; of its writers with a lock one runs at a time.
        """
        with self._guarded(), self.engine.begin() as connection:
            if lock is not None and not self._is_sqlite:
                mine = schema.account.c.id == lock
                connection.execute(sa.select(schema.account.c.id).where(mine).with_for_update())
            yield connection

    @contextmanager
    def read(self, options: Mapping[str, Any] | None = None) -> Iterator[sa.Connection]:
        """One consistent look that waits for no writer."""
        with self._guarded(), self.engine.connect() as connection:
            options = options or _READING[connection.dialect.name]
            yield connection.execution_options(**options)

    def rows(self, query: sa.Executable) -> Sequence[Any]:
        """All rows of one query, in one round trip to a server."""
        with self.read(_ONE[self.engine.dialect.name]) as connection:
            return connection.execute(query).all()

    def scalar(self, query: sa.Executable) -> Any | None:
        """The first column of the first row of one query; None without a row."""
        return next((row[0] for row in self.rows(query)), None)

    def now(self, connection: sa.Connection | None = None) -> float:
        """The database's time: seconds since the epoch, the same for all that use it."""
        if self._clock is not None:
            return self._clock()
        if self._is_sqlite:
            return time.time()
        epoch = sa.select(sa.func.extract("epoch", sa.func.clock_timestamp()))
        ((seconds,),) = self.rows(epoch) if connection is None else connection.execute(epoch)
        return float(seconds)

    def close(self) -> None:
        self.engine.dispose()

    def _create_if_new(self, *, may_create: bool) -> None:
        # Looking needs no writer's lock: all but the first of all openings end with it.
        with self.read() as connection:
            if _is_ledger(connection, self.where):
                return
        if not may_create:
            fix = "Run `topview-pipeline ledger upgrade`, as a role that may make tables."
            raise LedgerVersion("it has no tables yet", f"ledger {self.where}", fix)
        with self.write() as connection:
            if not self._is_sqlite:  # there is no table yet that could be locked
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_NEW_SCHEMA_LOCK)))
            if not _is_ledger(connection, self.where):
                schema.metadata.create_all(connection, checkfirst=False)
                row = {"key": _VERSION_KEY, "value": str(schema.VERSION)}
                connection.execute(schema.ledger_info.insert(), row)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except DBAPIError as error:
            trouble, outcome = " ".join(str(error.orig).split()).rstrip("."), self._outcome
            if error.connection_invalidated:
                # It may have been the commit whose answer was lost.
                outcome = "The connection is gone, and perhaps this step was not written."
            advice = _POSTGRESQL_ADVICE
            if self._is_sqlite:
                is_damaged = "malformed" in trouble or "not a database" in trouble
                advice = _DAMAGED_ADVICE if is_damaged else _SQLITE_ADVICE
            where = f"ledger {self.where}"
            raise LedgerUnavailable(f"{trouble}. {outcome}", where, advice) from error


class Part:
    """A part of one account's ledger, as one of its pipelines uses it.

    Lists of rows are in the order of their numbers, the oldest first.
    """

    def __init__(self, database: Database, account: str, pipeline: str) -> None:
        self._db = database
        self._account = account
        self._pipeline = pipeline
        self._is_own = schema.task.c.pipeline == pipeline

    def _of_pipeline(self, table: sa.Table) -> tuple[sa.ColumnElement[bool], ...]:
        return table.c.account == self._account, table.c.pipeline == self._pipeline

    def _select(self, *which: sa.ColumnElement[bool]) -> list[Task]:
        return list(map(schema.task_of, self._db.rows(self._query(*which))))

    def _read(self, connection: sa.Connection, *which: sa.ColumnElement[bool]) -> list[Task]:
        return list(map(schema.task_of, connection.execute(self._query(*which))))

    def _query(self, *which: sa.ColumnElement[bool]) -> sa.Select[Any]:
        mine = schema.task.c.account == self._account
        return sa.select(schema.task).where(mine, *which).order_by(schema.task.c.id)


def append_event(
    connection: sa.Connection,
    account: str,
    at: float,
    what: str,
    who: str,
    detail: Mapping[str, Any] | None = None,
    *,
    task_id: int | None = None,
    product: tuple[str, str | None] | None = None,
) -> None:
    """Write one event, inside the transaction of what it reports.

    `product` is its pipeline and id; without an id it is about the pipeline.
    """
    pipeline, product_id = product or (None, None)
    subject = {"account": account, "task_id": task_id}
    subject |= {"pipeline": pipeline, "product_id": product_id}
    event = {"at": at, "what": what, "who": who, "detail": dict(detail or {})}
    connection.execute(schema.task_event.insert(), subject | event)


def upsert(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows of the same columns; where the primary key is there, those columns change.

    Give many rows in an order that all processes keep: else two may wait for each other.
    """
    dialect = import_module(f"sqlalchemy.dialects.{connection.dialect.name}")
    new = dialect.insert(table)
    keys = [column.name for column in table.primary_key]
    changed = {name: new.excluded[name] for name in rows[0] if name not in keys}
    connection.execute(new.on_conflict_do_update(index_elements=keys, set_=changed), rows)


def _is_ledger(connection: sa.Connection, where: str) -> bool:
    """True if the database has a ledger. Raises LedgerVersion: another schema, or other tables."""
    inspector = sa.inspect(connection)
    if not inspector.has_table(schema.ledger_info.name):
        foreign = sorted(set(inspector.get_table_names()) & set(schema.metadata.tables))
        if foreign:
            raise LedgerVersion(
                f"it is not a ledger: it has a table {foreign[0]}",
                where,
                "Name a database of its own in TOPVIEW_LEDGER_URL.",
            )
        return False
    info = schema.ledger_info.c
    found = connection.scalar(sa.select(info.value).where(info.key == _VERSION_KEY))
    if found != str(schema.VERSION):
        raise LedgerVersion(
            f"it has schema {found}, this program knows {schema.VERSION}",
            f"ledger {where}",
            "Use the release that wrote it. Or let TOPVIEW_LEDGER_URL name a new database, and run "
            "topview-pipeline ledger adopt: it takes in what the store has.",
        )
    return True


def _open(url: str) -> tuple[str, sa.Engine]:
    """Where a ledger is, for people, and an engine for it, without an open connection.

    Connections are not kept from one opening to the next: the file may be another one by then.
    """
    parsed = make_url(url)
    where = parsed.set(query={}).render_as_string()  # no password: the options may hold one, too
    try:
        if parsed.get_backend_name() == "sqlite":
            Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
        engine = _engine(parsed)
    except (OSError, ModuleNotFoundError) as error:
        fix, reason = "Run: pip install 'topview-pipeline[postgres]'", str(error)
        if isinstance(error, OSError):
            fix, reason = _NAME_A_PLACE, error.strerror or reason
        raise LedgerUnavailable(f"it cannot be opened: {reason}", f"ledger {where}", fix) from error
    engine.dispose()
    return where, engine


@lru_cache(maxsize=8)
def _engine(url: URL) -> sa.Engine:
    """The process's one engine of a URL: a sensor's tick would compile all statements again."""
    return _sqlite(url) if url.get_backend_name() == "sqlite" else _postgresql(url)


def _sqlite(url: URL) -> sa.Engine:
    """WAL, synchronous=FULL, on a local disk: WAL needs memory that all its users share."""
    engine = sa.create_engine(url, connect_args={"timeout": LOCK_WAIT_SECONDS})
    sa.event.listen(engine, "connect", _configure_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    sa.event.listen(engine, "handle_error", _roll_back_at_once)
    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:
    """Take BEGIN into our own hands, and make a commit survive a power cut."""
    connection.isolation_level = None
    cursor = connection.cursor()
    _change_to_wal(cursor)
    cursor.execute("PRAGMA synchronous=FULL")
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


def _roll_back_at_once(context: sa.engine.ExceptionContext) -> None:
    """A statement that a signal interrupted ends its transaction, and no connection.

    SQLAlchemy would give the connection up, and its open cursor keep the writer's lock while the
    exception is handled: the engine's thread, with a paid task to write down, would wait for it.
    """
    if not isinstance(context.original_exception, Exception):
        context.is_disconnect = False


def _postgresql(url: URL) -> sa.Engine:
    """READ COMMITTED for writers, which lock the account's row first."""
    limits = {
        "connect_timeout": 10,
        # A server that vanished is noticed within a minute, not after the system's two hours.
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
        "fallback_application_name": "topview-pipeline",
    }
    engine = sa.create_engine(
        url,
        # What the URL says itself overrides our own limits.
        connect_args={name: value for name, value in limits.items() if name not in url.query},
        isolation_level="READ COMMITTED",
    )
    sa.event.listen(engine, "connect", _configure_postgresql)
    sa.event.listen(engine, "checkout", _refuse_closed)
    return engine


def _refuse_closed(connection: Any, _record: object, _proxy: object) -> None:
    """Let the pool replace a connection that the server has closed: it asks nobody.

    Nothing is to be read from one that waits for its next statement but the server's farewell, or
    the error of a network that is gone.
    """
    with selectors.DefaultSelector() as selector:
        if not connection.closed:
            selector.register(connection, selectors.EVENT_READ)
        if connection.closed or selector.select(0):
            raise sa.exc.DisconnectionError


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
