"""A part of one account's ledger: its database, and reading task rows from it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from topview_pipeline.ledger.database import Database
from topview_pipeline.ledger.schema import task, task_of
from topview_pipeline.ledger.task_row import Task


class Part:
    """A part of one account's ledger, as one of its pipelines uses it.

    Lists of rows are in the order of their numbers, the oldest first.
    """

    def __init__(self, database: Database, account: str, pipeline: str) -> None:
        self._db = database
        self._account = account
        self._pipeline = pipeline
        self._is_own = task.c.pipeline == pipeline

    def _select(self, *which: sa.ColumnElement[bool]) -> list[Task]:
        """The account's rows."""
        return list(map(task_of, self._db.rows(self._query(*which))))

    def _read(self, connection: sa.Connection, *which: sa.ColumnElement[bool]) -> list[Task]:
        """`_select` within a transaction."""
        return list(map(task_of, connection.execute(self._query(*which))))

    def _query(self, *which: sa.ColumnElement[bool]) -> sa.Select[Any]:
        mine = task.c.account == self._account
        return sa.select(task).where(mine, *which).order_by(task.c.id)
