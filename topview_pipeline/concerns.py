"""What is wrong with an account's products as a whole, read from the ledger alone. Spends nothing.

Each `Concern` is one question with its answer: how many, which, and the way out. Dagster shows them
as asset checks (`defs/standing.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Final

from topview_pipeline.ledger import HeldReason, Ledger, OrderState, Task, TaskState

MOST_SHOWN: Final = 20
EXPIRING_AFTER_SECONDS: Final = 3 * 86400.0
"""Topview keeps a result seven days: this leaves four to bring it home."""
_KEPT_SECONDS: Final = 7 * 86400.0
_HELD: Final[Mapping[HeldReason, str]] = {
    HeldReason.BUDGET: "raise TOPVIEW_CREDIT_LIMIT, or wait until midnight UTC",
    HeldReason.RUN_LIMIT: "run it again with a higher credit limit, or none",
    HeldReason.PAUSE: "mend the account; it goes on by itself after a good probe",
}


@dataclass(frozen=True)
class Case:
    """One product's stage that a concern is about."""

    product: str
    stage: str
    what: str
    mend: str
    task_id: str = ""


@dataclass(frozen=True)
class Concern:
    """The answer to one question.

    Attributes:
        count: of all cases.
        sample: the first of them, at most 20.
    """

    count: int
    sample: tuple[Case, ...]
    way_out: str

    @property
    def is_calm(self) -> bool:
        """Whether nobody has to do anything."""
        return self.count == 0


def _failed(ledger: Ledger, _now: float) -> Concern:
    last = ledger.standing.last_orders()
    cases = [
        Case(product, stage, order.what or "no reason is known", order.mend or "run it again")
        for (product, stage), order in sorted(last.items())
        if order.state is OrderState.FAILED
    ]
    products = len({case.product for case in cases})
    return _concern(cases, "do what each row says, then run the products again", count=products)


def _unknown(ledger: Ledger, _now: float) -> Concern:
    mend = "compare with Topview's task list, then adopt or release it"
    cases = [
        Case(row.product_id, row.stage, f"row {row.id}: the answer to its submit was lost", mend)
        for row in ledger.tasks.in_state([TaskState.UNKNOWN])
    ]
    return _concern(cases, "topview-pipeline tasks reconcile, and tasks adopt or tasks release")


def _expiring(ledger: Ledger, now: float) -> Concern:
    rows = [
        row
        for row in ledger.tasks.in_state([TaskState.SUCCEEDED])
        if now - _finished(row) > EXPIRING_AFTER_SECONDS
    ]
    cases = [
        Case(
            row.product_id,
            row.stage,
            f"finished {_day(_finished(row))} and not in the store; Topview keeps it until "
            f"{_day(_finished(row) + _KEPT_SECONDS)}",
            "run it again, and see why it cannot be downloaded",
            row.topview_task_id or "",
        )
        for row in sorted(rows, key=_finished)
    ]
    return _concern(cases, "let the pending_task_sensor run, and look at the store")


def _held(ledger: Ledger, _now: float) -> Concern:
    cases = [
        Case(order.product_id, order.stage, order.held_detail or order.held_reason.value, mend)
        for order in ledger.orders.open_orders()
        if order.held_reason is not None and (mend := _HELD.get(order.held_reason)) is not None
    ]
    way_out = "; ".join(dict.fromkeys(case.mend for case in cases))
    return _concern(cases, way_out, count=len({case.product for case in cases}))


_ANSWERS: Final[Mapping[str, Callable[[Ledger, float], Concern]]] = {
    "products_failed": _failed,
    "tasks_unknown": _unknown,
    "results_about_to_expire": _expiring,
    "held_by_budget_or_pause": _held,
}


def concerns(ledger: Ledger, *, now: float) -> dict[str, Concern]:
    """What is to be known now, by name; `now` in seconds since the epoch."""
    return {name: answer(ledger, now) for name, answer in _ANSWERS.items()}


def _concern(cases: Sequence[Case], way_out: str, *, count: int | None = None) -> Concern:
    return Concern(len(cases) if count is None else count, tuple(cases[:MOST_SHOWN]), way_out)


def _finished(row: Task) -> float:
    return row.succeeded_at or row.reserved_at


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, timezone.utc):%Y-%m-%d %H:%M} UTC"
