"""A pipeline's catalogue as it was last accepted: its products, those that left, why it is held.

Also whose name the pipeline's is: that of the catalogue which a living sensor follows; and what the
ledger forgets of products that left long ago.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import sqlalchemy as sa

from topview_pipeline.ledger.database import LedgerError, Part, append_event, upsert
from topview_pipeline.ledger.schema import (
    catalogue_product,
    catalogue_state,
    portions,
    review,
    task,
    task_event,
    upload,
)
from topview_pipeline.ledger.task_row import LIVE, Task, TaskState
from topview_pipeline.text import without_queries

LIVING_SECONDS: Final = 180.0
"""So long after a tick of its sensor, which comes every minute, a code location is there."""

_FORSAKEN_SECONDS: Final = 86400.0
"""Of the seven days that Topview keeps a result."""


def is_forsaken(account: str, now: float) -> sa.ColumnElement[bool]:
    """Return the condition on rows of a day ago whose pipeline's sensor has not ticked since."""
    of, since = catalogue_state.c, now - _FORSAKEN_SECONDS
    alive = sa.select(of.pipeline).where(of.account == account, of.ticked_at > since)
    return sa.and_(task.c.reserved_at < since, task.c.pipeline.not_in(alive))


class NameTaken(LedgerError):
    """Two catalogues go by one pipeline's name."""


class CatalogueState(Part):
    """The catalogue of one pipeline on one account."""

    @property
    def _key(self) -> dict[str, str]:
        return {"account": self._account, "pipeline": self._pipeline}

    def products(self) -> set[str]:
        with self._db.read() as connection:
            return {id_ for id_, left_at in self._known(connection).items() if left_at is None}

    def retired(self) -> set[str]:
        with self._db.read() as connection:
            return {id_ for id_, left_at in self._known(connection).items() if left_at is not None}

    def accept(
        self, *, products: Collection[str], kept: Collection[str] = (), is_whole: bool = True
    ) -> set[str]:
        """Take a catalogue as what is true now; the products that left it now are returned.

        Args:
            kept: ids in rows that cannot be used now: they have not left.
            is_whole: if not, no product left, and a catalogue that is held stays so.
        """
        with self._db.write(lock=self._account) as connection:
            known = self._known(connection)
            present = {id_ for id_, left_at in known.items() if left_at is None}
            left = present.difference(products, kept) if is_whole else set()
            self._mark(connection, left, left_at=self._db.now(connection))
            self._mark(connection, known.keys() & set(products) - present, left_at=None)
            new = [self._key | {"product_id": id_} for id_ in set(products) - known.keys()]
            if new:
                connection.execute(catalogue_product.insert(), new)
            if is_whole:
                mine = catalogue_state.update().where(*self._of_pipeline(catalogue_state))
                connection.execute(mine.values(held=None, held_at=None))
        return left

    def hold(self, why: str) -> None:
        """Write down why the catalogue is not accepted, until it is."""
        with self._db.write(lock=self._account) as connection:
            state = {"held": why, "held_at": self._db.now(connection)}
            upsert(connection, catalogue_state, [self._key | state])

    def held(self) -> tuple[str, float] | None:
        """Why the catalogue is not accepted, and when that was last seen."""
        query = sa.select(catalogue_state.c.held, catalogue_state.c.held_at)
        is_held = catalogue_state.c.held.is_not(None)
        found = self._db.rows(query.where(*self._of_pipeline(catalogue_state), is_held))
        return (found[0].held, found[0].held_at) if found else None

    def check_source(self, source: str | None) -> None:
        """Raise NameTaken while a living pipeline of this name follows another catalogue."""
        with self._db.read() as connection:
            self._check_source(connection, source, self._db.now(connection))

    def tick(self, source: str | None) -> None:
        """A sensor of the pipeline ticks: the name is its catalogue's. Raises as `check_source`."""
        with self._db.write(lock=self._account) as connection:
            now = self._db.now(connection)
            self._check_source(connection, source, now)
            shown = None if source is None else without_queries(source)
            row = self._key | {"source": shown, "ticked_at": now}
            upsert(connection, catalogue_state, [row])

    def _check_source(self, connection: sa.Connection, source: str | None, now: float) -> None:
        columns = catalogue_state.c.source, catalogue_state.c.ticked_at
        query = sa.select(*columns).where(*self._of_pipeline(catalogue_state))
        for theirs, ticked_at in connection.execute(query):
            mine = without_queries(source or theirs or "")
            if theirs in (None, mine) or abs(now - ticked_at) > LIVING_SECONDS:
                continue
            name = self._key["pipeline"]
            raise NameTaken(
                f"sensors of this name follow the catalogue {theirs}, last {now - ticked_at:.0f} s "
                f"ago, and this one has {mine}; nothing was submitted",
                f"pipeline {name}",
                "Give one of the two pipelines another name. If the catalogue has moved, reload "
                f"or stop the code location that follows the old one: {LIVING_SECONDS / 60:.0f} "
                "minutes later this one continues.",
            )

    def _known(self, connection: sa.Connection) -> dict[str, float | None]:
        query = sa.select(catalogue_product.c.product_id, catalogue_product.c.left_at)
        rows = connection.execute(query.where(*self._of_pipeline(catalogue_product)))
        return {row.product_id: row.left_at for row in rows}

    def _mark(
        self, connection: sa.Connection, products: Collection[str], *, left_at: float | None
    ) -> None:
        mine = catalogue_product.update().where(*self._of_pipeline(catalogue_product))
        for some in portions(sorted(products)):
            theirs = mine.where(catalogue_product.c.product_id.in_(some))
            connection.execute(theirs.values(left_at=left_at))


class Retired(Part):
    """The retired products of one pipeline."""

    def before(self, seconds: float) -> list[str]:
        """The products that left the catalogue more than so many seconds ago."""
        left = catalogue_product.c.left_at < self._db.now() - seconds
        query = sa.select(catalogue_product.c.product_id).where(
            *self._of_pipeline(catalogue_product), left
        )
        return sorted(row.product_id for row in self._db.rows(query))

    def tasks(self, product_id: str) -> list[Task]:
        return self._select(self._is_own, task.c.product_id == product_id)

    def shared(self, product_id: str, rows: Iterable[Task]) -> set[int]:
        """Those of the rows that another product uses, or another pipeline's."""
        ids = [row.id for row in rows]
        other = sa.or_(
            task_event.c.pipeline != self._pipeline, task_event.c.product_id != product_id
        )
        query = sa.select(task_event.c.task_id).where(task_event.c.task_id.in_(ids), other)
        return {row.task_id for row in self._db.rows(query)}

    def forget(self, product_id: str, rows: Sequence[Task], *, who: str, why: str = "") -> None:
        """Forget a product, these rows of it, and the uploads that only they name."""
        ids = [row.id for row in rows]
        with self._db.write(lock=self._account) as connection:
            for table in (catalogue_product, review):
                mine = *self._of_pipeline(table), table.c.product_id == product_id
                connection.execute(table.delete().where(*mine))
            if ids:
                files = [name for row in rows for name in _texts(row.request)]
                of_account = upload.c.account == self._account
                connection.execute(upload.delete().where(of_account, upload.c.file_id.in_(files)))
                connection.execute(task_event.delete().where(task_event.c.task_id.in_(ids)))
                connection.execute(task.delete().where(task.c.id.in_(ids)))
            now = self._db.now(connection)
            detail = {"product": product_id, "rows": len(ids), "why": why}
            append_event(connection, self._account, now, "purged", who, detail)


def is_on_its_way(row: Task) -> bool:
    """True if a result of the row may still come, or has to be paid for."""
    return row.state in LIVE and row.state is not TaskState.STORED


def _texts(value: object) -> set[str]:
    """All strings in a request: the ids of uploaded photos and faces are among them."""
    if isinstance(value, str):
        return {value}
    inside = value.values() if isinstance(value, Mapping) else value
    if not isinstance(inside, Iterable):
        return set()
    return {text for one in inside for text in _texts(one)}
