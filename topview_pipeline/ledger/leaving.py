"""Products that leave a catalogue: what is no longer wanted of them, within a transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import sqlalchemy as sa

from topview_pipeline.ledger.schema import catalogue_product, orders, task_event
from topview_pipeline.ledger.states import OrderState
from topview_pipeline.ledger.wishes import NOT_HELD

_AT_ONCE = 500
"""Products named in one statement."""


def retire(
    connection: sa.Connection,
    account: str,
    key: str,
    left: Sequence[str],
    *,
    why: str,
    now: float,
) -> int:
    """Take products off a catalogue; the number of their open orders that were withdrawn.

    Args:
        key: what the tables call the catalogue.
    """
    withdrawn = 0
    for some in portions(left):
        connection.execute(
            catalogue_product.delete().where(
                catalogue_product.c.account == account,
                catalogue_product.c.catalogue == key,
                catalogue_product.c.product_id.in_(some),
            )
        )
        elsewhere = sa.select(catalogue_product.c.product_id).where(
            catalogue_product.c.account == account
        )
        ids = list(
            connection.scalars(
                sa.select(orders.c.id).where(
                    orders.c.account == account,
                    orders.c.state == OrderState.OPEN.value,
                    orders.c.product_id.in_(some),
                    # Another catalogue of this account may have it, and want it.
                    orders.c.product_id.not_in(elsewhere),
                )
            )
        )
        _withdraw(connection, account, ids, why, now)
        withdrawn += len(ids)
    return withdrawn


def _withdraw(
    connection: sa.Connection, account: str, order_ids: Sequence[int], why: str, now: float
) -> None:
    if not order_ids:
        return
    connection.execute(
        orders.update()
        .where(orders.c.id.in_(order_ids), orders.c.state == OrderState.OPEN.value)
        .values(
            state=OrderState.WITHDRAWN.value,
            closed_at=now,
            updated_at=now,
            owner=None,
            **NOT_HELD,
        )
    )
    connection.execute(
        task_event.insert(),
        [
            {
                "account": account,
                "order_id": order_id,
                "at": now,
                "what": "withdrawn",
                "who": "catalogue",
                "detail": {"why": why},
            }
            for order_id in order_ids
        ],
    )


def portions(items: Sequence[str]) -> Iterator[list[str]]:
    """So many at once as one statement names."""
    rest = iter(items)
    while portion := list(islice(rest, _AT_ONCE)):
        yield portion
