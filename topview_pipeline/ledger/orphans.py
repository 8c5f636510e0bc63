"""Orphans: rows that nobody works on, for the next worker to take up."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from topview_pipeline.ledger.catalogue_state import is_forsaken
from topview_pipeline.ledger.part import Part
from topview_pipeline.ledger.schema import task
from topview_pipeline.ledger.task_row import Task, TaskState
from topview_pipeline.ledger.workers import without_worker

ASK_OVERDUE_SECONDS: Final = 3600.0
"""How often Topview is asked about an overdue task."""
ATTEMPTS_BY_ITSELF: Final = 3
"""Attempts at one fingerprint before a person is asked."""
_RETRIED_SECONDS: Final = 86400.0
OTHER: Final = task.alias()
"""Made once: an alias takes longer than a short query."""


class Orphans(Part):
    """The orphans of an account, and of one of its pipelines. The oldest come first."""

    def all(self) -> list[Task]:
        """The rows without a living worker whose results the pipeline has to collect.

        Its own; and those at Topview of a pipeline that was renamed or removed: its sensor has not
        ticked for a day, and nobody has collected them in that time.

        The most urgent first: those at Topview or finished there, stored ones that Dagster has no
        event of (another pipeline may have collected them, and have its own), and overdue ones
        not asked about for an hour (or in the future: then the clock was set back). What was
        finished earliest is the soonest to be out of reach.
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
        than twice as long as was agreed on is over: the clock was set back (twice, because it may
        be another machine's).
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
