"""A stored row whose ids Topview has forgotten: it is superseded, and may be ordered anew.

Fingerprint and generation stay, so that products which share the row share the new one; the files
stay in the store. Whether an id is dead is the producer's question.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from topview_pipeline.ledger.placing import Placing
from topview_pipeline.ledger.rows import Task
from topview_pipeline.ledger.schema import order_run, orders, task, task_event
from topview_pipeline.ledger.states import HeldReason, OrderState, TaskState
from topview_pipeline.ledger.wishes import NOT_HELD, Order

_COPIED = ("product_id", "stage", "force", "generation", "root_run_id", "owner", "limit_run_id")


def free_orders_of_dead_scenes(
    connection: sa.Connection, account: str, stored: Task, now: float
) -> None:
    """A row was stored: open orders held for a dead one, whose products stand on it, are due.

    Part of the transaction that stores it: nothing else would ever look at them again.
    """
    died = sa.select(task.c.id).where(
        task.c.account == account,
        task.c.state == TaskState.SUPERSEDED.value,
        task.c.stage == stored.stage,
    )
    if connection.scalar(died.limit(1)) is None:
        return
    standing_on_it = (
        sa.select(orders.c.product_id)
        .join(task, task.c.id == orders.c.task_id)
        .where(task.c.account == account, task.c.fingerprint == stored.fingerprint)
    )
    connection.execute(
        orders.update()
        .where(
            orders.c.account == account,
            orders.c.product_id.in_(list(connection.scalars(standing_on_it))),
            orders.c.state == OrderState.OPEN.value,
            orders.c.held_reason == HeldReason.DEAD_IMAGE.value,
        )
        .values(updated_at=now, **NOT_HELD)
    )


class Superseding(Placing):
    """Supersedes rows of one account, together with the orders that want them again."""

    def supersede(
        self, row_id: int, *, why: str, who: str, order_id: int | None = None
    ) -> Order | None:
        """The row no longer stands for its work; a row that is not stored (any more) stays.

        Args:
            order_id: the order that it fulfilled and that wants it made anew: that one is done,
                and another one like it is open, under the same credit limit and asked for by the
                same runs. Both in one transaction: whatever dies then, the wish is not lost.

        Returns:
            The open order; None without `order_id`, and when that one was withdrawn or failed.
        """
        with self._db.write(lock=self._account) as connection:
            now = self._db.now(connection)
            moved = connection.execute(
                task.update()
                .where(task.c.id == row_id, task.c.state == TaskState.STORED.value)
                .values(
                    state=TaskState.SUPERSEDED.value, error_message=why, closed_at=now, owner=None
                )
            )
            if moved.rowcount:
                self._note(
                    connection,
                    now,
                    who,
                    TaskState.SUPERSEDED.value,
                    task_id=row_id,
                    detail={"from": TaskState.STORED.value, "why": why},
                )
            return None if order_id is None else self._again(connection, order_id, now, who, why)

    def _again(
        self, connection: sa.Connection, order_id: int, now: float, who: str, why: str
    ) -> Order | None:
        before = self._get(connection, order_id)
        if before.state not in (OrderState.OPEN, OrderState.DONE):
            return None
        # The event of the dead row may still be on its way to Dagster: it closes its own order,
        # never the new one.
        connection.execute(
            orders.update()
            .where(orders.c.id == order_id, orders.c.state == OrderState.OPEN.value)
            .values(
                state=OrderState.DONE.value, closed_at=now, updated_at=now, owner=None, **NOT_HELD
            )
        )
        again = connection.scalar(
            sa.select(orders.c.id).where(
                self._of(before.product_id, before.stage), orders.c.state == OrderState.OPEN.value
            )
        )
        if again is None:
            again = self._copy(connection, order_id, now, why)
            self._note(
                connection, now, who, "ordered anew", order_id=again, detail={"after": order_id}
            )
        asking = sa.select(order_run.c.run_id).where(
            order_run.c.order_id == order_id, order_run.c.left_at.is_(None)
        )
        for run_id in list(connection.scalars(asking)):
            self._ask(connection, again, run_id, now)
        return self._get(connection, again)

    def _copy(self, connection: sa.Connection, order_id: int, now: float, why: str) -> int:
        copied = [orders.c[name] for name in _COPIED]
        row = connection.execute(sa.select(*copied).where(orders.c.id == order_id)).one()
        key = connection.execute(
            orders.insert().values(
                account=self._account,
                state=OrderState.OPEN.value,
                reason=why,
                created_at=now,
                updated_at=now,
                **row._asdict(),
            )
        ).inserted_primary_key
        if key is None:  # both dialects return it; this narrows the type
            raise RuntimeError("the database returned no key for a new order")
        return int(key[0])

    def _note(
        self, connection: sa.Connection, now: float, who: str, what: str, **values: Any
    ) -> None:
        connection.execute(
            task_event.insert().values(account=self._account, at=now, what=what, who=who, **values)
        )
