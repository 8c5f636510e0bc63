"""What every product asks of the ledger must not read the account's whole history."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.ledger.conftest import open_ledger, order, pend, reserve
from topview_pipeline.ledger import Wanted


def test_no_reservation_or_move_reads_all_rows_of_the_account(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    asked: dict[str, Any] = {}

    def note(
        _connection: Any, _cursor: Any, statement: str, parameters: Any, *_others: object
    ) -> None:
        asked[statement] = parameters

    wanted = order(ledger)
    engine = ledger._database._engine
    sa.event.listen(engine, "before_cursor_execute", note)
    row = pend(ledger, reserve(ledger, wanted))
    ledger.tasks.succeeded(row.id, result={}, cost_credits=None, who="me")
    ledger.tasks.stored(row.id, artifacts=[], who="me")
    ledger.orders.done(wanted.id, row.id)
    sa.event.remove(engine, "before_cursor_execute", note)

    plans = []
    with engine.connect() as connection:
        for statement, parameters in asked.items():
            if statement.startswith(("SELECT", "UPDATE", "INSERT")):
                explained = connection.exec_driver_sql(
                    f"EXPLAIN QUERY PLAN {statement}", parameters
                )
                plans += [(detail, statement) for *_, detail in explained]
    assert any("SEARCH task" in detail for detail, _ in plans)
    whole = [(detail, statement) for detail, statement in plans if _reads_all(detail)]
    assert whole == []
    ledger.close()


def test_a_run_over_thousands_of_products_keeps_little_of_each_order(tmp_path: Path) -> None:
    """A process has all its orders to its end, and hundreds of bytes each add up."""
    ledger = open_ledger(tmp_path)
    reason = "its photo and its script changed since the last video was made of it"
    wishes = [Wanted(f"product-{number}", "finishedVideo", reason) for number in range(4_000)]
    tracemalloc.start()
    try:
        placed = ledger.orders.place(wishes, run_id="r" * 36, root_run_id="r" * 36, owner="o" * 36)
        gc.collect()
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(placed.orders) == len(wishes)
    assert kept < 600 * len(wishes)
    assert peak < 1_200 * len(wishes)
    ledger.close()


def _reads_all(detail: str) -> bool:
    """Whether a step looks at every row of one of the tables that grow with the products."""
    grows = any(f" {table} " in f"{detail} " for table in ("task", "orders", "task_event"))
    return grows and ("SCAN" in detail or detail.endswith("(account=?)"))
