"""What is wrong with an account's products as a whole, read from the ledger alone. Spends nothing.

Each `Concern` is one question with its answer: how many, which, and the way out. Dagster shows them
as asset checks (`defs/standing.py`).
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Final

from topview_pipeline.ledger import HeldReason, Ledger, OrderState, Task, TaskState
from topview_pipeline.ways_out import HELD

MOST_SHOWN: Final = 20
EXPIRING_AFTER_SECONDS: Final = 3 * 86400.0
"""Topview keeps a result seven days: this leaves four to bring it home."""
_KEPT_SECONDS: Final = 7 * 86400.0
_HELD_SECONDS: Final = 86400.0
_FOR_CREDITS: Final = frozenset({HeldReason.BUDGET, HeldReason.RUN_LIMIT, HeldReason.PAUSE})
_FOR_A_PERSON: Final = frozenset(
    {
        HeldReason.STALLED,
        HeldReason.DOWNLOAD,
        HeldReason.CHOICE,
        HeldReason.DEAD_IMAGE,
        HeldReason.LOST_ROW,
        HeldReason.CATALOGUE,
    }
)
"""What no other question asks for. A retry goes on by itself; what waits for an earlier stage is
told at that stage."""


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
    retired = ledger.standing.retired()
    cases = [
        Case(product, stage, order.what or "no reason is known", order.mend or "run it again")
        for (product, stage), order in sorted(ledger.standing.last_orders().items())
        # What left the catalogue cannot be run again: nobody has to do anything about it.
        if order.state is OrderState.FAILED and product not in retired
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
    """What is nearly out of reach, behind what is and is still wanted."""
    rows = [
        row
        for row in ledger.tasks.in_state([TaskState.SUCCEEDED])
        if now - _finished(row) > EXPIRING_AFTER_SECONDS
    ]
    soon = [
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
    gone = list(_gone(ledger))
    way_out = ["let the pending_task_sensor run, and look at the store"] if soon else []
    if gone:
        way_out.append("what Topview no longer gives is made, and paid, anew only by force")
    return _concern([*gone, *soon], "; ".join(way_out))


def _gone(ledger: Ledger) -> Iterator[Case]:
    """Orders whose result was paid for and is out of reach, until they are forced or withdrawn."""
    expired = {row.id: row for row in ledger.tasks.in_state([TaskState.EXPIRED])}
    for order in ledger.orders.open_orders():
        row = expired.get(order.task_id or 0)
        is_undecided = row is not None and order.held_reason is None and not order.force
        if order.held_reason is HeldReason.EXPIRED or is_undecided:
            yield Case(
                order.product_id,
                order.stage,
                order.held_detail or "it was finished at Topview, which no longer gives it",
                f"topview-pipeline run --force --product {shlex.quote(order.product_id)} "
                f"--stage {order.stage}, which pays again",
                "" if row is None else row.topview_task_id or "",
            )


def _held_for_credits(ledger: Ledger, _now: float) -> Concern:
    return _held(ledger, _FOR_CREDITS)


def _held_for_a_person(ledger: Ledger, _now: float) -> Concern:
    return _held(ledger, _FOR_A_PERSON)


def _held(ledger: Ledger, reasons: Collection[HeldReason]) -> Concern:
    held = [
        (order, order.held_reason)
        for order in ledger.orders.open_orders()
        if order.held_reason in reasons and order.held_reason is not None
    ]
    cases = [
        Case(
            order.product_id,
            order.stage,
            f"{reason.value}: {order.held_detail}" if order.held_detail else reason.value,
            HELD[reason],
        )
        for order, reason in held
    ]
    ways = [f"{reason.value}: {HELD[reason]}" for reason in dict.fromkeys(one for _, one in held)]
    return _concern(cases, "; ".join(ways), count=len({case.product for case in cases}))


def _catalogue_held(ledger: Ledger, now: float) -> Concern:
    cases = [
        Case("every product of it", "", f"{held.name}: {held.why}", "mend it, or accept the change")
        for held in ledger.catalogues.held()
        # It is written down anew with every look: of one that moved nobody says that it is well.
        if now - held.at < _HELD_SECONDS
    ]
    return _concern(cases, "mend the catalogue, or topview-pipeline run --accept-change")


_ANSWERS: Final[Mapping[str, Callable[[Ledger, float], Concern]]] = {
    "products_failed": _failed,
    "tasks_unknown": _unknown,
    "results_about_to_expire": _expiring,
    "held_by_budget_or_pause": _held_for_credits,
    "held_for_a_person": _held_for_a_person,
    "catalogue_held": _catalogue_held,
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
