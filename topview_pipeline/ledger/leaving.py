"""Products that enter or leave a catalogue, and what is no longer wanted of them.

All within the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Final

import sqlalchemy as sa

from topview_pipeline.ledger.schema import catalogue_product, orders, task_event
from topview_pipeline.ledger.states import OrderState
from topview_pipeline.ledger.wishes import NOT_HELD

IS_THERE: Final = catalogue_product.c.left_at.is_(None)
"""The product has not left the catalogue."""
_AT_ONCE: Final = 500
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
            catalogue_product.update()
            .where(
                catalogue_product.c.account == account,
                catalogue_product.c.catalogue == key,
                catalogue_product.c.product_id.in_(some),
            )
            .values(left_at=now)
        )
        elsewhere = sa.select(catalogue_product.c.product_id).where(
            catalogue_product.c.account == account, IS_THERE
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


def enter(connection: sa.Connection, account: str, key: str, products: Collection[str]) -> None:
    """Put products on a catalogue that are not on it: new ones, and such as left and came back.

    Args:
        key: what the tables call the catalogue.
    """
    if not products:
        return
    of_it = (catalogue_product.c.account == account, catalogue_product.c.catalogue == key)
    left = set(connection.scalars(sa.select(catalogue_product.c.product_id).where(*of_it)))
    for some in portions([product for product in products if product in left]):
        connection.execute(
            catalogue_product.delete().where(*of_it, catalogue_product.c.product_id.in_(some))
        )
    connection.execute(
        catalogue_product.insert(),
        [{"account": account, "catalogue": key, "product_id": product} for product in products],
    )


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
