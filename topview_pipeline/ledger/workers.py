"""Workers, alive while their heartbeat is recent by the database's clock; and orphans, their rows.

The same rule on one machine and on many; nobody asks for processes.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from topview_pipeline.ledger.catalogue_state import is_forsaken
from topview_pipeline.ledger.database import Part, upsert
from topview_pipeline.ledger.schema import task, worker
from topview_pipeline.ledger.task_row import Task, TaskState

HEARTBEAT_SECONDS: Final = 10.0
"""Interval of a worker's heartbeats."""
DEAD_AFTER_SECONDS: Final = 30.0
"""Without a heartbeat for so long a worker counts as dead."""
_FORGOTTEN_SECONDS: Final = 7 * 86_400.0
"""So long the row of a worker that died says that its run did not end properly."""
ASK_OVERDUE_SECONDS: Final = 3600.0
"""Interval at which Topview is asked about an overdue task."""
ATTEMPTS_BY_ITSELF: Final = 3
"""Attempts at one fingerprint before a person is asked."""
_RETRIED_SECONDS: Final = 86400.0
OTHER: Final = task.alias()
"""Made once: an alias takes longer than a short query."""


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
        return {row.id for row in self._db.rows(living(self._account, self._db.now()))}

    def is_alive(self, worker_id: str | None) -> bool:
        return worker_id in self.alive()

    def runs(self) -> dict[str, bool]:
        """The pipeline's runs that have a worker or had one that died: True while one lives."""
        lives = sa.func.max(sa.case((is_recent(self._db.now()), 1), else_=0)).label("lives")
        query = sa.select(worker.c.run_id, lives).where(*self._of_pipeline(worker))
        return {
            row.run_id: bool(row.lives) for row in self._db.rows(query.group_by(worker.c.run_id))
        }


def living(account: str, now: float) -> sa.Select[tuple[str]]:
    """A query for the ids of an account's living workers."""
    return sa.select(worker.c.id).where(worker.c.account == account, is_recent(now))


def without_worker(account: str, now: float) -> sa.ColumnElement[bool]:
    """The condition on task rows that no living worker works on them."""
    return sa.or_(task.c.worker.is_(None), task.c.worker.not_in(living(account, now)))


def is_recent(now: float) -> sa.ColumnElement[bool]:
    """A heartbeat in the future was before the clock was set back: it keeps nobody alive."""
    return worker.c.heartbeat_at.between(now - DEAD_AFTER_SECONDS, now + DEAD_AFTER_SECONDS)


class Orphans(Part):
    """The orphans of an account, and of one of its pipelines."""

    def all(self) -> list[Task]:
        """The rows without a living worker whose results the pipeline has to collect.

        Its own; and those at Topview of a pipeline that was renamed or removed: its sensor has not
        ticked for a day, and nobody has collected them in that time.

        They are at Topview or finished there, stored without an event of Dagster's, or overdue and
        not asked about for an hour. Those that ended first come first: they are out of reach first.
        """
        asked = sa.func.coalesce(task.c.last_query_at, task.c.reserved_at)
        with self._db.read() as connection:
            now = self._db.now(connection)
            due = sa.or_(asked <= now - ASK_OVERDUE_SECONDS, asked > now + ASK_OVERDUE_SECONDS)
            # The index by state answers each of the three; of an OR it would answer nothing.
            mine = sa.or_(self._is_own, is_forsaken(self._account, now))
            kinds = (
                (mine, task.c.state.in_((TaskState.PENDING, TaskState.SUCCEEDED))),
                (mine, task.c.state == TaskState.OVERDUE, due),
                (self._is_own, task.c.state == TaskState.STORED, task.c.reported_at.is_(None)),
            )
            free = without_worker(self._account, now)
            rows = [row for kind in kinds for row in self._read(connection, free, *kind)]
        return sorted(rows, key=lambda row: (row.succeeded_at or float("inf"), row.id))

    def pending(self) -> list[Task]:
        """The account's rows that hold a slot at Topview and have no living worker."""
        dead = without_worker(self._account, self._db.now())
        return self._select(task.c.state == TaskState.PENDING, dead)

    def lost(self, *, submit_seconds: float) -> list[Task]:
        """The account's reserved rows whose submit, of at most so long, is no longer under way."""
        now = self._db.now()
        recent = task.c.reserved_at.between(now - submit_seconds, now + submit_seconds)
        gone = sa.or_(without_worker(self._account, now), ~recent)
        return self._select(task.c.state == TaskState.RESERVED, gone)

    def retries_due(self) -> list[Task]:
        """The pipeline's failed rows that may be retried now without a person.

        The newest of their fingerprint and of their product's stage. One that was due a day ago is
        left to the next run that plans: its inputs have changed, or it cannot be made. A wait more
        than twice as long as agreed is over: the clock was set back, perhaps another machine's.
        """
        due = sa.func.coalesce(task.c.not_before, task.c.closed_at)
        wait, agreed = due - self._db.now(), due - task.c.closed_at
        return self._select(
            self._is_own,
            task.c.state == TaskState.FAILED,
            task.c.retryable.is_(True),
            task.c.attempt < ATTEMPTS_BY_ITSELF,
            sa.or_(wait.between(-_RETRIED_SECONDS, 0), wait > 2 * agreed),
            is_newest("fingerprint"),
            is_newest("pipeline", "product_id", "stage"),
        )


def is_newest(*columns: str) -> sa.ColumnElement[bool]:
    """No later row but void ones agrees with a row in these columns."""
    newer = OTHER.c
    same = [newer[name] == task.c[name] for name in ("account", *columns)]
    return ~sa.exists().where(*same, newer.id > task.c.id, newer.state != TaskState.VOID)
