"""By which recipe each catalogue was last made. What a recipe means is not known here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from topview_pipeline.ledger.catalogues import catalogue_key
from topview_pipeline.ledger.database import Database
from topview_pipeline.ledger.schema import catalogue_recipe


class Recipes:
    """Reads and writes the recipes of the catalogues of one account."""

    def __init__(self, database: Database, account_id: str) -> None:
        self._db = database
        self._account = account_id

    def last(self, source: str, location_name: str | None = None) -> Mapping[str, Any] | None:
        """The recipe that the catalogue of this source was last made by; None before any.

        Args:
            location_name: its name where nobody gave it one: until a catalogue is obeyed by the
                name that it got, its recipe is known by that.
        """
        with self._db.read() as connection:
            found = self._last(connection, source)
            if found is None and location_name is not None:
                found = self._last(connection, location_name)
        return found

    def remember(self, source: str, recipe: Mapping[str, Any]) -> None:
        """The catalogue of this source is made by this recipe from now on."""
        with self._db.write(lock=self._account) as connection:
            connection.execute(catalogue_recipe.delete().where(*self._of(source)))
            connection.execute(
                catalogue_recipe.insert().values(
                    account=self._account,
                    catalogue=catalogue_key(source),
                    recipe=dict(recipe),
                    since=self._db.now(connection),
                )
            )

    def _last(self, connection: sa.Connection, source: str) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = connection.scalar(
            sa.select(catalogue_recipe.c.recipe).where(*self._of(source))
        )
        return found

    def _of(self, source: str) -> tuple[sa.ColumnElement[bool], ...]:
        return (
            catalogue_recipe.c.account == self._account,
            catalogue_recipe.c.catalogue == catalogue_key(source),
        )
