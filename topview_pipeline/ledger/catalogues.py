"""What the ledger remembers of catalogues: who was in them, who left, what a person accepted.

Each catalogue by its name: two deployments with catalogues of their own may share an account, and
neither retires the other's products.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

import sqlalchemy as sa

from topview_pipeline.ledger.catalogue_rows import HeldCatalogue, Retired, Seen
from topview_pipeline.ledger.database import Database
from topview_pipeline.ledger.errors import Overtaken
from topview_pipeline.ledger.leaving import IS_THERE, enter, portions, retire
from topview_pipeline.ledger.schema import (
    accepted_change,
    catalogue_product,
    catalogue_recipe,
    catalogue_seen,
)


class Catalogues:
    """Reads and writes what is remembered of the catalogues of one account."""

    def __init__(self, database: Database, account_id: str) -> None:
        self._db = database
        self._account = account_id

    def seen(self, name: str, location_name: str | None = None) -> Seen:
        """The catalogue of this name as it was last obeyed, under its location's name if need be.

        Args:
            location_name: its name where nobody gave it one.
        """
        with self._db.read() as connection:
            found = self._seen(connection, name)
            if found.sha256 is None and location_name is not None:
                found = self._seen(connection, location_name)
        return found

    def obey(
        self,
        name: str,
        *,
        sha256: str,
        columns: Collection[str],
        products: Collection[str],
        unknown_columns: Collection[str] = (),
        kept: Collection[str] = (),
        nobody_left: bool = False,
        location_name: str | None = None,
        read_seconds_ago: float = 0.0,
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
            location_name: its name where nobody gave it one. What the ledger knows by that when
                this one is first obeyed there is this one, before it had its name; what it knows
                by that later is another deployment's.
            read_seconds_ago: when this reading of it began.

        Raises:
            Overtaken: another reading, which said something else, was obeyed since this one began.
        """
        key = catalogue_key(name)
        with self._db.write(lock=self._account) as connection:
            now = self._db.now(connection)
            before = self._seen(connection, name)
            if location_name is not None and location_name not in (name, before.location):
                self._give_name(connection, catalogue_key(location_name), key)
                before = self._seen(connection, name)
            if before.is_after(read_seconds_ago, sha256):
                raise Overtaken(f"catalogue {name}: another reading of it was obeyed since")
            left = () if nobody_left else tuple(sorted(before.products.difference(products, kept)))
            new = [product for product in products if product not in before.products]
            enter(connection, self._account, key, new)
            why = f"the product left the catalogue {name}"
            withdrawn = retire(connection, self._account, key, left, why=why, now=now)
            connection.execute(catalogue_seen.delete().where(*self._of(catalogue_seen, key)))
            connection.execute(
                catalogue_seen.insert().values(
                    account=self._account,
                    catalogue=key,
                    name=name,
                    location=location_name,
                    sha256=sha256,
                    columns=sorted(columns),
                    unknown_columns=sorted(unknown_columns),
                    seen_at=now,
                )
            )
        return Retired(left, withdrawn)

    def names(self) -> tuple[str, ...]:
        """The names of the catalogues of the account that were ever obeyed, sorted.

        One that was obeyed before names were kept gets its name when it is next obeyed.
        """
        query = sa.select(catalogue_seen.c.name).where(
            catalogue_seen.c.account == self._account, catalogue_seen.c.name.is_not(None)
        )
        with self._db.read() as connection:
            return tuple(sorted(connection.scalars(query)))

    def hold(self, name: str, why: str) -> None:
        """Write down why a catalogue is not obeyed, until it is; nothing of one never obeyed."""
        with self._db.write(lock=self._account) as connection:
            connection.execute(
                catalogue_seen.update()
                .where(*self._of(catalogue_seen, catalogue_key(name)))
                .values(name=name, held=why, held_at=self._db.now(connection))
            )

    def held(self) -> tuple[HeldCatalogue, ...]:
        """The catalogues of the account that are not obeyed, by name."""
        query = (
            sa.select(catalogue_seen)
            .where(catalogue_seen.c.account == self._account, catalogue_seen.c.held.is_not(None))
            .order_by(catalogue_seen.c.name)
        )
        with self._db.read() as connection:
            rows = connection.execute(query).all()
        return tuple(HeldCatalogue(row.name, row.held, row.held_at) for row in rows)

    def of_others(self, name: str, products: Collection[str]) -> frozenset[str]:
        """Those of these products that other catalogues of the account have, and this one has not.

        Their orders are another deployment's business.
        """
        key = catalogue_key(name)
        here: set[str] = set()
        elsewhere: set[str] = set()
        with self._db.read() as connection:
            for some in portions(list(products)):
                query = sa.select(
                    catalogue_product.c.product_id, catalogue_product.c.catalogue
                ).where(
                    catalogue_product.c.account == self._account,
                    catalogue_product.c.product_id.in_(some),
                    IS_THERE,
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

    def _seen(self, connection: sa.Connection, name: str) -> Seen:
        key = catalogue_key(name)
        query = sa.select(catalogue_product.c.product_id).where(
            *self._of(catalogue_product, key), IS_THERE
        )
        products = frozenset(str(product) for product in connection.scalars(query))
        row = connection.execute(
            sa.select(catalogue_seen).where(*self._of(catalogue_seen, key))
        ).first()
        if row is None:
            return Seen(products, frozenset(), None)
        return Seen(
            products,
            frozenset(row.columns),
            row.sha256,
            frozenset(row.unknown_columns or ()),
            row.name,
            self._db.now(connection) - row.seen_at,
            row.held,
            row.location,
        )

    def _give_name(self, connection: sa.Connection, former: str, key: str) -> None:
        """What is known by one key is from now on known by the other, or, where that is, not."""
        known = sa.select(catalogue_seen.c.catalogue).where(
            catalogue_seen.c.account == self._account
        )
        keys = set(connection.scalars(known))
        if former not in keys:
            return
        for table in (catalogue_product, catalogue_seen, catalogue_recipe):
            if key not in keys:
                connection.execute(table.delete().where(*self._of(table, key)))
                connection.execute(
                    table.update().where(*self._of(table, former)).values(catalogue=key)
                )
            connection.execute(table.delete().where(*self._of(table, former)))

    def _of(self, table: sa.Table, key: str) -> tuple[sa.ColumnElement[bool], ...]:
        return table.c.account == self._account, table.c.catalogue == key


def catalogue_key(name: str) -> str:
    """What the tables call the catalogue of a name."""
    return hashlib.sha256(name.encode()).hexdigest()
