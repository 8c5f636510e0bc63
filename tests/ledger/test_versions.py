"""A ledger's schema: the same however it came to be, upgraded in place, never guessed at."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from tests.ledger.conftest import Clock, open_at, order, reserve
from topview_pipeline.ledger import LedgerUnavailable, LedgerVersion, TaskState, migrations
from topview_pipeline.ledger.catalogues import catalogue_key
from topview_pipeline.ledger.schema import REVISIONS, ledger_info, metadata
from topview_pipeline.ledger.versions import VERSION_TABLE

FORMER = (Path(__file__).parent / "former_ledger.sql").read_text()
"""A ledger as a program without revisions wrote it: a task stored, one pending, one unknown."""


@contextmanager
def connected(url: str) -> Iterator[sa.Connection]:
    """One transaction, past the ledger."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def write_former_ledger(url: str) -> None:
    """Put a former program's ledger into an empty database."""
    memory = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    with memory.connect() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        if url.startswith("sqlite"):
            raw = sqlite3.connect(url.removeprefix("sqlite:///"))
        raw.executescript(FORMER)
        if url.startswith("sqlite"):
            raw.close()
            return
        tables = sa.MetaData()
        tables.reflect(connection)
        with connected(url) as there:
            migrations.upgrade(there, to=REVISIONS[0])
            there.exec_driver_sql(f"DROP TABLE {VERSION_TABLE}")
            for table in tables.sorted_tables:
                for row in connection.execute(sa.select(table)):
                    there.execute(table.insert().values(row._asdict()))
            for sequence in sa.inspect(there).get_sequence_names():
                there.exec_driver_sql(f"ALTER SEQUENCE {sequence} RESTART WITH 100")


def shape(url: str) -> dict[str, Any]:
    """All that a database tells of its tables."""
    with connected(url) as connection:
        inspector = sa.inspect(connection)
        return {
            name: {
                "columns": {
                    column["name"]: (str(column["type"]), column["nullable"])
                    for column in inspector.get_columns(name)
                },
                "key": inspector.get_pk_constraint(name)["constrained_columns"],
                "references": inspector.get_foreign_keys(name),
                "indexes": {
                    index["name"]: (
                        index["column_names"],
                        bool(index["unique"]),
                        {k: str(v) for k, v in index.get("dialect_options", {}).items()},
                    )
                    for index in inspector.get_indexes(name)
                },
            }
            for name in inspector.get_table_names()
        }


def everything(url: str) -> dict[str, list[Any]]:
    """Every row of every table that the database has."""
    with connected(url) as connection:
        tables = sa.MetaData()
        tables.reflect(connection)
        return {
            table.name: sorted(map(repr, connection.execute(sa.select(table))))
            for table in tables.sorted_tables
        }


@pytest.fixture
def former_url(new_url: str) -> str:
    write_former_ledger(new_url)
    return new_url


def test_a_new_ledger_has_what_the_migrations_make(
    new_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with connected(new_url) as connection:
        migrations.upgrade(connection)
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []
    if new_url.startswith("sqlite"):
        other = f"sqlite:///{tmp_path}/new.db"
    else:
        other = request.getfixturevalue("postgres").create()
    open_at(other).close()
    assert shape(new_url) == shape(other)


def test_the_first_revision_is_what_the_former_program_made(
    former_url: str, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/first.db"
    with connected(url) as connection:
        migrations.upgrade(connection, to=REVISIONS[0])
    first = shape(url)
    assert first.pop(VERSION_TABLE)
    if former_url.startswith("sqlite"):
        assert shape(former_url) == first
    assert set(shape(former_url)) == set(first)


def test_every_revision_is_known_by_name() -> None:
    assert migrations.revisions() == REVISIONS


def test_a_former_ledger_is_upgraded_and_keeps_its_rows(former_url: str, clock: Clock) -> None:
    before = everything(former_url)
    ledger = open_at(former_url, clock)
    states = [row.state for row in ledger.tasks.all()]
    assert states == [TaskState.STORED, TaskState.PENDING, TaskState.UNKNOWN]
    assert ledger.uploads.find("hash") == "file-1"
    assert [row.product_id for row in ledger.orders.open_orders()] == ["b", "d"]
    assert reserve(ledger, order(ledger, "e")).state is TaskState.RESERVED
    ledger.close()
    with connected(former_url) as connection:
        for table, rows in before.items():
            count = sa.select(sa.func.count()).select_from(sa.table(table))
            assert connection.execute(count).scalar_one() >= len(rows)
    open_at(former_url).close()


def test_a_catalogue_that_was_obeyed_when_it_had_no_name_is_still_known(
    new_url: str, tmp_path: Path
) -> None:
    """Half of it gone is held, not taken for a catalogue that nobody ever saw."""
    other = open_at(f"sqlite:///{tmp_path}/other.db")
    account = other.account
    other.close()
    with connected(new_url) as connection:
        migrations.upgrade(connection, to="0002")
        seen = sa.MetaData()
        seen.reflect(connection, only=["catalogue_seen"])
        row = {"catalogue": catalogue_key("shop"), "sha256": "1", "columns": ["mode"], "seen_at": 1}
        connection.execute(seen.tables["catalogue_seen"].insert().values(account=account, **row))
    ledger = open_at(new_url)
    found = ledger.catalogues.seen("shop")
    assert (found.sha256, found.columns, found.unknown_columns) == (
        "1",
        frozenset({"mode"}),
        frozenset(),
    )
    assert ledger.catalogues.held() == ()
    ledger.close()


def test_a_former_program_leaves_an_upgraded_or_new_ledger_alone(
    former_url: str, tmp_path: Path
) -> None:
    """It would write rows that no credit limit knows of; it goes by this row, and knows only 1."""
    new = f"sqlite:///{tmp_path}/new.db"
    for url in (former_url, new):
        open_at(url).close()
        assert everything(url)["ledger_info"] == ["('schema_version', '2')"]


def test_an_upgrade_that_fails_changes_nothing(former_url: str) -> None:
    with connected(former_url) as connection:
        connection.exec_driver_sql("CREATE INDEX task_by_booking ON task (id)")
    before = shape(former_url), everything(former_url)
    with pytest.raises(LedgerUnavailable, match=r"already exists.*Nothing was written"):
        open_at(former_url)
    assert (shape(former_url), everything(former_url)) == before


@pytest.mark.parametrize("version", ["0099", None])
def test_a_newer_ledger_is_not_touched(new_url: str, version: str | None) -> None:
    open_at(new_url).close()
    table = sa.table(VERSION_TABLE, sa.column("version_num"))
    with connected(new_url) as connection:
        connection.execute(
            table.delete() if version is None else table.update().values(version_num=version)
        )
    before = shape(new_url), everything(new_url)
    with pytest.raises(LedgerVersion, match=f"has schema {version}.* knows {REVISIONS[-1]}"):
        open_at(new_url, uid="another account")
    assert (shape(new_url), everything(new_url)) == before


def test_a_version_that_the_former_program_would_refuse_is_refused(former_url: str) -> None:
    with connected(former_url) as connection:
        connection.execute(ledger_info.update().values(value="99"))
    with pytest.raises(LedgerVersion, match="has schema 99"):
        open_at(former_url)


def test_another_programs_tables_are_left_alone(new_url: str) -> None:
    with connected(new_url) as connection:
        connection.exec_driver_sql("CREATE TABLE task (id INTEGER)")
    with pytest.raises(LedgerVersion, match=r"no ledger and has a table task; name a database"):
        open_at(new_url)
    assert set(shape(new_url)) == {"task"}


def test_a_database_that_dagster_uses_can_keep_the_ledger_too(new_url: str) -> None:
    with connected(new_url) as connection:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('dagsters')")
    open_at(new_url).close()
    assert everything(new_url)["alembic_version"] == ["('dagsters',)"]


def test_opening_waits_for_no_writer(ledger_url: str) -> None:
    first = open_at(ledger_url)
    with first._database.write(lock=first.account):
        open_at(ledger_url).close()
    first.close()


def test_opening_an_up_to_date_ledger_does_not_load_alembic(tmp_path: Path) -> None:
    """It is opened in every tick of the sensor, and by every command."""
    code = f"""
import sys
from tests.ledger.conftest import open_at
for _ in "twice":
    open_at("sqlite:///{tmp_path}/ledger.db").close()
assert "alembic" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
