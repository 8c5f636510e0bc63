"""A ledger that moves to another database, and tables that a runtime role may not make."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from tests.ledger.conftest import open_at, reserve, row_in
from tests.postgres import Postgres
from topview_pipeline.ledger import LedgerError, LedgerVersion, TaskState, transfer
from topview_pipeline.ledger.transfer import copy_ledger


def test_all_rows_arrive_on_the_other_database_and_come_back(
    tmp_path: Path, postgres: Postgres
) -> None:
    """A team that outgrew SQLite would rebuild from the store, and lose what is in flight."""
    urls = [f"sqlite:///{tmp_path}/a.db", postgres.create(), f"sqlite:///{tmp_path}/b.db"]
    first = open_at(urls[0])
    for state in TaskState:
        row_in(first, state, f"p {state.value}")
    first.catalogue.accept(products=["a", "é"])
    before = first.tasks.in_state(tuple(TaskState))
    first.close()
    for source, target in pairwise(urls):
        _, counts = copy_ledger(source, target)
        assert counts["task"] == len(TaskState)
        ledger = open_at(target)
        assert ledger.tasks.in_state(tuple(TaskState)) == before
        assert ledger.catalogue.products() == {"a", "é"}
        with pytest.raises(LedgerError, match="has rows already"):
            copy_ledger(source, target)
        ledger.close()
    moved = open_at(urls[1])
    moved.workers.start("me", run_id="run")
    assert reserve(moved, "next").id == before[-1].id + 1
    moved.close()


def test_a_ledger_at_work_is_not_copied(new_url: str, tmp_path: Path) -> None:
    """Tasks that the run submits meanwhile would be unknown to the copy, and paid again."""
    ledger = open_at(new_url)
    ledger.workers.start("me", run_id="0123456789")
    target = f"sqlite:///{tmp_path}/target.db"
    with pytest.raises(LedgerError, match="01234567 is at work"):
        copy_ledger(new_url, target)
    ledger.workers.end("me")
    copy_ledger(new_url, target)
    ledger.close()


def test_a_copy_that_is_not_whole_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = open_at(f"sqlite:///{tmp_path}/a.db")
    row_in(ledger, TaskState.STORED)
    ledger.close()
    counts = iter([{"task": 0}, {"task": 1}, {"task": 2}])
    monkeypatch.setattr(transfer, "_counts", lambda _: next(counts))
    with pytest.raises(LedgerError, match="not all rows"):
        copy_ledger(f"sqlite:///{tmp_path}/a.db", f"sqlite:///{tmp_path}/b.db")
    copied = open_at(f"sqlite:///{tmp_path}/b.db")
    assert not copied.has_tasks()
    copied.close()


def test_a_role_without_ddl_needs_the_tables_before(new_url: str) -> None:
    with pytest.raises(LedgerVersion, match="ledger upgrade"):
        open_at(new_url, migrate=False)
    open_at(new_url).close()
    open_at(new_url, migrate=False).close()
