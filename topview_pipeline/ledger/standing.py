"""What every product of an account has and wants now, in a few queries for all of them.

Reads only. Not here: one product or one row (`reading`, `browsing`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from topview_pipeline.ledger.database import Database
from topview_pipeline.ledger.leaving import IS_THERE
from topview_pipeline.ledger.rows import Task
from topview_pipeline.ledger.schema import catalogue_product, orders, task
from topview_pipeline.ledger.states import HeldReason, OrderState, TaskState

_KEPT = (TaskState.STORED.value, TaskState.SUPERSEDED.value)


@dataclass(frozen=True)
class LastOrder:
    """What was last wanted of a product's stage, and what came of it.

    Attributes:
        held: why it waits, when it is open and cannot go on.
        what: in words, why it failed or waits.
        mend: what to do about a failure.
        until: when it is looked at again, in seconds since the epoch.
    """

    state: OrderState
    held: HeldReason | None
    what: str | None
    mend: str | None
    until: float | None


class Standing:
    """Looks at all products of one account."""

    def __init__(self, database: Database, account: str) -> None:
        self._db = database
        self._account = account

    def last_stored(self) -> dict[tuple[str, str], Task]:
        """What each (product, stage) last stored; as `TaskReads.last_stored`, for all at once."""
        last = (
            sa.select(sa.func.max(orders.c.id).label("id"))
            .join(task, task.c.id == orders.c.task_id)
            .where(orders.c.account == self._account, task.c.state.in_(_KEPT))
            .group_by(orders.c.product_id, orders.c.stage)
            .subquery()
        )
        query = (
            sa.select(orders.c.product_id.label("of_product"), task)
            .join(task, task.c.id == orders.c.task_id)
            .where(orders.c.id.in_(sa.select(last.c.id)))
        )
        with self._db.read() as connection:
            found = {
                (row.of_product, row.stage): Task.from_row(row) for row in connection.execute(query)
            }
            dead = {row.fingerprint for row in found.values() if row.state is TaskState.SUPERSEDED}
            anew = self._stored(connection, dead)
        return {key: anew.get(row.fingerprint, row) for key, row in found.items()}

    def last_orders(self) -> dict[tuple[str, str], LastOrder]:
        """The newest order of each (product, stage)."""
        newest = (
            sa.select(sa.func.max(orders.c.id))
            .where(orders.c.account == self._account)
            .group_by(orders.c.product_id, orders.c.stage)
        )
        query = sa.select(orders).where(orders.c.id.in_(newest))
        with self._db.read() as connection:
            return {(row.product_id, row.stage): _order(row) for row in connection.execute(query)}

    def retired(self) -> frozenset[str]:
        """Ids that left a catalogue of the account and are in none now.

        What was never in one has not left: its deployment's catalogue may never have been obeyed.
        """
        ids = sa.select(catalogue_product.c.product_id).where(
            catalogue_product.c.account == self._account
        )
        gone = ids.where(~IS_THERE).except_(ids.where(IS_THERE))
        with self._db.read() as connection:
            return frozenset(str(product) for product in connection.scalars(gone))

    def kept(self, stage: str) -> list[Task]:
        """Every row of a stage whose files are in the store, superseded ones too; oldest first."""
        query = (
            sa.select(task)
            .where(task.c.account == self._account, task.c.stage == stage, task.c.state.in_(_KEPT))
            .order_by(task.c.id)
        )
        with self._db.read() as connection:
            return [Task.from_row(row) for row in connection.execute(query)]

    def _stored(self, connection: sa.Connection, fingerprints: set[str]) -> Mapping[str, Task]:
        if not fingerprints:
            return {}
        query = sa.select(task).where(
            task.c.account == self._account,
            task.c.state == TaskState.STORED.value,
            task.c.fingerprint.in_(fingerprints),
        )
        return {row.fingerprint: Task.from_row(row) for row in connection.execute(query)}


def _order(row: Any) -> LastOrder:
    failure = row.failure or {}
    return LastOrder(
        state=OrderState(row.state),
        held=HeldReason(row.held_reason) if row.held_reason else None,
        what=row.held_detail or failure.get("what"),
        mend=failure.get("mend"),
        until=row.held_until,
    )
