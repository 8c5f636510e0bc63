"""A database that cannot be used says where it is and how to fix it: all of a step or nothing."""

from __future__ import annotations

import signal
import sqlite3
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import pytest
import sqlalchemy as sa

from tests.ledger.conftest import (
    BASE_URL,
    MOVES,
    UID,
    Clock,
    bring,
    open_at,
    open_ledger,
    reserve,
)
from topview_pipeline.ledger import Ledger, LedgerUnavailable, LedgerVersion, TaskState, schema


def open_any(url: str) -> Ledger:
    return Ledger(url, base_url=BASE_URL, uid=UID)


def one_sentence(error: LedgerUnavailable) -> str:
    text = str(error)
    assert text.startswith("ledger sqlite:///")
    assert "\n" not in text
    assert "sqlite3." not in text
    assert "SELECT" not in text
    return text


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits longer than 50 ms for a lock."""
    monkeypatch.setattr("topview_pipeline.ledger.database.LOCK_WAIT_SECONDS", 0.05)


@contextmanager
def locked_by_another(folder: Path, how: str = "EXCLUSIVE") -> Iterator[None]:
    """Another program keeps the ledger to itself."""
    with closing(sqlite3.connect(folder / "ledger.db", isolation_level=None)) as other:
        other.execute(f"BEGIN {how}")
        yield
        other.execute("ROLLBACK")


# Opening.


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg2://user:hunter2@127.0.0.1:1/name",
        "postgresql+psycopg2://user@127.0.0.1:1/name?password=hunter2",
    ],
)
def test_a_url_that_leads_nowhere_shows_no_password(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with pytest.raises(LedgerUnavailable) as refused:
        open_any(url)
    assert "hunter2" not in "".join(traceback.format_exception(refused.value)) + caplog.text


def test_a_directory_or_a_file_that_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").mkdir()
    with pytest.raises(LedgerUnavailable, match=r"ledger\.db: unable to open"):
        open_ledger(tmp_path)
    (tmp_path / "home").write_text("not a folder")
    with pytest.raises(LedgerUnavailable, match="cannot be opened"):
        open_ledger(tmp_path / "home")


@pytest.mark.parametrize("kept", [100, 5000, None])
def test_a_file_that_was_cut_off_or_is_something_else(
    tmp_path: Path, clock: Clock, kept: int | None
) -> None:
    open_ledger(tmp_path, clock).close()
    file = tmp_path / "ledger.db"
    content = b"something else entirely" * 500 if kept is None else file.read_bytes()[:kept]
    file.write_bytes(content)
    damaged = r"(malformed|not a database).* Restore it from a backup.*`topview-pipeline ledger ad"
    with pytest.raises(LedgerUnavailable, match=damaged) as refused:
        open_ledger(tmp_path, clock)
    assert "nothing was submitted" in one_sentence(refused.value)
    assert file.read_bytes() == content


@pytest.mark.usefixtures("impatient")
def test_a_new_ledger_that_another_program_locks(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as other:
        other.execute("CREATE TABLE t (x)")
    with locked_by_another(tmp_path), pytest.raises(LedgerUnavailable, match="locked") as refused:
        open_ledger(tmp_path)
    assert "Nothing was written and nothing was submitted" in one_sentence(refused.value)


def test_opening_waits_for_no_writer(ledger: Ledger, ledger_url: str) -> None:
    with ledger._database.write(lock=ledger.account):
        open_at(ledger_url).close()


# While it is used.


def overwrite(folder: Path, ledger: Ledger) -> None:
    """The disk loses what was written; the header alone is still right."""
    ledger._database.engine.dispose()  # a connection remembers pages that the disk has lost
    file = folder / "ledger.db"
    content = file.read_bytes()
    file.write_bytes(content[:100] + b"\xa5" * (len(content) - 100))


def fail_from_now_on(ledger: Ledger, pragma: str) -> None:
    """Every connection from here on has this pragma, as on a file system that changed."""
    engine = ledger._database.engine
    engine.dispose()
    sa.event.listen(engine, "connect", lambda raw, _: raw.execute(f"PRAGMA {pragma}"))


@pytest.mark.parametrize(
    ("breaks", "said"),
    [
        (overwrite, "malformed"),
        (lambda _, ledger: fail_from_now_on(ledger, "query_only=ON"), "readonly"),
    ],
    ids=["overwritten", "read-only"],
)
def test_a_ledger_that_breaks_while_it_is_used_reserves_nothing(
    tmp_path: Path, clock: Clock, breaks: Callable[[Path, Ledger], None], said: str
) -> None:
    ledger = open_ledger(tmp_path, clock)
    breaks(tmp_path, ledger)
    with pytest.raises(LedgerUnavailable, match=said) as refused:
        reserve(ledger)
    assert "This step was not written" in one_sentence(refused.value)
    ledger.close()


def test_a_full_disk_writes_all_of_a_step_or_nothing(tmp_path: Path, clock: Clock) -> None:
    ledger = open_ledger(tmp_path, clock)
    with ledger._database.read() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    fail_from_now_on(ledger, f"max_page_count={pages + 2}")

    def reserve_all() -> None:
        for n in range(300):
            reserve(ledger, f"p{n}", slots=1000, request={"text": "x" * 500})

    with pytest.raises(LedgerUnavailable, match=r"full.*This step was not written"):
        reserve_all()
    rows = ledger.tasks.in_state([TaskState.RESERVED])
    assert 0 < len(rows) < 300
    assert all(len(ledger.history.events(row.id)) == 1 for row in rows)
    ledger.close()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("state", "move"),
    [(TaskState.RESERVED, "accepted"), (TaskState.PENDING, "succeeded")],
)
def test_a_move_that_cannot_be_written_leaves_the_row_where_it_was(
    tmp_path: Path, clock: Clock, state: TaskState, move: str
) -> None:
    ledger = open_ledger(tmp_path, clock)
    row = bring(ledger, reserve(ledger), state)
    events = ledger.history.events(row.id)
    with (
        locked_by_another(tmp_path, "IMMEDIATE"),
        pytest.raises(LedgerUnavailable, match="locked") as refused,
    ):
        MOVES[move](ledger, row.id)
    assert "no other program holds it locked" in one_sentence(refused.value)
    assert ledger.tasks.get(row.id) == row  # reading waits for nobody
    assert ledger.history.events(row.id) == events
    MOVES[move](ledger, row.id)
    ledger.close()


def test_a_reader_sees_one_state_though_others_write(ledger: Ledger, ledger_url: str) -> None:
    rows = sa.select(sa.func.count()).select_from(schema.task)
    reader = open_at(ledger_url)
    with reader._database.read() as connection:
        assert connection.scalar(rows) == 0
        reserve(ledger)
        assert connection.scalar(rows) == 0
    assert len(reader.tasks.to_decide("work of a", "a", None).rows) == 1
    reader.close()


# The schema's version.


@contextmanager
def connected(url: str) -> Iterator[sa.Connection]:
    """One transaction, past the ledger."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def everything(url: str) -> dict[str, list[Any]]:
    """Every row of every table that the database has."""
    with connected(url) as connection:
        tables = sa.MetaData()
        tables.reflect(connection)
        return {
            table.name: sorted(map(repr, connection.execute(sa.select(table))))
            for table in tables.sorted_tables
        }


@pytest.mark.parametrize("version", ["0", "1", "newest", None])
def test_a_ledger_of_another_version_is_not_touched(new_url: str, version: str | None) -> None:
    open_at(new_url).close()
    with connected(new_url) as connection:
        info = schema.ledger_info
        connection.execute(
            info.delete() if version is None else info.update().values(value=version)
        )
    before = everything(new_url)
    refused = f"ledger .*: it has schema {version}, this program knows 2. Use the release that"
    with pytest.raises(LedgerVersion, match=refused):
        open_at(new_url, uid="another account")
    assert everything(new_url) == before


def test_another_programs_tables_are_left_alone(new_url: str) -> None:
    with connected(new_url) as connection:
        connection.exec_driver_sql("CREATE TABLE task (id INTEGER)")
    with pytest.raises(LedgerVersion, match=r"not a ledger: it has a table task. Name a database"):
        open_at(new_url)
    assert set(everything(new_url)) == {"task"}


def test_a_database_that_dagster_uses_can_keep_the_ledger_too(new_url: str) -> None:
    with connected(new_url) as connection:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('dagsters')")
    open_at(new_url).close()
    assert everything(new_url)["alembic_version"] == ["('dagsters',)"]


# Signals.


class Interrupted(BaseException):
    """A signal's exception, as Dagster's DagsterExecutionInterruptedError."""


def test_an_interrupt_within_a_write_gives_the_lock_back_at_once(tmp_path: Path) -> None:
    """Else the engine's thread waits for the lock while it has a paid task's id to write down."""

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise Interrupted

    def write(query: str = "SELECT 1") -> None:
        with ledger._database.write() as connection:
            connection.execute(sa.text(query))

    slow = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) "
        "SELECT count(*) FROM n UNION ALL SELECT 1"
    )
    ledger = open_ledger(tmp_path)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Interrupted) as caught:
            write(slow)
    finally:
        signal.signal(signal.SIGALRM, before)
    other = threading.Thread(target=write)
    other.start()
    other.join(5.0)
    assert not other.is_alive(), f"the lock is held while {caught.value!r} is handled"
    ledger.close()


def test_a_newer_releases_columns_are_left_alone(new_url: str) -> None:
    """A rolling upgrade: the new release has added its columns, and runs of this one go on."""
    with closing(open_at(new_url)) as ledger:
        old = reserve(ledger, "old")
        with connected(new_url) as connection:
            for table in schema.metadata.tables:
                connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN newer TEXT DEFAULT 'x'")
        for opened in (ledger, open_at(new_url, migrate=False)):
            opened.workers.start("me", run_id="run")
            stored = bring(opened, reserve(opened, f"of {opened is ledger}"), TaskState.STORED)
            opened.tasks.reported(stored.id, stored.product_id, who="me")
            assert opened.tasks.last_made(stored.product_id, stored.stage) is not None
            assert opened.tasks.glances([old.work])[old.work][0].id == old.id
        opened.close()
