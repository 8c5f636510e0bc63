"""Looking at the rows of paid work. Nothing here moves one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from topview_pipeline.ledger.database import Database
from topview_pipeline.ledger.rows import Task
from topview_pipeline.ledger.schema import orders, task, task_event
from topview_pipeline.ledger.states import ASK_STALLED_SECONDS, TaskState


def _stored_of(account: str, fingerprint: str) -> sa.Select[Any]:
    return sa.select(task).where(
        task.c.account == account,
        task.c.fingerprint == fingerprint,
        task.c.state == TaskState.STORED.value,
    )


class TaskReads:
    """Reads the task rows of one account."""

    def __init__(self, database: Database, account_id: str) -> None:
        self._db = database
        self._account = account_id

    def get(self, row_id: int) -> Task:
        """The row by its number."""
        with self._db.read() as connection:
            return self._get(connection, row_id)

    def of_fingerprint(self, fingerprint: str) -> list[Task]:
        """All rows of a piece of work, the oldest first."""
        query = (
            sa.select(task)
            .where(task.c.account == self._account, task.c.fingerprint == fingerprint)
            .order_by(task.c.id)
        )
        with self._db.read() as connection:
            return [Task.from_row(row) for row in connection.execute(query)]

    def of_product(self, product_id: str, stage: str) -> list[Task]:
        """The rows that were made for a product's stage, the oldest first."""
        query = (
            sa.select(task)
            .where(
                task.c.account == self._account,
                task.c.product_id == product_id,
                task.c.stage == stage,
            )
            .order_by(task.c.id)
        )
        with self._db.read() as connection:
            return [Task.from_row(row) for row in connection.execute(query)]

    def all(self) -> list[Task]:
        """Every row of the account, the oldest first."""
        return self.in_state(tuple(TaskState))

    def in_state(self, states: Collection[TaskState]) -> list[Task]:
        """All rows in one of these states, the oldest first."""
        query = (
            sa.select(task)
            .where(
                task.c.account == self._account,
                task.c.state.in_([state.value for state in states]),
            )
            .order_by(task.c.id)
        )
        with self._db.read() as connection:
            return [Task.from_row(row) for row in connection.execute(query)]

    def on_their_way(self) -> list[Task]:
        """Rows at Topview or finished there, and stored ones that Dagster has not heard of.

        Stalled ones are among them once an hour, and when they were asked in the future: then the
        clock was set back. The soonest to be out of reach first: what was
        finished earliest.
        """
        asked = sa.func.coalesce(task.c.last_query_at, task.c.reserved_at)
        with self._db.read() as connection:
            hour_ago = self._db.now(connection) - ASK_STALLED_SECONDS
            query = (
                sa.select(task)
                .where(
                    task.c.account == self._account,
                    sa.or_(
                        task.c.state.in_((TaskState.PENDING.value, TaskState.SUCCEEDED.value)),
                        sa.and_(
                            task.c.state == TaskState.STALLED.value,
                            sa.or_(asked <= hour_ago, asked > hour_ago + ASK_STALLED_SECONDS),
                        ),
                        sa.and_(
                            task.c.state == TaskState.STORED.value, task.c.materialized_at.is_(None)
                        ),
                    ),
                )
                .order_by(task.c.succeeded_at.is_(None), task.c.succeeded_at, task.c.id)
            )
            return [Task.from_row(row) for row in connection.execute(query)]

    def last_stored(self, product_id: str, stage: str) -> Task | None:
        """What this product last stored of a stage, even if its inputs changed since.

        A superseded row stands for itself while nothing newer of its work is stored: its files
        are there, the ids in its result are dead.
        """
        query = (
            sa.select(task)
            .join(orders, orders.c.task_id == task.c.id)
            .where(
                orders.c.account == self._account,
                orders.c.product_id == product_id,
                orders.c.stage == stage,
                task.c.state.in_((TaskState.STORED.value, TaskState.SUPERSEDED.value)),
            )
            .order_by(orders.c.id.desc())
            .limit(1)
        )
        with self._db.read() as connection:
            row = connection.execute(query).first()
            if row is not None and row.state == TaskState.SUPERSEDED.value:
                row = connection.execute(_stored_of(self._account, row.fingerprint)).first() or row
        return None if row is None else Task.from_row(row)

    def is_told_by_its_result(self, product_id: str, stage: str, row: Task, since: float) -> bool:
        """Whether a rebuild will see by result.json alone that a product's stage stands on a row.

        Of a product's stage it takes the row that was made last. So one that was made for another
        product, or before another one of this product, needs a note in the store.

        Args:
            since: when the order was placed that stands on it now, in seconds since the epoch.
        """
        if row.product_id != product_id:
            return False
        if row.reserved_at >= since:
            return True
        others = (
            sa.select(orders.c.id)
            .where(
                orders.c.account == self._account,
                orders.c.product_id == product_id,
                orders.c.stage == stage,
                orders.c.task_id != row.id,
            )
            .limit(1)
        )
        with self._db.read() as connection:
            return connection.execute(others).first() is None

    def _get(self, connection: sa.Connection, row_id: int) -> Task:
        return Task.from_row(connection.execute(sa.select(task).where(task.c.id == row_id)).one())

    def _record(
        self,
        connection: sa.Connection,
        row_id: int,
        what: str,
        who: str,
        now: float,
        detail: Mapping[str, Any],
    ) -> None:
        connection.execute(
            task_event.insert().values(
                account=self._account,
                task_id=row_id,
                at=now,
                what=what,
                who=who,
                detail=dict(detail),
            )
        )
