"""How far the orders of a run are, for whoever watches. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from topview_pipeline.ledger.database import Database
from topview_pipeline.ledger.schema import order_run, orders, task
from topview_pipeline.ledger.states import HeldReason, OrderState, TaskState


@dataclass(frozen=True)
class OrderProgress:
    """One order of a run, and where its task stands.

    Attributes:
        detail: why it failed or is held; `mend` is what to do about a failure.
        credits: booked for its task; None while unknown.
        seconds: that its task ran at Topview; None while it runs.
        running_since: when Topview took its task, in seconds since the epoch.
    """

    order_id: int
    product_id: str
    stage: str
    state: OrderState
    held: HeldReason | None
    detail: str | None
    mend: str | None
    task_id: int | None
    task_state: TaskState | None
    task_run_id: str | None
    credits: float | None
    seconds: float | None
    running_since: float | None


class ProgressReader:
    """Follows runs of one account."""

    def __init__(self, database: Database, account: str) -> None:
        self._db = database
        self._account = account

    def of_run(self, run_id: str) -> list[OrderProgress]:
        """Every order that the run asked for, in the order of asking."""
        query = (
            sa.select(
                orders.c.id,
                orders.c.product_id,
                orders.c.stage,
                orders.c.state,
                orders.c.held_reason,
                orders.c.held_detail,
                orders.c.failure,
                orders.c.task_id,
                task.c.state.label("task_state"),
                task.c.run_id.label("task_run_id"),
                task.c.cost_credits,
                task.c.pending_at,
                task.c.succeeded_at,
            )
            .join(order_run, order_run.c.order_id == orders.c.id)
            .outerjoin(task, task.c.id == orders.c.task_id)
            .where(orders.c.account == self._account, order_run.c.run_id == run_id)
            .order_by(orders.c.id)
        )
        with self._db.read() as connection:
            return [_progress(row) for row in connection.execute(query)]


def _progress(row: Any) -> OrderProgress:
    running = row.pending_at is not None and row.succeeded_at is not None
    failure = row.failure or {}
    return OrderProgress(
        order_id=row.id,
        product_id=row.product_id,
        stage=row.stage,
        state=OrderState(row.state),
        held=HeldReason(row.held_reason) if row.held_reason else None,
        detail=row.held_detail or failure.get("what"),
        mend=failure.get("mend"),
        task_id=row.task_id,
        task_state=TaskState(row.task_state) if row.task_state else None,
        task_run_id=row.task_run_id,
        credits=row.cost_credits,
        seconds=row.succeeded_at - row.pending_at if running else None,
        running_since=row.pending_at,
    )
