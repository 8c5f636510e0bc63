"""The generation that an order stands for: force asks for one more than there was."""

from __future__ import annotations

import sqlalchemy as sa

from topview_pipeline.ledger.database import Database
from topview_pipeline.ledger.schema import order_run, orders, task
from topview_pipeline.ledger.states import OrderState
from topview_pipeline.ledger.wishes import NOT_MOVED_BY_FORCE, ForceRefused, Order


class Generations:
    """Reads the orders of one account, and fixes their generations."""

    def __init__(self, database: Database, account: str) -> None:
        self._db = database
        self._account = account

    def open_orders(self) -> list[Order]:
        """All open orders of the account, the oldest first."""
        query = (
            sa.select(orders)
            .where(orders.c.account == self._account, orders.c.state == OrderState.OPEN.value)
            .order_by(orders.c.id)
        )
        with self._db.read() as connection:
            return Order.from_rows(connection.execute(query))

    def of_run(self, run_id: str) -> list[Order]:
        """The orders that a run asks or asked for."""
        query = (
            sa.select(orders)
            .join(order_run, order_run.c.order_id == orders.c.id)
            .where(orders.c.account == self._account, order_run.c.run_id == run_id)
            .order_by(orders.c.id)
        )
        with self._db.read() as connection:
            return Order.from_rows(connection.execute(query))

    def runs_that_ask(self) -> set[str]:
        """The runs that ask for an open order."""
        query = (
            sa.select(order_run.c.run_id)
            .join(orders, orders.c.id == order_run.c.order_id)
            .where(
                orders.c.account == self._account,
                orders.c.state == OrderState.OPEN.value,
                order_run.c.left_at.is_(None),
            )
            .distinct()
        )
        with self._db.read() as connection:
            return set(connection.scalars(query))

    def _get(self, connection: sa.Connection, order_id: int) -> Order:
        query = sa.select(orders).where(orders.c.id == order_id)
        (order,) = Order.from_rows(connection.execute(query))
        return order

    def _of(self, product_id: str, stage: str) -> sa.ColumnElement[bool]:
        return sa.and_(
            orders.c.account == self._account,
            orders.c.product_id == product_id,
            orders.c.stage == stage,
        )

    def fix_generation(self, order: Order, *, work: str) -> int:
        """The generation of an order, decided once its work is known.

        Without force it is fixed when the order is placed: the one that the product's stage has
        reached. With force: one above the
        highest used for that work by any other root run, the same for every order of the root
        run, so that re-executing a forced run does not pay again.
        """
        with self._db.read() as connection:
            # Another run may have fixed it, or forced the order, since the caller read it.
            order = self._get(connection, order.id)
        if order.generation is not None:
            return order.generation
        with self._db.write(lock=self._account) as connection:
            order = self._get(connection, order.id)
            if order.generation is not None:
                return order.generation
            generation = (
                self._forced_generation(connection, order, work)
                if order.force
                else self._reached_generation(connection, order)
            )
            connection.execute(
                orders.update().where(orders.c.id == order.id).values(generation=generation)
            )
        return generation

    def _forced_generation(self, connection: sa.Connection, order: Order, work: str) -> int:
        again = connection.scalar(
            sa.select(orders.c.generation).where(
                self._of(order.product_id, order.stage),
                orders.c.root_run_id == order.root_run_id,
                orders.c.force.is_(True),
                orders.c.generation.is_not(None),
            )
        )
        if again is not None:
            return int(again)
        held_up = connection.execute(
            sa.select(task.c.id, task.c.state).where(
                task.c.account == self._account,
                task.c.work == work,
                task.c.root_run_id != order.root_run_id,
                task.c.state.in_(NOT_MOVED_BY_FORCE),
            )
        ).first()
        if held_up is not None:
            raise ForceRefused(order, held_up.id, held_up.state)
        highest = connection.scalar(
            sa.select(sa.func.max(task.c.generation)).where(
                task.c.account == self._account,
                task.c.work == work,
                task.c.root_run_id != order.root_run_id,
            )
        )
        reached = self._reached_generation(connection, order)
        return max(reached, -1 if highest is None else int(highest)) + 1

    def _reached_generation(self, connection: sa.Connection, order: Order) -> int:
        """The highest generation an order of this product and stage really had work for."""
        others = self._of(order.product_id, order.stage), orders.c.id != order.id
        reached = self._reached(connection, *others)
        return reached.get((order.product_id, order.stage), 0)

    def generations(self) -> dict[tuple[str, str], int]:
        """The generation that each (product, stage) has reached; those at 0 are left out."""
        with self._db.read() as connection:
            return self._reached(connection)

    def _reached(
        self, connection: sa.Connection, *only: sa.ColumnElement[bool]
    ) -> dict[tuple[str, str], int]:
        """By the tasks, and by what open orders stand for.

        A forced order that ended before it had a task reached nothing: else the next plain run
        would find no work of its generation, and pay for it.
        """
        wanted = sa.func.max(
            sa.case((orders.c.state == OrderState.OPEN.value, orders.c.generation), else_=0)
        )
        had = sa.func.max(task.c.generation)
        query = (
            sa.select(orders.c.product_id, orders.c.stage, wanted, had)
            .outerjoin_from(orders, task, task.c.id == orders.c.task_id)
            .where(orders.c.account == self._account, *only)
            .group_by(orders.c.product_id, orders.c.stage)
            .having(sa.or_(wanted > 0, had > 0))
        )
        return {
            (row[0], row[1]): max(row[2] or 0, row[3] or 0) for row in connection.execute(query)
        }
