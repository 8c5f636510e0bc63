"""The events of rows, and what finished tasks took and cost."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from topview_pipeline.ledger.catalogue_state import is_forsaken
from topview_pipeline.ledger.database import Part
from topview_pipeline.ledger.schema import (
    catalogue_product,
    review,
    task,
    task_event,
    task_of,
)
from topview_pipeline.ledger.task_row import Task, TaskState, Tried
from topview_pipeline.prices import CostSeen

_NEWEST: Final = 500
"""Finished tasks of a stage that say how long it takes."""
_DECISIONS: Final = ("approved", "rejected", "chosen", "again")


@dataclass(frozen=True)
class TaskEvent:
    """Something that happened to a row; `at` in seconds since the epoch."""

    at: float
    what: str
    who: str
    detail: Mapping[str, Any]


class History(Part):
    """Looks back at the tasks of one account, or of one of its pipelines."""

    def states(self) -> dict[tuple[str, str, str], int]:
        """Numbers of the account's tasks by pipeline, stage and state."""
        columns = task.c.pipeline, task.c.stage, task.c.state
        query = sa.select(*columns, sa.func.count()).where(task.c.account == self._account)
        rows = self._db.rows(query.group_by(*columns).order_by(*columns))
        return {(pipeline, stage, state.value): count for pipeline, stage, state, count in rows}

    def failures(self) -> dict[tuple[str, str], int]:
        """Numbers of the account's failed attempts by stage and Topview's code."""
        columns = task.c.stage, sa.func.coalesce(task.c.error_code, "none")
        failed = task.c.account == self._account, task.c.state == TaskState.FAILED
        query = sa.select(*columns, sa.func.count()).where(*failed)
        rows = self._db.rows(query.group_by(*columns).order_by(*columns))
        return {(stage, code): count for stage, code, count in rows}

    def oldest_pending_seconds(self) -> float:
        """Age, since its acceptance, of the oldest task that Topview works on; 0 without one."""
        pending = task.c.account == self._account, task.c.state == TaskState.PENDING
        at = self._db.scalar(sa.select(sa.func.min(task.c.pending_at)).where(*pending))
        return 0.0 if at is None else max(self._db.now() - at, 0.0)

    def page(
        self,
        *,
        states: Collection[TaskState] = (),
        product_id: str | None = None,
        stage: str | None = None,
        limit: int,
    ) -> tuple[list[Task], int]:
        """The newest rows of a selection, the newest first, and how many it has in all.

        With the unknown ones come those of pipelines that were renamed or removed.
        """
        mine = self._is_own
        if TaskState.UNKNOWN in states:
            forsaken = is_forsaken(self._account, self._db.now())
            mine = sa.or_(mine, sa.and_(task.c.state == TaskState.UNKNOWN, forsaken))
        which = [task.c.account == self._account, mine]
        if states:
            which.append(task.c.state.in_(states))
        wanted = {"product_id": product_id, "stage": stage}
        which += [task.c[name] == value for name, value in wanted.items() if value is not None]
        newest = task.c.id.desc()
        # The numbers alone are sorted: whole rows are long.
        ids = sa.select(task.c.id).where(*which).order_by(newest).limit(limit)
        rows = sa.select(task).where(task.c.id.in_(ids)).order_by(newest)
        total = self._db.scalar(sa.select(sa.func.count()).where(*which)) or 0
        return list(map(task_of, self._db.rows(rows))), total

    def newest(self) -> int:
        """The number of the newest event: while it stays, no task and no decision has changed."""
        with self._db.read() as connection:
            return connection.execute(sa.select(sa.func.max(task_event.c.id))).scalar() or 0

    def events(self, task_id: int) -> list[TaskEvent]:
        mine = task_event.c.account == self._account, task_event.c.task_id == task_id
        rows = self._db.rows(sa.select(task_event).where(*mine).order_by(task_event.c.id))
        return [TaskEvent(row.at, row.what, row.who, row.detail or {}) for row in rows]

    def tried(self, canary_group: str | None = None) -> list[Tried]:
        """The pipeline's tasks of a canary group, or of all that have one, the oldest first."""
        newer, is_counted = task.alias(), task.c.state != TaskState.VOID
        same = [newer.c[name] == task.c[name] for name in ("account", "pipeline", "product_id")]
        same += [newer.c.stage == task.c.stage, newer.c.state != TaskState.VOID]
        gone = sa.select(catalogue_product.c.product_id).where(
            *self._of_pipeline(catalogue_product), catalogue_product.c.left_at.is_not(None)
        )
        query = sa.select(
            *(task.c[name] for name in Tried._fields[:-2]),
            task.c.reported_at.is_not(None),
            ~sa.exists().where(*same, newer.c.id > task.c.id) & task.c.product_id.not_in(gone),
        )
        mine = *self._of_pipeline(task), is_counted
        which = (
            task.c.canary_group.is_not(None)
            if canary_group is None
            else task.c.canary_group == canary_group
        )
        return list(map(Tried._make, self._db.rows(query.where(*mine, which).order_by(task.c.id))))

    def decisions(self) -> dict[str, list[TaskEvent]]:
        """People's decisions about the pipeline's products, the oldest first, by product id."""
        mine = *self._of_pipeline(task_event), task_event.c.what.in_(_DECISIONS)
        query = sa.select(task_event).where(*mine)
        found: dict[str, list[TaskEvent]] = {}
        for row in self._db.rows(query.order_by(task_event.c.id)):
            event = TaskEvent(row.at, row.what, row.who, row.detail or {})
            found.setdefault(row.product_id, []).append(event)
        return found

    def paid(self, since: float) -> dict[str, tuple[float, float]]:
        """Credits booked for each product of the pipeline, remakes too: in all, and since then."""
        booked = task.c.cost_credits
        recent = sa.case((task.c.booked_at >= since, booked), else_=0.0)
        query = sa.select(task.c.product_id, sa.func.sum(booked), sa.func.sum(recent))
        mine = *self._of_pipeline(task), booked > 0
        rows = self._db.rows(query.where(*mine).group_by(task.c.product_id))
        return {product_id: (in_all, recent) for product_id, in_all, recent in rows}

    def refused(self, stage: str) -> Sequence[sa.Row[Any]]:
        """Product, mode, request and credits of the pipeline's rows that a check or person refused.

        What a person approved is not refused. Scenes without a face are among them, marked by
        `is_faceless`: they are refused for some products only.
        """

        def decided(*words: str) -> sa.ColumnElement[bool]:
            which = sa.select(review.c.fingerprint).where(
                *self._of_pipeline(review), review.c.decision.in_(words)
            )
            return task.c.fingerprint.in_(which)

        numbers, is_open = task.c.quality["numbers"], ~decided("approved")
        faces = numbers["images_without_face"].as_float(), numbers["images"].as_float()
        failed = sa.and_(task.c.quality["outcome"].as_string() == "failed", is_open)
        is_refused = sa.or_(failed, decided("rejected", "again"))
        is_faceless = sa.and_(faces[0] == faces[1], is_open)
        columns = task.c.product_id, task.c.mode, task.c.request, task.c.cost_credits
        query = sa.select(*columns, sa.not_(is_refused).label("is_faceless")).where(
            *self._of_pipeline(task),
            task.c.stage == stage,
            task.c.state == TaskState.STORED,
            sa.or_(is_refused, is_faceless),
        )
        return self._db.rows(query)

    def seconds(self, stage: str) -> list[float]:
        """Seconds from submit until done, of the stage's latest tasks whose end was watched."""
        took = task.c.succeeded_at - task.c.pending_at
        which = task.c.account == self._account, task.c.stage == stage, took.is_not(None)
        query = sa.select(took.label("seconds")).where(*which, ~seen_late())
        rows = self._db.rows(query.order_by(task.c.id.desc()).limit(_NEWEST))
        return [row.seconds for row in rows]

    def typical_seconds(self, stage: str) -> float | None:
        """The median of `seconds`; None while nothing of the stage was finished."""
        seconds = self.seconds(stage)
        return statistics.median(seconds) if seconds else None

    def cost_seen(self, stage: str, mode: str | None) -> CostSeen:
        """The credits that finished tasks like this were booked with."""
        booked = task.c.cost_credits
        # Rounded up, as far as it matters: not every SQLite has ceil.
        started = sa.func.round(task.c.seconds + 0.4999999)
        spoken = sa.and_(task.c.seconds > 0, booked.is_not(None))
        a_second = sa.case((spoken, booked / started))
        average = sa.func.sum(sa.case((spoken, booked))) / sa.func.sum(sa.case((spoken, started)))
        values = sa.func.max(booked), sa.func.max(a_second), sa.func.avg(booked), average
        query = sa.select(*values).where(
            task.c.account == self._account,
            task.c.stage == stage,
            task.c.mode.is_not_distinct_from(mode),
        )
        return CostSeen(*self._db.rows(query)[0])

    def with_unknown_duration(self) -> frozenset[int]:
        """The rows whose end nobody watched: they changed workers before, or were healed."""
        query = sa.select(task.c.id).where(task.c.account == self._account, seen_late())
        return frozenset(row.id for row in self._db.rows(query))


def seen_late() -> sa.ColumnElement[bool]:
    """The condition of `History.with_unknown_duration`."""
    on_its_way = sa.or_(task.c.stored_at.is_(None), task_event.c.at <= task.c.stored_at)
    adopted = sa.and_(task_event.c.what == "adopted", on_its_way)
    return sa.exists().where(
        task_event.c.task_id == task.c.id, sa.or_(adopted, task_event.c.what == "healed")
    )
