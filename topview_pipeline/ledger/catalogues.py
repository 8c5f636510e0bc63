"""What the ledger remembers of catalogues: who was in them, who left, what a person accepted.

Each catalogue by the name of its source: two deployments with catalogues of their own may share an
account, and neither retires the other's products.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import sqlalchemy as sa

from topview_pipeline.ledger.database import Database
from topview_pipeline.ledger.schema import (
    accepted_change,
    catalogue_product,
    catalogue_seen,
    orders,
    task_event,
)
from topview_pipeline.ledger.states import OrderState
from topview_pipeline.ledger.wishes import NOT_HELD

_AT_ONCE = 500
"""Products named in one statement."""


@dataclass(frozen=True)
class Seen:
    """A catalogue as it was last obeyed; `products` and `columns` are empty before the first time.

    Attributes:
        products: ids of its products.
        columns: names of the columns it had, those that mean something.
        sha256: of what it said; None before the first time.
    """

    products: frozenset[str]
    columns: frozenset[str]
    sha256: str | None


@dataclass(frozen=True)
class Retired:
    """What leaving came to.

    Attributes:
        products: ids of products that were in the catalogue and are no longer.
        orders: how many of their open orders were withdrawn.
    """

    products: tuple[str, ...]
    orders: int


class Catalogues:
    """Reads and writes what is remembered of the catalogues of one account."""

    def __init__(self, database: Database, account_id: str) -> None:
        self._db = database
        self._account = account_id

    def seen(self, source: str) -> Seen:
        """The catalogue of this source as it was last obeyed."""
        key = catalogue_key(source)
        with self._db.read() as connection:
            products = self._products(connection, key)
            row = connection.execute(
                sa.select(catalogue_seen.c.sha256, catalogue_seen.c.columns).where(
                    catalogue_seen.c.account == self._account, catalogue_seen.c.catalogue == key
                )
            ).first()
        if row is None:
            return Seen(products, frozenset(), None)
        return Seen(products, frozenset(row.columns), row.sha256)

    def obey(
        self,
        source: str,
        *,
        sha256: str,
        columns: Collection[str],
        products: Collection[str],
        kept: Collection[str] = (),
        nobody_left: bool = False,
    ) -> Retired:
        """Take a catalogue as what is true now: what it no longer has is retired.

        The open orders of retired products are withdrawn, whoever asks for them. Tasks that were
        submitted end in the store, and what is stored stays.

        Args:
            sha256: of what the catalogue says.
            columns: names of the columns that it has.
            products: ids of the products that it has.
            kept: ids that it has in rows that cannot be used now: they have not left.
            nobody_left: who left cannot be told, so nobody is retired.
        """
        key = catalogue_key(source)
        with self._db.write(lock=self._account) as connection:
            now = self._db.now(connection)
            before = self._products(connection, key)
            left = () if nobody_left else tuple(sorted(before.difference(products, kept)))
            new = [product for product in products if product not in before]
            if new:
                connection.execute(
                    catalogue_product.insert(),
                    [
                        {"account": self._account, "catalogue": key, "product_id": product}
                        for product in new
                    ],
                )
            withdrawn = self._retire(connection, key, source, left, now)
            connection.execute(
                catalogue_seen.delete().where(
                    catalogue_seen.c.account == self._account, catalogue_seen.c.catalogue == key
                )
            )
            connection.execute(
                catalogue_seen.insert().values(
                    account=self._account,
                    catalogue=key,
                    sha256=sha256,
                    columns=sorted(columns),
                    seen_at=now,
                )
            )
        return Retired(left, withdrawn)

    def of_others(self, source: str, products: Collection[str]) -> frozenset[str]:
        """Those of these products that other catalogues of the account have, and this one has not.

        Their orders are another deployment's business.
        """
        key = catalogue_key(source)
        here: set[str] = set()
        elsewhere: set[str] = set()
        with self._db.read() as connection:
            for some in _portions(list(products)):
                query = sa.select(
                    catalogue_product.c.product_id, catalogue_product.c.catalogue
                ).where(
                    catalogue_product.c.account == self._account,
                    catalogue_product.c.product_id.in_(some),
                )
                for product_id, catalogue in connection.execute(query):
                    (here if catalogue == key else elsewhere).add(product_id)
        return frozenset(elsewhere - here)

    def accept(self, sha256: str, *, who: str) -> None:
        """A person meant this change; `sha256` names it, such as `Catalogue.sha256`."""
        with self._db.write(lock=self._account) as connection:
            if not self._is_accepted(connection, sha256):
                connection.execute(
                    accepted_change.insert().values(
                        account=self._account,
                        sha256=sha256,
                        who=who,
                        accepted_at=self._db.now(connection),
                    )
                )

    def is_accepted(self, sha256: str) -> bool:
        """Whether a person accepted it."""
        with self._db.read() as connection:
            return self._is_accepted(connection, sha256)

    def _is_accepted(self, connection: sa.Connection, sha256: str) -> bool:
        query = sa.select(accepted_change.c.sha256).where(
            accepted_change.c.account == self._account, accepted_change.c.sha256 == sha256
        )
        return connection.scalar(query) is not None

    def _products(self, connection: sa.Connection, key: str) -> frozenset[str]:
        query = sa.select(catalogue_product.c.product_id).where(
            catalogue_product.c.account == self._account, catalogue_product.c.catalogue == key
        )
        return frozenset(str(product) for product in connection.scalars(query))

    def _retire(
        self, connection: sa.Connection, key: str, source: str, left: Sequence[str], now: float
    ) -> int:
        withdrawn = 0
        for some in _portions(left):
            connection.execute(
                catalogue_product.delete().where(
                    catalogue_product.c.account == self._account,
                    catalogue_product.c.catalogue == key,
                    catalogue_product.c.product_id.in_(some),
                )
            )
            elsewhere = sa.select(catalogue_product.c.product_id).where(
                catalogue_product.c.account == self._account
            )
            ids = list(
                connection.scalars(
                    sa.select(orders.c.id).where(
                        orders.c.account == self._account,
                        orders.c.state == OrderState.OPEN.value,
                        orders.c.product_id.in_(some),
                        # Another catalogue of this account may have it, and want it.
                        orders.c.product_id.not_in(elsewhere),
                    )
                )
            )
            self._withdraw(connection, ids, source, now)
            withdrawn += len(ids)
        return withdrawn

    def _withdraw(
        self, connection: sa.Connection, order_ids: Sequence[int], source: str, now: float
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
        why = {"why": f"the product left the catalogue {source}"}
        connection.execute(
            task_event.insert(),
            [
                {
                    "account": self._account,
                    "order_id": order_id,
                    "at": now,
                    "what": "withdrawn",
                    "who": "catalogue",
                    "detail": why,
                }
                for order_id in order_ids
            ],
        )


def catalogue_key(source: str) -> str:
    """What the tables call the catalogue of a source."""
    return hashlib.sha256(source.encode()).hexdigest()


def _portions(items: Sequence[str]) -> Iterator[list[str]]:
    rest = iter(items)
    while portion := list(islice(rest, _AT_ONCE)):
        yield portion
