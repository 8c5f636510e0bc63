"""A ledger that cannot be used says where it is and how to mend it, and nothing is submitted."""

import sqlite3
import traceback
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.ledger.conftest import Clock, open_at, open_ledger, order, pend, reserve
from topview_pipeline.ledger import HeldReason, Ledger, LedgerUnavailable, TaskState
from topview_pipeline.ledger.schema import orders


def _open(url: str) -> Ledger:
    return Ledger(url, base_url="https://api.topview.ai", uid="u")


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "nosuchdatabase://x/y",
        "mysql://x/y",
        "postgresql+asyncpg://x/y",
        "sqlite+nosuchdriver:///x.db",
        "postgresql://user:pass@word:hunter2@host/name",
        "",
    ],
)
def test_a_url_that_names_no_database(url: str) -> None:
    with pytest.raises(LedgerUnavailable) as told:
        _open(url)
    assert "hunter2" not in "".join(traceback.format_exception(told.value))


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
    monkeypatch.setattr("topview_pipeline.ledger.engines.LOCK_WAIT_SECONDS", 0.05)
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


@pytest.mark.parametrize(
    "url",
    [
        "sqlite+nosuchdriver://user:hunter2@host/name",
        "postgresql://user:hunter2@127.0.0.1:1/name",
        "postgresql+psycopg2://user@127.0.0.1:1/name?password=hunter2",
    ],
)
def test_a_password_in_the_url_is_not_shown(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with pytest.raises(LedgerUnavailable) as told:
        _open(url)
    assert "hunter2" not in "".join(traceback.format_exception(told.value)) + caplog.text


def test_two_accounts_share_a_database_and_nothing_else(ledger_url: str, clock: Clock) -> None:
    ours, theirs = open_at(ledger_url, clock), open_at(ledger_url, clock, uid="other")
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


def test_what_topview_writes_is_kept_even_if_it_is_no_text(ledger: Ledger) -> None:
    """A NUL and half a surrogate pair: JSON can bring both, no text column takes them."""
    strange = "refused\0 because \ud83d"
    row = pend(ledger, reserve(ledger, order(ledger)))
    failed = ledger.tasks.failed(
        row.id, code=strange, message=strange, retryable=False, not_before=None, who="me"
    )
    assert failed.error_message == failed.error_code == "refused\ufffd because \ufffd"
    ledger.accounts.stop_submits(code="4100", message=strange, who="me")
    waits = order(ledger, "b")
    ledger.orders.hold(waits.id, HeldReason.PAUSE, strange)
    ledger.orders.failed(waits.id, {"what": strange, "mend": ""})
    assert [one.failure for one in ledger.orders.of_run("run")] == [
        None,
        {"what": strange, "mend": ""},
    ]
    ledger.uploads.remember("hash", strange, format="png")
    assert ledger.uploads.find("hash") == "refused\ufffd because \ufffd"


def test_a_reader_sees_one_state_though_others_write(ledger_url: str, clock: Clock) -> None:
    reader, writer = open_at(ledger_url, clock), open_at(ledger_url, clock)
    rows = sa.select(sa.func.count()).select_from(orders)
    with reader._database.read() as connection:
        assert connection.scalar(rows) == 0
        order(writer)
        assert connection.scalar(rows) == 0
    assert len(reader.orders.open_orders()) == 1
    reader.close()
    writer.close()
