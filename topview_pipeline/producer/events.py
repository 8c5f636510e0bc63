"""What a producer tells while it works. `defs` turns these into Dagster events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from topview_pipeline.ledger import HeldReason, Task


@dataclass(frozen=True)
class Made:
    """A product's stage is in the store.

    Attributes:
        product_id: whose it is; a task shared by two products is told once for each.
        stage: the asset's key.
        task: the stored row.
        order_id: the order it fulfils; None when nobody waits for it any more.
        inputs: data version by asset key of what it was made from.
    """

    product_id: str
    stage: str
    task: Task
    order_id: int | None
    inputs: Mapping[str, str]


@dataclass(frozen=True)
class Failed:
    """The decision about an order is final.

    Attributes:
        what: what went wrong.
        mend: what to do about it.
        task: the row that tells, if one was made.
    """

    product_id: str
    stage: str
    order_id: int | None
    what: str
    mend: str
    task: Task | None = None


@dataclass(frozen=True)
class Held:
    """An order stays open and waits for something else than its task.

    Attributes:
        until: when to look again, seconds since the epoch; None means a person or a new run.
    """

    product_id: str
    stage: str
    order_id: int
    reason: HeldReason
    detail: str
    until: float | None
    task: Task | None = None


@dataclass(frozen=True)
class Parked:
    """The run's wait time is over; the order stays open and is gone on with later."""

    product_id: str
    stage: str
    order_id: int
    detail: str


Event = Made | Failed | Held | Parked
