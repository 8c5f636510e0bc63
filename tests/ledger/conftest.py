"""A ledger on SQLite and on PostgreSQL, with a clock that tests set."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import Postgres
from topview_pipeline.ledger import (
    Ledger,
    Reservation,
    ReserveAnswer,
    Reserved,
    Task,
    TaskState,
)

BASE_URL = "https://api.topview.ai"
UID = "ExampleUid0000000001"
STAGE = "replacedImages"
VIDEO = "finishedVideo"


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
    """A ledger in which the worker "me" is alive."""
    opened = open_at(ledger_url, clock)
    opened.workers.start("me", run_id="run")
    yield opened
    opened.close()


@pytest.fixture
def other(ledger_url: str, clock: Clock) -> Iterator[Ledger]:
    """The same database, as another account sees it."""
    opened = open_at(ledger_url, clock, uid="other")
    yield opened
    opened.close()


@pytest.fixture
def acme(ledger_url: str, clock: Clock) -> Iterator[Ledger]:
    """The same account, as another pipeline sees it, whose worker "other" is alive."""
    opened = open_at(ledger_url, clock, pipeline="acme")
    opened.workers.start("other", run_id="their run")
    yield opened
    opened.close()


def reservation(product_id: str = "a", **changes: Any) -> Reservation:
    """The task that the worker "me" wants to submit for a product."""
    work = changes.get("work", f"work of {product_id}")
    generation = changes.get("generation", 0)
    values: dict[str, Any] = {
        "stage": STAGE,
        "product_id": product_id,
        "work": work,
        "generation": generation,
        "fingerprint": f"{work}/{generation}",
        "attempt": 1,
        "run_id": "run",
        "root_run_id": changes.get("run_id", "run"),
        "worker": "me",
        "request": {"text": "words"},
        "inputs": {"productScene": "version"},
        "mode": None,
        "seconds": None,
        "credit_limit": None,
        "estimate": None,
        "estimate_source": "a test",
        "queued_at": 0.0,
        "deadline_seconds": 1200.0,
    }
    return Reservation(**values | changes)


def ask(
    ledger: Ledger,
    product_id: str = "a",
    **changes: Any,
) -> ReserveAnswer:
    """Ask for a slot."""
    limits = {"slots": 99} | {k: changes.pop(k) for k in ("slots", "credits_a_day") if k in changes}
    return ledger.tasks.reserve(reservation(product_id, **changes), **limits)


def reserve(ledger: Ledger, product_id: str = "a", **changes: Any) -> Task:
    """Reserve a row that can be reserved."""
    answer = ask(ledger, product_id, **changes)
    assert isinstance(answer, Reserved), answer
    return answer.task


Move = Callable[[Ledger, int], Task]

MOVES: dict[str, Move] = {
    "accepted": lambda ledger, n: ledger.tasks.accepted(n, f"topview-{n}", who="me"),
    "succeeded": lambda ledger, n: ledger.tasks.succeeded(
        n, result={"url": "x"}, cost_credits=2.0, who="me"
    ),
    "stored": lambda ledger, n: ledger.tasks.stored(n, artifacts=[{"name": "x"}], who="me"),
    "file_gone": lambda ledger, n: ledger.tasks.file_gone(n, why="deleted", who="me"),
    "failed": lambda ledger, n: ledger.tasks.failed(
        n, code="1", message="no", retryable=True, not_before=None, who="me"
    ),
    "unknown": lambda ledger, n: ledger.tasks.unknown(n, why="lost", who="me"),
    "overdue": lambda ledger, n: ledger.tasks.overdue(n, why="slow", who="me"),
    "void": lambda ledger, n: ledger.tasks.void(n, why="not sent", who="me"),
    "expired": lambda ledger, n: ledger.tasks.expired(n, why="gone", who="me"),
}
"""Every move after the reservation, by the name of its method."""

WAYS: dict[TaskState, tuple[str, ...]] = {
    TaskState.RESERVED: (),
    TaskState.PENDING: ("accepted",),
    TaskState.SUCCEEDED: ("accepted", "succeeded"),
    TaskState.STORED: ("accepted", "succeeded", "stored"),
    TaskState.FAILED: ("accepted", "failed"),
    TaskState.UNKNOWN: ("unknown",),
    TaskState.OVERDUE: ("accepted", "overdue"),
    TaskState.VOID: ("void",),
    TaskState.EXPIRED: ("accepted", "succeeded", "expired"),
}
"""The moves from a reserved row to each state."""


def bring(ledger: Ledger, task: Task, state: TaskState) -> Task:
    """Move a reserved row to a state."""
    for name in WAYS[state]:
        task = MOVES[name](ledger, task.id)
    return task


def row_in(ledger: Ledger, state: TaskState, product_id: str = "a", **changes: Any) -> Task:
    """A new row in a state."""
    return bring(ledger, reserve(ledger, product_id, **changes), state)


def record_of(row: Task) -> dict[str, Any]:
    """The columns of a row that its record in the store repeats."""
    names = (
        "pipeline stage product_id work generation fingerprint attempt run_id root_run_id "
        "topview_task_id mode seconds request inputs estimate cost_credits queued_at reserved_at "
        "pending_at succeeded_at stored_at deadline_at result artifacts"
    )
    return {name: getattr(row, name) for name in names.split()}
