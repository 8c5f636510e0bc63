"""Thousands of products: what each asks must not read all rows (for how long: benchmarks)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.ledger.conftest import STAGE, ask, bring, open_ledger, reserve, row_in
from topview_pipeline.ledger import Ledger, TaskState


def everything_a_product_asks(ledger: Ledger) -> None:
    """The calls of a product's way, of a worker's life and of the sensor's tick."""
    row = reserve(ledger, estimate=2.0, credits_a_day=1e9, credit_limit=1e9)
    ask(ledger)
    ledger.tasks.to_decide(row.work, "a", row.fingerprint)
    ledger.tasks.to_report(row.id, "a", STAGE)
    ledger.orphans.lost(submit_seconds=60.0)
    bring(ledger, row, TaskState.SUCCEEDED)
    ledger.tasks.adopt(row.id, worker="other")
    ledger.tasks.queried(row.id)
    ledger.tasks.stored(row.id, artifacts=[], who="me")
    ledger.tasks.reported(row.id, "a", who="me")
    ledger.tasks.last_made("a", STAGE)
    ledger.orphans.all()
    ledger.orphans.pending()
    ledger.tasks.unmade()
    ledger.orphans.retries_due()
    ledger.tasks.slots_taken()
    ledger.unknowns.rows()
    ledger.unknowns.is_due(0.0)
    ledger.workers.end("me")


def reads_all(detail: str) -> bool:
    """True if a step looks at every row, or at one stage's or pipeline's, of a growing table."""
    grows = any(word.startswith(("task", "other")) for word in detail.split()[1:2])
    found_by = detail.partition("(")[2]
    of_a_stage = found_by.startswith("account=? AND stage=?")
    of_all = found_by in ("account=?)", "account=? AND pipeline=?)")
    return grows and ("SCAN" in detail or of_all or of_a_stage)


def test_nothing_that_a_product_asks_reads_all_rows_of_the_account(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    row_in(ledger, TaskState.FAILED, "b")
    asked: dict[str, Any] = {}

    def note(_: Any, __: Any, statement: str, parameters: Any, *_others: object) -> None:
        asked[statement] = parameters

    engine = ledger._database.engine
    sa.event.listen(engine, "before_cursor_execute", note)
    everything_a_product_asks(ledger)
    sa.event.remove(engine, "before_cursor_execute", note)

    plans = []
    with engine.connect() as connection:
        for statement, parameters in asked.items():
            if statement.startswith(("SELECT", "UPDATE", "INSERT", "DELETE")):
                explained = connection.exec_driver_sql(
                    f"EXPLAIN QUERY PLAN {statement}", parameters
                )
                plans += [(detail, statement) for *_, detail in explained]
    assert any("SEARCH task" in detail for detail, _ in plans)
    assert [(detail, statement) for detail, statement in plans if reads_all(detail)] == []
    ledger.close()
