"""All rows at a glance say what the rows say one by one."""

from __future__ import annotations

from typing import Any

from tests.ledger.conftest import ask, order
from topview_pipeline.ledger import Ledger, Reserved, TaskState

SCENES = {"taskId": "t", "images": [1, 2]}


def stored(ledger: Ledger, product: str, **changes: Any) -> int:
    reserved = ask(ledger, order(ledger, product, **changes.pop("order", {})), **changes)
    assert isinstance(reserved, Reserved)
    row = reserved.task.id
    ledger.tasks.accepted(row, f"task-{row}")
    ledger.tasks.succeeded(row, SCENES, cost_credits=1.0)
    ledger.tasks.stored(row, [])
    return row
