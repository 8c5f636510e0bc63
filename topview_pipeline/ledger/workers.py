"""Liveness: a worker is alive while its heartbeat is recent by the database's clock.

The same rule on one machine and on many; nobody asks for processes.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from topview_pipeline.ledger.database import upsert
from topview_pipeline.ledger.part import Part
from topview_pipeline.ledger.schema import task, worker

HEARTBEAT_SECONDS: Final = 10.0
"""How often a worker beats."""
DEAD_AFTER_SECONDS: Final = 30.0
"""Without a heartbeat for so long a worker counts as dead."""
_FORGOTTEN_SECONDS: Final = 7 * 86_400.0
"""So long the row of a worker that died says that its run did not end properly."""


class Workers(Part):
    """The engines at work on one account; those that are started here are one pipeline's."""

    def start(self, worker_id: str, *, run_id: str) -> None:
        """Register a worker of a run; its first heartbeat is now."""
        with self._db.write() as connection:
            now = self._db.now(connection)
            row = {"id": worker_id, "account": self._account, "pipeline": self._pipeline}
            row["run_id"] = run_id
            times = dict.fromkeys(("started_at", "heartbeat_at", "served_at"), now)
            upsert(connection, worker, [row | times])
            long_dead = worker.c.heartbeat_at < now - _FORGOTTEN_SECONDS
            connection.execute(worker.delete().where(long_dead))

    def beat(self, worker_id: str) -> None:
        """Note a heartbeat; due every HEARTBEAT_SECONDS."""
        with self._db.write() as connection:
            mine = worker.update().where(worker.c.id == worker_id)
            connection.execute(mine.values(heartbeat_at=self._db.now(connection)))

    def end(self, worker_id: str) -> None:
        """A worker is done: its rows are free at once for the next one."""
        mine = task.c.account == self._account, task.c.worker == worker_id
        with self._db.write(lock=self._account) as connection:
            connection.execute(task.update().where(*mine).values(worker=None))
            connection.execute(worker.delete().where(worker.c.id == worker_id))

    def alive(self) -> set[str]:
        """The ids of all living workers."""
        return {row.id for row in self._db.rows(living(self._account, self._db.now()))}

    def is_alive(self, worker_id: str | None) -> bool:
        """True if the worker that a row names is still at work; None is nobody."""
        return worker_id in self.alive()

    def run_is_dead(self, run_id: str) -> bool:
        """True if a run of the pipeline had a worker that died.

        Not if it ended properly or has not begun.
        """
        query = sa.select(is_recent(self._db.now()).label("lives")).where(
            worker.c.account == self._account,
            worker.c.pipeline == self._pipeline,
            worker.c.run_id == run_id,
        )
        workers = self._db.rows(query)
        return bool(workers) and not any(row.lives for row in workers)


def living(account: str, now: float) -> sa.Select[tuple[str]]:
    """A query for the ids of an account's living workers."""
    return sa.select(worker.c.id).where(worker.c.account == account, is_recent(now))


def without_worker(account: str, now: float) -> sa.ColumnElement[bool]:
    """The condition on task rows that no living worker works on them."""
    return sa.or_(task.c.worker.is_(None), task.c.worker.not_in(living(account, now)))


def is_recent(now: float) -> sa.ColumnElement[bool]:
    """A heartbeat in the future was before the clock was set back: it keeps nobody alive."""
    return worker.c.heartbeat_at.between(now - DEAD_AFTER_SECONDS, now + DEAD_AFTER_SECONDS)
