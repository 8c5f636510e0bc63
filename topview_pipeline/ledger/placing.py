"""Placing orders: at most one is open per (account, product, stage); a second run joins it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from topview_pipeline.ledger.generations import Generations
from topview_pipeline.ledger.schema import order_run, orders, task
from topview_pipeline.ledger.states import OrderState
from topview_pipeline.ledger.wishes import (
    NOT_HELD,
    NOT_MOVED_BY_FORCE,
    ForceRefused,
    Order,
    Placed,
    Wanted,
)

_MOST_NAMED = 500
"""Products named in one statement; more are looked for among all open orders."""


class Placing(Generations):
    """Places the orders of one account."""

    def place(
        self,
        wanted: Sequence[Wanted],
        *,
        run_id: str,
        root_run_id: str,
        owner: str,
        only_open: bool = False,
    ) -> Placed:
        """Write down what a run wants, in one transaction; open orders are joined.

        The generation of a forced order is fixed later, by `fix_generation`, when the work is
        known. A force over an open order that is not forced makes it forced, unless its task may
        still be paid for.

        Args:
            wanted: products and stages.
            run_id: the run that asks.
            root_run_id: of the run that it re-executes, else its own.
            owner: the producer that works on them.
            only_open: join open orders and place none: what was withdrawn or ended since
                somebody listed it is left out.
        """
        with self._db.write(lock=self._account) as connection:
            now = self._db.now(connection)
            open_orders = self._open_of(connection, {want.product_id for want in wanted})
            reached = self._reached(connection)
            placed: dict[tuple[str, str], Order] = {}
            refused: dict[tuple[str, str], str] = {}
            for want in wanted:
                order = open_orders.get((want.product_id, want.stage))
                if order is None and only_open:
                    continue
                if order is None:
                    generation = reached.get((want.product_id, want.stage), 0)
                    order_id = self._insert(
                        connection,
                        want,
                        None if want.force else generation,
                        root_run_id,
                        owner,
                        now,
                    )
                else:
                    order_id = order.id
                    try:
                        self._join(connection, order, want, root_run_id, owner, now)
                    except ForceRefused as refusal:
                        refused[want.product_id, want.stage] = str(refusal)
                        continue
                self._ask(connection, order_id, run_id, now)
                open_orders[want.product_id, want.stage] = placed[want.product_id, want.stage] = (
                    self._get(connection, order_id)
                )
        return Placed(placed, refused)

    def _open_of(
        self, connection: sa.Connection, products: Collection[str]
    ) -> dict[tuple[str, str], Order]:
        query = sa.select(orders).where(
            orders.c.account == self._account, orders.c.state == OrderState.OPEN.value
        )
        if len(products) <= _MOST_NAMED:
            query = query.where(orders.c.product_id.in_(list(products)))
        found = (Order.from_row(row) for row in connection.execute(query))
        return {(order.product_id, order.stage): order for order in found}

    def _insert(
        self,
        connection: sa.Connection,
        want: Wanted,
        generation: int | None,
        root_run_id: str,
        owner: str,
        now: float,
    ) -> int:
        result = connection.execute(
            orders.insert().values(
                account=self._account,
                product_id=want.product_id,
                stage=want.stage,
                state=OrderState.OPEN.value,
                reason=want.reason,
                force=want.force,
                root_run_id=root_run_id,
                generation=generation,
                owner=owner,
                created_at=now,
                updated_at=now,
            )
        )
        key = result.inserted_primary_key
        if key is None:  # both dialects return it; this narrows the type
            raise RuntimeError("the database returned no key for a new order")
        return int(key[0])

    def _join(
        self,
        connection: sa.Connection,
        order: Order,
        want: Wanted,
        root_run_id: str,
        owner: str,
        now: float,
    ) -> None:
        values: dict[str, Any] = {"owner": owner, "updated_at": now, **NOT_HELD}
        if want.force and not order.force:
            if order.task_id is not None:
                state = connection.scalar(sa.select(task.c.state).where(task.c.id == order.task_id))
                if state in NOT_MOVED_BY_FORCE:
                    raise ForceRefused(order, order.task_id, str(state))
            values |= {
                "force": True,
                "root_run_id": root_run_id,
                "generation": None,
                "reason": want.reason,
            }
        connection.execute(orders.update().where(orders.c.id == order.id).values(values))

    def _ask(self, connection: sa.Connection, order_id: int, run_id: str, now: float) -> None:
        asking = sa.and_(order_run.c.order_id == order_id, order_run.c.run_id == run_id)
        again = connection.execute(order_run.update().where(asking).values(left_at=None))
        if again.rowcount == 0:
            connection.execute(
                order_run.insert().values(order_id=order_id, run_id=run_id, asked_at=now)
            )
