"""Products that left the catalogue long ago, and what the ledger forgets of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa

from topview_pipeline.ledger.history import append_event
from topview_pipeline.ledger.part import Part
from topview_pipeline.ledger.schema import (
    catalogue_product,
    review,
    task,
    task_event,
    upload,
)
from topview_pipeline.ledger.task_row import LIVE, Task, TaskState


class Retired(Part):
    """The retired products of one pipeline."""

    def before(self, seconds: float) -> list[str]:
        """The products that left the catalogue more than so many seconds ago."""
        left = catalogue_product.c.left_at < self._db.now() - seconds
        query = sa.select(catalogue_product.c.product_id).where(*self._of(catalogue_product), left)
        return sorted(row.product_id for row in self._db.rows(query))

    def tasks(self, product_id: str) -> list[Task]:
        """The rows of a product's own tasks."""
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
                mine = *self._of(table), table.c.product_id == product_id
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

    def _of(self, table: sa.Table) -> tuple[sa.ColumnElement[bool], ...]:
        return table.c.account == self._account, table.c.pipeline == self._pipeline


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
