"""Placing orders: at most one is open per (account, product, stage); a second run joins it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import sqlalchemy as sa

from topview_pipeline.ledger.generations import Generations
from topview_pipeline.ledger.schema import order_run, orders, run_limit, task
from topview_pipeline.ledger.states import HeldReason, OrderState
from topview_pipeline.ledger.wishes import (
    NOT_HELD,
    NOT_MOVED_BY_FORCE,
    ForceRefused,
    Order,
    Placed,
    Wanted,
)

_T = TypeVar("_T")
_MOST_NAMED = 500
"""Products or orders named in one statement; more products are looked for among all open orders."""


@dataclass(frozen=True)
class _Asking:
    """Who places orders, and what that does to the limit they are under."""

    root_run_id: str
    owner: str
    now: float
    limit: Mapping[str, str | None] = field(default_factory=dict)
    keep_limits: bool = False


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
        credit_limit: float | None = None,
        keep_limits: bool = False,
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
                somebody listed it is left out. The limit that they are under stays.
            credit_limit: the most credits that all of these orders may cost, also when another
                run goes on with them. An open order that is joined comes under it, and without
                one under none: the last that a person asked for counts.
            keep_limits: nobody is there to say so, as in a run of a schedule: what is open already
                stays under the limit it has, or none, and only what is new comes under this one.
                But what waits at its limit waits for just such a run, and comes under it.
        """
        with self._db.write(lock=self._account) as connection:
            now = self._db.now(connection)
            open_orders = self._open_of(connection, {want.product_id for want in wanted})
            asking = _Asking(root_run_id, owner, now, keep_limits=keep_limits)
            if not (only_open or keep_limits):
                asking = replace(asking, limit={"limit_run_id": None})
            if credit_limit is not None:
                # Of the root run: executing it again does not begin the limit anew.
                self._set_limit(connection, root_run_id, credit_limit)
                asking = replace(asking, limit={"limit_run_id": root_run_id})
            joining, new = _divide(wanted, open_orders, only_open=only_open)
            self._insert(connection, new, asking)
            wished_twice = {
                want.product_id
                for want in joining
                if (want.product_id, want.stage) not in open_orders
            }
            if wished_twice:
                open_orders |= self._open_of(connection, wished_twice)
            refused = self._join_all(connection, joining, open_orders, asking)
            mine = {(want.product_id, want.stage) for want in (*joining, *new)} - refused.keys()
            # As they are now, in the order of asking.
            written = self._open_of(connection, {product_id for product_id, _ in mine})
            keys = ((want.product_id, want.stage) for want in wanted)
            placed = {key: written[key] for key in keys if key in mine}
            self._ask_for_all(connection, [order.id for order in placed.values()], run_id, now)
        return Placed(placed, refused)

    def _open_of(
        self, connection: sa.Connection, products: Collection[str]
    ) -> dict[tuple[str, str], Order]:
        query = sa.select(orders).where(
            orders.c.account == self._account, orders.c.state == OrderState.OPEN.value
        )
        if len(products) <= _MOST_NAMED:
            query = query.where(orders.c.product_id.in_(list(products)))
        found = Order.from_rows(connection.execute(query))
        return {(order.product_id, order.stage): order for order in found}

    def _insert(self, connection: sa.Connection, new: Sequence[Wanted], asking: _Asking) -> None:
        reached = self._reached(connection) if new else {}
        for some in portions(new):
            rows = [
                {
                    "account": self._account,
                    "product_id": want.product_id,
                    "stage": want.stage,
                    "state": OrderState.OPEN.value,
                    "reason": want.reason,
                    "force": want.force,
                    "root_run_id": asking.root_run_id,
                    "generation": (
                        None if want.force else reached.get((want.product_id, want.stage), 0)
                    ),
                    "owner": asking.owner,
                    "created_at": asking.now,
                    "updated_at": asking.now,
                    **asking.limit,
                }
                for want in some
            ]
            connection.execute(orders.insert(), rows)

    def _join_all(
        self,
        connection: sa.Connection,
        joining: Sequence[Wanted],
        open_orders: Mapping[tuple[str, str], Order],
        asking: _Asking,
    ) -> dict[tuple[str, str], str]:
        """Go on with open orders; the forces that are refused, with the reason."""
        values: dict[str, Any] = {"owner": asking.owner, "updated_at": asking.now, **NOT_HELD}
        at_limit = _at_their_limit(open_orders.values())
        refused: dict[tuple[str, str], str] = {}
        joined: list[int] = []
        under_this_limit: list[int] = []
        for want in joining:
            order = open_orders[want.product_id, want.stage]
            if want.force and not order.force:
                try:
                    self._force(connection, order, want, asking)
                except ForceRefused as refusal:
                    refused[want.product_id, want.stage] = str(refusal)
                    continue
            joined.append(order.id)
            if not asking.keep_limits or (order.product_id, order.limit_run_id) in at_limit:
                under_this_limit.append(order.id)
        updates: list[tuple[list[int], Mapping[str, Any]]] = [(joined, values)]
        if asking.limit:
            updates.append((under_this_limit, asking.limit))
        for ids, changed in updates:
            for some in portions(ids):
                connection.execute(orders.update().where(orders.c.id.in_(some)).values(changed))
        return refused

    def _force(
        self, connection: sa.Connection, order: Order, want: Wanted, asking: _Asking
    ) -> None:
        if order.task_id is not None:
            state = connection.scalar(sa.select(task.c.state).where(task.c.id == order.task_id))
            if state in NOT_MOVED_BY_FORCE:
                raise ForceRefused(order, order.task_id, str(state))
        connection.execute(
            orders.update()
            .where(orders.c.id == order.id)
            .values(force=True, root_run_id=asking.root_run_id, generation=None, reason=want.reason)
        )

    def _set_limit(self, connection: sa.Connection, run_id: str, credits: float) -> None:  # noqa: A002
        mine = run_limit.c.account == self._account, run_limit.c.run_id == run_id
        if connection.execute(run_limit.update().where(*mine).values(credits=credits)).rowcount:
            return
        connection.execute(
            run_limit.insert().values(account=self._account, run_id=run_id, credits=credits)
        )

    def _ask(self, connection: sa.Connection, order_id: int, run_id: str, now: float) -> None:
        self._ask_for_all(connection, [order_id], run_id, now)

    def _ask_for_all(
        self, connection: sa.Connection, order_ids: Sequence[int], run_id: str, now: float
    ) -> None:
        for some in portions(order_ids):
            asked = sa.and_(order_run.c.run_id == run_id, order_run.c.order_id.in_(some))
            connection.execute(order_run.update().where(asked).values(left_at=None))
            known = set(connection.scalars(sa.select(order_run.c.order_id).where(asked)))
            rows = [
                {"order_id": order_id, "run_id": run_id, "asked_at": now}
                for order_id in some
                if order_id not in known
            ]
            if rows:
                connection.execute(order_run.insert(), rows)


def _divide(
    wanted: Sequence[Wanted], open_orders: Mapping[tuple[str, str], Order], *, only_open: bool
) -> tuple[list[Wanted], list[Wanted]]:
    """The wishes that join an open order, or an earlier wish of this call; and the new ones."""
    joining: list[Wanted] = []
    new: dict[tuple[str, str], Wanted] = {}
    for want in wanted:
        key = want.product_id, want.stage
        if key in open_orders or key in new:
            joining.append(want)
        elif not only_open:
            new[key] = want
    return joining, list(new.values())


def _at_their_limit(open_orders: Iterable[Order]) -> set[tuple[str, str | None]]:
    """(product, limit) of what is held by its run's limit; later stages of it wait for that too."""
    return {
        (order.product_id, order.limit_run_id)
        for order in open_orders
        if order.held_reason is HeldReason.RUN_LIMIT
    }


def portions(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """As many at a time as one statement names."""
    for begin in range(0, len(items), _MOST_NAMED):
        yield items[begin : begin + _MOST_NAMED]
