"""The task rows as people look at them: a page of a list, one row, its history. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from topview_pipeline.ledger.reading import TaskReads
from topview_pipeline.ledger.rows import Task
from topview_pipeline.ledger.schema import task, task_event
from topview_pipeline.ledger.states import TaskState


@dataclass(frozen=True)
class TaskPage:
    """The newest rows of a selection, and how many it has in all."""

    rows: tuple[Task, ...]
    total: int


@dataclass(frozen=True)
class TaskEvent:
    """Something that happened to a row. `at` in seconds since the epoch."""

    at: float
    what: str
    who: str
    detail: Mapping[str, Any]


class Browsing(TaskReads):
    """Looks at the task rows of one account."""

    def page(
        self,
        *,
        states: Collection[TaskState] = (),
        product_id: str | None = None,
        stage: str | None = None,
        limit: int,
    ) -> TaskPage:
        """The newest rows first; what is not named is not narrowed down."""
        chosen: list[sa.ColumnElement[bool]] = [task.c.account == self._account]
        if states:
            chosen.append(task.c.state.in_([state.value for state in states]))
        if product_id is not None:
            chosen.append(task.c.product_id == product_id)
        if stage is not None:
            chosen.append(task.c.stage == stage)
        with self._db.read() as connection:
            count = sa.select(sa.func.count()).select_from(task).where(*chosen)
            total = int(connection.scalar(count) or 0)
            query = sa.select(task).where(*chosen).order_by(task.c.id.desc()).limit(limit)
            rows = tuple(Task.from_row(row) for row in connection.execute(query))
        return TaskPage(rows, total)

    def find(self, row_id: int) -> Task | None:
        """The account's row of this number."""
        query = sa.select(task).where(task.c.account == self._account, task.c.id == row_id)
        with self._db.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else Task.from_row(row)

    def row_of(self, topview_task_id: str) -> int | None:
        """The number of the account's row that has this Topview task."""
        with self._db.read() as connection:
            return connection.scalar(
                sa.select(task.c.id).where(
                    task.c.account == self._account, task.c.topview_task_id == topview_task_id
                )
            )

    def history(self, row_id: int) -> list[TaskEvent]:
        """All events of a row, the oldest first."""
        query = (
            sa.select(task_event)
            .where(task_event.c.account == self._account, task_event.c.task_id == row_id)
            .order_by(task_event.c.id)
        )
        with self._db.read() as connection:
            return [
                TaskEvent(row.at, row.what, row.who, row.detail or {})
                for row in connection.execute(query)
            ]
