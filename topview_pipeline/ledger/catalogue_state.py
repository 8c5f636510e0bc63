"""A pipeline's catalogue as it was last accepted: its products, those that left, why it is held."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from topview_pipeline.ledger.database import Database, upsert
from topview_pipeline.ledger.schema import catalogue_product, catalogue_state, portions


class CatalogueState:
    """The catalogue of one pipeline on one account."""

    def __init__(self, database: Database, account: str, pipeline: str) -> None:
        self._db = database
        self._account = account
        self._key = {"account": account, "pipeline": pipeline}

    def products(self) -> set[str]:
        """Ids of the products that it had when it was last accepted."""
        with self._db.read() as connection:
            return {id_ for id_, left_at in self._known(connection).items() if left_at is None}

    def retired(self) -> set[str]:
        """Ids of the products that left it."""
        with self._db.read() as connection:
            return {id_ for id_, left_at in self._known(connection).items() if left_at is not None}

    def accept(self, *, products: Collection[str], kept: Collection[str] = ()) -> set[str]:
        """Take a catalogue as what is true now; the products that left it now are returned.

        Args:
            products: ids of the products that it has.
            kept: ids in rows that cannot be used now: they have not left.
        """
        with self._db.write(lock=self._account) as connection:
            known = self._known(connection)
            present = {id_ for id_, left_at in known.items() if left_at is None}
            left = present.difference(products, kept)
            self._mark(connection, left, left_at=self._db.now(connection))
            self._mark(connection, known.keys() & set(products) - present, left_at=None)
            new = [self._key | {"product_id": id_} for id_ in set(products) - known.keys()]
            if new:
                connection.execute(catalogue_product.insert(), new)
            connection.execute(catalogue_state.delete().where(*self._mine(catalogue_state)))
        return left

    def hold(self, why: str) -> None:
        """Write down why the catalogue is not accepted, until it is."""
        with self._db.write(lock=self._account) as connection:
            state = {"held": why, "held_at": self._db.now(connection)}
            upsert(connection, catalogue_state, [self._key | state])

    def held(self) -> tuple[str, float] | None:
        """Why the catalogue is not accepted, and when that was last seen."""
        query = sa.select(catalogue_state.c.held, catalogue_state.c.held_at)
        found = self._db.rows(query.where(*self._mine(catalogue_state)))
        return (found[0].held, found[0].held_at) if found else None

    def _known(self, connection: sa.Connection) -> dict[str, float | None]:
        """By product, when it left."""
        query = sa.select(catalogue_product.c.product_id, catalogue_product.c.left_at)
        rows = connection.execute(query.where(*self._mine(catalogue_product)))
        return {row.product_id: row.left_at for row in rows}

    def _mark(
        self, connection: sa.Connection, products: Collection[str], *, left_at: float | None
    ) -> None:
        mine = catalogue_product.update().where(*self._mine(catalogue_product))
        for some in portions(sorted(products)):
            theirs = mine.where(catalogue_product.c.product_id.in_(some))
            connection.execute(theirs.values(left_at=left_at))

    def _mine(self, table: sa.Table) -> list[sa.ColumnElement[bool]]:
        return [table.c[name] == value for name, value in self._key.items()]
