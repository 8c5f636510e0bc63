"""Orders on their way: what holds them, how they end, and which runs ask for them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import sqlalchemy as sa

from topview_pipeline.ledger.materializing import materialize
from topview_pipeline.ledger.placing import portions
from topview_pipeline.ledger.rows import Task
from topview_pipeline.ledger.schema import order_run, orders, task, task_event
from topview_pipeline.ledger.states import HeldReason, OrderState, TaskState
from topview_pipeline.ledger.superseding import Superseding
from topview_pipeline.ledger.wishes import NOT_HELD, Order


class Orders(Superseding):
    """Reads and moves the orders of one account."""

    def hold(
        self,
        order_id: int,
        reason: HeldReason,
        detail: str,
        *,
        until: float | None = None,
        credits: float | None = None,  # noqa: A002 - Topview's own word
    ) -> None:
        """Keep why an open order waits and when to look again; None means only an explicit run.

        Args:
            credits: what did not fit under a credit limit.
        """
        self._update_open(
            order_id,
            held_reason=reason.value,
            held_detail=detail,
            held_until=until,
            held_credits=credits,
        )

    def works_by(self, order_id: int, task_id: int) -> None:
        """Name the task row that this order now relies on; it is held no more."""
        self._update_open(order_id, task_id=task_id, **NOT_HELD)

    def want(self, row: Task) -> bool:
        """Whether an open order, of whatever run, is to tell what becomes of this task row.

        One that goes by it is, and so is one for the same product and stage that has not begun: it
        comes to the row. But an expired row was paid for and is lost: rather told twice than never.
        """
        has_not_begun = sa.and_(
            orders.c.product_id == row.product_id,
            orders.c.stage == row.stage,
            orders.c.task_id.is_(None),
            orders.c.held_reason.is_(None),
        )
        is_its = orders.c.task_id == row.id
        query = sa.select(orders.c.id).where(
            orders.c.account == self._account,
            orders.c.state == OrderState.OPEN.value,
            is_its if row.state is TaskState.EXPIRED else sa.or_(is_its, has_not_begun),
        )
        with self._db.read() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def done(self, order_id: int, task_id: int) -> None:
        """Dagster has stored the event of this task, told for this order.

        The order stays open when it relies on another task by now, or was forced since that task
        was made: then it wants the next one.
        """
        with self._db.write(lock=self._account) as connection:
            now = self._db.now(connection)
            order = self._get(connection, order_id)
            generation = connection.scalar(sa.select(task.c.generation).where(task.c.id == task_id))
            materialize(connection, task_id, now)
            if order.task_id == task_id and (not order.force or order.generation == generation):
                self._close(connection, order_id, OrderState.DONE, now, {})

    def failed(self, order_id: int, failure: Mapping[str, Any]) -> None:
        """The decision is final; `failure` says what, when and how to mend it."""
        with self._db.write(lock=self._account) as connection:
            now = self._db.now(connection)
            self._close(connection, order_id, OrderState.FAILED, now, {"failure": dict(failure)})

    def withdraw_runs(self, run_ids: Collection[str], *, who: str) -> list[Order]:
        """Take runs off every order they made; orders that no other run asks for are withdrawn.

        Returns:
            The orders withdrawn. Tasks already submitted end in the store all the same.
        """
        with self._db.write(lock=self._account) as connection:
            now = self._db.now(connection)
            of_these_runs = sa.and_(
                order_run.c.run_id.in_(list(run_ids)), order_run.c.left_at.is_(None)
            )
            is_open = sa.and_(
                orders.c.account == self._account, orders.c.state == OrderState.OPEN.value
            )
            asked = Order.from_rows(
                connection.execute(
                    sa.select(orders).where(
                        is_open,
                        orders.c.id.in_(sa.select(order_run.c.order_id).where(of_these_runs)),
                    )
                )
            )
            open_ids = sa.select(orders.c.id).where(is_open)
            connection.execute(
                order_run.update()
                .where(of_these_runs, order_run.c.order_id.in_(open_ids))
                .values(left_at=now)
            )
            still_asked = set(
                connection.scalars(
                    sa.select(order_run.c.order_id).where(
                        order_run.c.order_id.in_(open_ids), order_run.c.left_at.is_(None)
                    )
                )
            )
            withdrawn = [order for order in asked if order.id not in still_asked]
            for order in withdrawn:
                self._close(connection, order.id, OrderState.WITHDRAWN, now, {})
                connection.execute(
                    task_event.insert().values(
                        account=self._account,
                        order_id=order.id,
                        at=now,
                        what="withdrawn",
                        who=who,
                        detail={"runs": sorted(run_ids)},
                    )
                )
        return withdrawn

    def take_up(
        self, order_ids: Collection[int], *, run_id: str, is_at_work: Callable[[str], bool]
    ) -> None:
        """A run goes on with orders of runs that ended: it and the living ones ask for them.

        Args:
            is_at_work: whether a run has a living producer; such a run goes on asking.
        """
        ended = [run for run in self.runs_that_ask() if not is_at_work(run)]
        with self._db.write(lock=self._account) as connection:
            now = self._db.now(connection)
            for some in portions(list(order_ids)):
                connection.execute(
                    order_run.update()
                    .where(
                        order_run.c.order_id.in_(some),
                        order_run.c.run_id.in_(ended),
                        order_run.c.left_at.is_(None),
                    )
                    .values(left_at=now)
                )
            self._ask_for_all(connection, list(order_ids), run_id, now)

    def give_up(self, owner: str) -> None:
        """A producer ends: its open orders stay open, and nobody works on them."""
        with self._db.write(lock=self._account) as connection:
            connection.execute(
                orders.update()
                .where(orders.c.account == self._account, orders.c.owner == owner)
                .values(owner=None)
            )

    def _update_open(self, order_id: int, **values: Any) -> None:
        with self._db.write(lock=self._account) as connection:
            connection.execute(
                orders.update()
                .where(orders.c.id == order_id, orders.c.state == OrderState.OPEN.value)
                .values(updated_at=self._db.now(connection), **values)
            )

    def _close(
        self,
        connection: sa.Connection,
        order_id: int,
        state: OrderState,
        now: float,
        values: dict[str, Any],
    ) -> None:
        connection.execute(
            orders.update()
            .where(orders.c.id == order_id, orders.c.state == OrderState.OPEN.value)
            .values(
                state=state.value,
                closed_at=now,
                updated_at=now,
                owner=None,
                **NOT_HELD,
                **values,
            )
        )
