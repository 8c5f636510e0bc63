"""A ledger that cannot be used says where it is and how to mend it, and nothing is submitted."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.ledger.conftest import Clock, open_ledger, order, reserve
from topview_pipeline.ledger import Ledger, LedgerUnavailable, LedgerVersion, TaskState
from topview_pipeline.ledger.schema import ledger_info


def _open(url: str) -> Ledger:
    return Ledger(url, base_url="https://api.topview.ai", uid="u")


@pytest.mark.parametrize(
    "url", ["nonsense", "nosuchdatabase://x/y", "sqlite+nosuchdriver:///x.db", ""]
)
def test_a_url_that_names_no_database(url: str) -> None:
    with pytest.raises(LedgerUnavailable):
        _open(url)


def test_a_directory_where_the_file_should_be(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").mkdir()
    with pytest.raises(LedgerUnavailable, match=r"ledger\.db: unable to open"):
        open_ledger(tmp_path)


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("not a folder")
    with pytest.raises(LedgerUnavailable, match="cannot be opened"):
        open_ledger(tmp_path / "home")


def test_a_folder_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_args: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied")  # root may write anywhere

    monkeypatch.setattr(Path, "mkdir", forbidden)
    with pytest.raises(LedgerUnavailable, match="Permission denied"):
        open_ledger(tmp_path / "new")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"something else entirely" * 500)
    with pytest.raises(LedgerUnavailable, match="not a database"):
        open_ledger(tmp_path)


def test_a_corrupted_database(tmp_path: Path, clock: Clock) -> None:
    ledger = open_ledger(tmp_path, clock)
    for n in range(50):
        order(ledger, f"p{n}")
    ledger.close()
    file = tmp_path / "ledger.db"
    content = bytearray(file.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    file.write_bytes(content)
    with pytest.raises(LedgerUnavailable, match="malformed"):
        open_ledger(tmp_path, clock)


def test_a_full_disk_writes_all_of_a_move_or_nothing(tmp_path: Path, clock: Clock) -> None:
    ledger = open_ledger(tmp_path, clock)
    wanted = [order(ledger, f"p{n}") for n in range(300)]
    with ledger._database.read() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    engine = ledger._database._engine
    engine.dispose()
    sa.event.listen(
        engine, "connect", lambda raw, _: raw.execute(f"PRAGMA max_page_count={pages + 2}")
    )

    def reserve_all() -> None:
        for one in wanted:
            reserve(ledger, one, slots=1000, request={"text": "x" * 500})

    with pytest.raises(LedgerUnavailable, match=r"full.*This step was not written"):
        reserve_all()
    rows = ledger.tasks.in_state((TaskState.RESERVED,))
    assert 0 < len(rows) < 300
    relied_on = {one.task_id for one in ledger.orders.open_orders()} - {None}
    assert relied_on == {row.id for row in rows}
    ledger.close()


def test_a_lock_that_another_program_keeps(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("topview_pipeline.ledger.database._LOCK_WAIT_SECONDS", 0.05)
    ledger = open_ledger(tmp_path, clock)
    wanted = order(ledger)
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerUnavailable, match="locked"):
        reserve(ledger, wanted)
    assert ledger.tasks.in_state(tuple(TaskState)) == []  # reading waits for nobody
    other.execute("ROLLBACK")
    other.close()
    reserve(ledger, wanted)
    ledger.close()


def test_a_ledger_of_another_schema_is_not_touched(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    with ledger._database.write() as connection:
        connection.execute(ledger_info.update().values(value="99"))
    ledger.close()
    with pytest.raises(LedgerVersion, match="has schema 99, this program knows 1"):
        open_ledger(tmp_path)


def test_a_password_in_the_url_is_not_shown() -> None:
    with pytest.raises(LedgerUnavailable) as told:
        _open("sqlite+nosuchdriver://user:hunter2@host/name")
    assert "hunter2" not in str(told.value)


def test_two_accounts_share_a_file_and_nothing_else(tmp_path: Path, clock: Clock) -> None:
    ours, theirs = open_ledger(tmp_path, clock), open_ledger(tmp_path, clock, uid="other")
    reserve(ours, order(ours))
    ours.accounts.stop_submits(code="4100", message="m", who="me")
    ours.uploads.remember("hash", "file-1", format="png")
    found: tuple[Any, ...] = (
        theirs.tasks.slots_held(),
        theirs.orders.open_orders(),
        theirs.accounts.pause(),
        theirs.uploads.find("hash"),
    )
    assert found == (0, [], None, None)
    ours.close()
    theirs.close()


def test_an_upload_is_remembered_until_topview_forgets_it(ledger: Ledger) -> None:
    uploads = ledger.uploads
    uploads.remember("hash", "file-1", format="png")
    uploads.remember("hash", "file-2", format="png")
    uploads.forget("hash", file_id="file-1")  # told late by somebody who still had the old one
    assert uploads.find("hash") == "file-2"
    uploads.forget("hash", file_id="file-2")
    assert uploads.find("hash") is None
