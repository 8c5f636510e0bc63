"""What is wanted, as data: wishes, orders, and a refused force."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from topview_pipeline.ledger.states import HeldReason, OrderState, TaskState

NOT_MOVED_BY_FORCE = tuple(
    state.value
    for state in (TaskState.RESERVED, TaskState.PENDING, TaskState.UNKNOWN, TaskState.STALLED)
)
"""A reserved row is on its way to be one of the others."""

NOT_HELD: Final = {
    "held_reason": None,
    "held_detail": None,
    "held_until": None,
    "held_credits": None,
}
"""The columns of an order that waits for nothing but its own task."""


_REPEATED: Final = ("product_id", "stage", "reason", "root_run_id", "owner", "limit_run_id")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One thing a run asks for."""

    product_id: str
    stage: str
    reason: str
    force: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """A row of `orders`, as it was when it was read.

    A run begins with those of all its products, so what thousands repeat is in memory once.
    """

    id: int
    product_id: str
    stage: str
    state: OrderState
    reason: str
    force: bool
    root_run_id: str
    generation: int | None
    task_id: int | None
    owner: str | None
    limit_run_id: str | None
    held_reason: HeldReason | None
    held_detail: str | None
    held_until: float | None
    held_credits: float | None
    failure: Mapping[str, Any] | None
    created_at: float
    updated_at: float
    closed_at: float | None

    @classmethod
    def from_rows(cls, rows: Iterable[Any]) -> list[Order]:
        shared: dict[str, str] = {}
        return [cls._from_row(row, shared) for row in rows]

    @classmethod
    def _from_row(cls, row: Any, shared: dict[str, str]) -> Order:
        values = {name: getattr(row, name) for name in cls.__dataclass_fields__}
        for name in _REPEATED:
            if values[name] is not None:
                values[name] = shared.setdefault(values[name], values[name])
        values["state"] = OrderState(row.state)
        values["held_reason"] = HeldReason(row.held_reason) if row.held_reason else None
        return cls(**values)


def wait_until(until: float, *, since: float, now: float) -> float:
    """When a wait that was agreed on at `since` is over, in seconds since the epoch.

    At once, when it would last from now more than twice as long as was agreed: then the clock was
    set back since. Twice, because `since` may be another machine's clock.
    """
    return now if until - now > 2 * max(until - since, 0.0) else until


def due_at(order: Order, now: float) -> float | None:
    """When a held order is to be looked at again; None: by itself never.

    An order that is not held is due now.
    """
    if order.held_reason is None:
        return now
    if order.held_until is None:
        return None
    return wait_until(order.held_until, since=order.updated_at, now=now)


class ForceRefused(Exception):
    """Force over a task that may still be paid; names the row and what ends it."""

    def __init__(self, order: Order, task_id: int, state: str) -> None:
        super().__init__(
            f"{order.product_id}/{order.stage} cannot be forced while task row {task_id} is "
            f"{state}: it may still be paid for. Wait until it ends, or run without force to go "
            "on with it."
        )


@dataclass(frozen=True)
class Placed:
    """What `Orders.place` did: the open orders, and the forces it refused with the reason."""

    orders: Mapping[tuple[str, str], Order]
    refused: Mapping[tuple[str, str], str]
