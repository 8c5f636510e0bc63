"""A ledger that breaks at opening or while it is used: one sentence, and all of a step or nothing.

Files that are something else, locks of a moment and a disk that fills up are in test_database.py.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.ledger.conftest import BASE_URL, UID, Clock, open_ledger, order, pend, reserve
from topview_pipeline.ledger import Ledger, LedgerUnavailable, TaskState


@contextmanager
def locked_by_another(folder: Path) -> Iterator[None]:
    """Another program keeps the ledger to itself."""
    with closing(sqlite3.connect(folder / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def fail_from_now_on(ledger: Ledger, pragma: str) -> None:
    """Every connection from here on has this pragma, as on a file system that changed."""
    engine = ledger._database._engine
    engine.dispose()
    sa.event.listen(engine, "connect", lambda raw, _: raw.execute(f"PRAGMA {pragma}"))


def overwrite(folder: Path, ledger: Ledger) -> None:
    """The disk loses what was written; the header alone is still right."""
    ledger._database._engine.dispose()  # a connection remembers pages that the disk has lost
    file = folder / "ledger.db"
    content = file.read_bytes()
    file.write_bytes(content[:100] + b"\xa5" * (len(content) - 100))


def one_sentence(error: LedgerUnavailable) -> str:
    text = str(error)
    assert "\n" not in text
    assert "ledger.db" in text
    assert "sqlite3." not in text
    assert "SELECT" not in text
    return text


def rows_of(folder: Path) -> list[str]:
    """The states of the task rows, as another program reads them."""
    with closing(sqlite3.connect(folder / "ledger.db")) as other:
        return [state for (state,) in other.execute("SELECT state FROM task ORDER BY id")]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("topview_pipeline.ledger.engines.LOCK_WAIT_SECONDS", 0.05)


def test_a_new_ledger_that_another_program_locks(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as other:
        other.execute("CREATE TABLE t (x)")
    with locked_by_another(tmp_path), pytest.raises(LedgerUnavailable, match="locked") as told:
        open_ledger(tmp_path)
    assert "Nothing was written and nothing was submitted" in one_sentence(told.value)


@pytest.mark.parametrize("kept", [100, 2048, 5000])
def test_a_file_that_was_cut_off(tmp_path: Path, clock: Clock, kept: int) -> None:
    ledger = open_ledger(tmp_path, clock)
    for n in range(50):
        order(ledger, f"p{n}")
    ledger.close()
    file = tmp_path / "ledger.db"
    file.write_bytes(file.read_bytes()[:kept])
    damaged = r"(malformed|not a database).* Restore it from a backup.* then run .*tasks rebuild"
    with pytest.raises(LedgerUnavailable, match=damaged) as told:
        open_ledger(tmp_path, clock)
    assert "nothing was submitted" in one_sentence(told.value)
    assert file.stat().st_size == kept


def test_a_file_that_may_only_be_read(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a volume that is mounted read-only: root may write every other file."""
    open_ledger(tmp_path, clock).close()
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    url = f"sqlite:///file:{tmp_path}/ledger.db?mode=ro&uri=true"

    def open_and_order() -> None:
        ledger = Ledger(url, base_url=BASE_URL, uid=UID, clock=clock)
        order(ledger)

    with pytest.raises(LedgerUnavailable, match="readonly") as told:
        open_and_order()
    assert "may be written" in one_sentence(told.value)
    assert list(here.iterdir()) == []


def test_a_disk_that_is_full_before_there_is_a_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect

    def full(*args: object, **options: object) -> sqlite3.Connection:
        connection = connect(*args, **options)  # type: ignore[call-overload]  # passed on
        connection.execute("PRAGMA max_page_count=2")
        return connection  # type: ignore[no-any-return]  # as is

    monkeypatch.setattr(sqlite3, "connect", full)
    monkeypatch.setattr(sqlite3.dbapi2, "connect", full)
    with pytest.raises(LedgerUnavailable, match="full") as told:
        open_ledger(tmp_path)
    assert "Nothing was written and nothing was submitted" in one_sentence(told.value)


def _cut_off(folder: Path, ledger: Ledger) -> None:
    overwrite(folder, ledger)
    file = folder / "ledger.db"
    file.write_bytes(file.read_bytes()[:4096])


@pytest.mark.parametrize(
    ("breaks", "said"),
    [
        (overwrite, "malformed"),
        (_cut_off, "malformed"),
        (lambda _, ledger: fail_from_now_on(ledger, "query_only=ON"), "readonly"),
    ],
    ids=["overwritten", "cut off", "read-only"],
)
def test_a_ledger_that_breaks_while_it_is_used_reserves_nothing(
    tmp_path: Path, clock: Clock, breaks: Callable[[Path, Ledger], None], said: str
) -> None:
    ledger = open_ledger(tmp_path, clock)
    wanted = order(ledger)
    breaks(tmp_path, ledger)
    with pytest.raises(LedgerUnavailable, match=said) as told:
        reserve(ledger, wanted)
    assert "This step was not written" in one_sentence(told.value)
    ledger.close()


@pytest.mark.parametrize("move", ["accepted", "succeeded", "stored", "failed", "released"])
def test_a_move_that_cannot_be_written_leaves_the_row_where_it_was(
    tmp_path: Path, clock: Clock, move: str
) -> None:
    ledger = open_ledger(tmp_path, clock)
    row = reserve(ledger, order(ledger))
    before = "reserved"
    if move in ("succeeded", "failed", "stored"):
        pend(ledger, row)
        before = "pending"
    if move == "stored":
        ledger.tasks.succeeded(row.id, result={}, cost_credits=2.0, who="me")
        before = "succeeded"
    moves: dict[str, Callable[[], object]] = {
        "accepted": lambda: ledger.tasks.accepted(row.id, "t1", who="me"),
        "succeeded": lambda: ledger.tasks.succeeded(row.id, result={}, cost_credits=2.0, who="me"),
        "stored": lambda: ledger.tasks.stored(row.id, artifacts=[], who="me"),
        "failed": lambda: ledger.tasks.failed(
            row.id, code=None, message="m", retryable=True, not_before=None, who="me"
        ),
        "released": lambda: ledger.tasks.ended(row.id, TaskState.RELEASED, why="w", who="me"),
    }
    events = sa.text("SELECT count(*) FROM task_event")

    def count() -> int:
        with ledger._database.read() as connection:
            return int(connection.scalar(events) or 0)

    written = count()
    with locked_by_another(tmp_path), pytest.raises(LedgerUnavailable, match="locked"):
        moves[move]()
    assert rows_of(tmp_path) == [before]
    assert count() == written
    moves[move]()
    assert rows_of(tmp_path) != [before]
    ledger.close()
