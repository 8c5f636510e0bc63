"""A ledger on SQLite and on PostgreSQL, with a clock that tests set."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import Postgres
from topview_pipeline.ledger import (
    Ledger,
    Order,
    OrderChanged,
    Reservation,
    Reserved,
    Task,
    Wanted,
)
from topview_pipeline.ledger.rows import ReserveAnswer

BASE_URL = "https://api.topview.ai"
UID = "ExampleUid0000000001"


@dataclass
class Clock:
    """Seconds since the epoch, as a test sets them."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def open_at(url: str, clock: Clock | None = None, **changes: Any) -> Ledger:
    """The ledger of a database, as another process opens it."""
    settings: dict[str, Any] = {"base_url": BASE_URL, "uid": UID, "clock": clock, **changes}
    return Ledger(url, **settings)


def open_ledger(folder: Path, clock: Clock | None = None, **changes: Any) -> Ledger:
    """The SQLite ledger of a folder, as another process opens it."""
    return open_at(f"sqlite:///{folder}/ledger.db", clock, **changes)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a ledger without rows is, or comes to be."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.emptied()


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of its own, without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.create()


@pytest.fixture
def ledger(ledger_url: str, clock: Clock) -> Iterator[Ledger]:
    opened = open_at(ledger_url, clock)
    yield opened
    opened.close()


def order(
    ledger: Ledger,
    product_id: str = "a",
    *,
    stage: str = "replacedImages",
    run: str = "run",
    root: str | None = None,
    force: bool = False,
) -> Order:
    """What a run orders."""
    wanted = [Wanted(product_id, stage, "ordered", force)]
    placed = ledger.orders.place(wanted, run_id=run, root_run_id=root or run, owner="me")
    return placed.orders[product_id, stage]


def reservation(for_order: Order, **changes: Any) -> Reservation:
    """What a producer wants to submit for an order."""
    generation = changes.get("generation", for_order.generation or 0)
    work = changes.get("work", f"work of {for_order.product_id}")
    values: dict[str, Any] = {
        "order_id": for_order.id,
        "stage": for_order.stage,
        "product_id": for_order.product_id,
        "work": work,
        "generation": generation,
        "fingerprint": f"{work}/{generation}",
        "attempt": 1,
        "run_id": "run",
        "root_run_id": for_order.root_run_id,
        "owner": "me",
        "request": {},
        "inputs": {},
        "mode": None,
        "seconds": None,
        "estimate": None,
        "estimate_source": "a test",
        "queued_at": 0.0,
        "deadline_seconds": 1200.0,
    }
    return Reservation(**values | changes)


def ask(
    ledger: Ledger,
    for_order: Order,
    *,
    slots: int = 4,
    credits_a_day: float | None = None,
    is_last_in_line: bool = False,
    **changes: Any,
) -> ReserveAnswer | OrderChanged:
    """Ask for a slot."""
    return ledger.tasks.reserve(
        reservation(for_order, **changes),
        slots=slots,
        credits_a_day=credits_a_day,
        is_last_in_line=is_last_in_line,
    )


def reserve(ledger: Ledger, for_order: Order, *, slots: int = 4, **changes: Any) -> Task:
    """Reserve a row that can be reserved."""
    answer = ask(ledger, for_order, slots=slots, **changes)
    assert isinstance(answer, Reserved)
    return answer.task


def pend(ledger: Ledger, task: Task) -> Task:
    """Topview gives it a task id."""
    return ledger.tasks.accepted(task.id, f"topview-{task.id}", who="me")


def store(ledger: Ledger, task: Task) -> Task:
    """All the way from reserved into the store."""
    pend(ledger, task)
    ledger.tasks.succeeded(task.id, result={}, cost_credits=2.0, who="me")
    return ledger.tasks.stored(task.id, artifacts=[], who="me")
