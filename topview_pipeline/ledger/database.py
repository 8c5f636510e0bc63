"""The ledger's database: opening it, its transactions, its clock. Knows no row's meaning."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from topview_pipeline.ledger import engines, versions
from topview_pipeline.ledger.errors import LedgerUnavailable
from topview_pipeline.ledger.schema import account


class Database:
    """Transactions on SQLite (WAL, synchronous=FULL, local disk only) or PostgreSQL.

    Args:
        url: SQLAlchemy URL, `sqlite:///` or `postgresql+psycopg2://`. `postgresql://` is the
            same: SQLAlchemy would take it for another driver from 2.1 on.
        clock: for tests; by default the database's own clock.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] | None = None) -> None:
        parsed = engines.parse(url)
        self.where = engines.place(parsed)
        self._clock = clock
        self._backend, self._engine = engines.open_engine(parsed)
        self._came_to = "Nothing was written and nothing was submitted."
        self._bring_up_to_date()
        self._came_to = "This step was not written."

    def _bring_up_to_date(self) -> None:
        # Looking needs no writer's lock: it is what all but the first of all openings end with.
        with self.read() as connection:
            if versions.is_up_to_date(connection, where=self.where):
                return
        with self.write() as connection:
            self._backend.change_schema_alone(connection)
            versions.bring_up_to_date(connection, where=self.where)

    @contextmanager
    def write(self, *, lock: str | None = None) -> Iterator[sa.Connection]:
        """One transaction that may write: all of it is kept, or none.

        Args:
            lock: an account id; no other writer of that account runs at the same time, and each
                statement sees all that earlier ones committed. SQLite has one writer anyway
                (BEGIN IMMEDIATE, and no word for the lock); PostgreSQL locks the account's row.
        """
        with self._guarded(), self._engine.begin() as connection:
            if lock is not None and self._engine.dialect.name != "sqlite":
                connection.execute(
                    sa.select(account.c.id).where(account.c.id == lock).with_for_update()
                )
            yield connection

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One consistent look that waits for no writer."""
        with self._guarded(), self._engine.connect() as connection:
            yield connection.execution_options(**self._backend.reading)

    def now(self, connection: sa.Connection) -> float:
        """The database's time in seconds since the epoch; for SQLite that is this machine's."""
        return self._backend.now(connection) if self._clock is None else self._clock()

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except DBAPIError as error:
            came_to = self._came_to
            if error.connection_invalidated:
                # It may have been the commit whose answer was lost.
                came_to = "The connection is gone, and perhaps this step was not written."
            raise self._unavailable(str(error.orig), came_to) from error
        except NoConnectionFree as error:
            raise self._unavailable("no connection became free", self._came_to) from error

    def _unavailable(self, what: str, came_to: str) -> LedgerUnavailable:
        told = " ".join(what.split()).rstrip(".")
        advice = self._backend.advice(told)
        return LedgerUnavailable(f"ledger {self.where}: {told}. {came_to} {advice}")
