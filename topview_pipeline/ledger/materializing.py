"""Marking a row as known to Dagster: the one write that tasks and orders share."""

from __future__ import annotations

import sqlalchemy as sa

from topview_pipeline.ledger.schema import task


def materialize(connection: sa.Connection, task_id: int, now: float) -> None:
    """Dagster has stored an event of this row: nobody has to bring it home any more."""
    connection.execute(
        task.update()
        .where(task.c.id == task_id, task.c.materialized_at.is_(None))
        .values(materialized_at=now, owner=None)
    )
