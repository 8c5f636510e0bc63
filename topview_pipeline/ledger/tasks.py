"""The task rows of an account: reading them, reserving one, and every move after that.

The work is the account's, whichever pipeline asked for it first: it is found, waited for and paid
once by all. The products are a pipeline's: the results they use, and what is to be done for them.

Each move is one transaction with its event. It takes the account's lock, too: a reservation adds
up the account's rows in more than one statement, and none may change in between.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from topview_pipeline.ledger.database import LedgerError, Part, append_event
from topview_pipeline.ledger.history import seen_late
from topview_pipeline.ledger.reserve import insert_reserved, insert_stored, slots_taken
from topview_pipeline.ledger.reviews import reviews_of
from topview_pipeline.ledger.schema import portions, task, task_event, task_of
from topview_pipeline.ledger.task_row import (
    LIVE,
    MOVES,
    NO_REVIEW,
    Reservation,
    ReserveAnswer,
    Task,
    TaskGlance,
    TaskState,
    ToDecide,
)
from topview_pipeline.ledger.workers import OTHER, is_newest, without_worker

_ADOPTABLE: Final = LIVE - {TaskState.RESERVED, TaskState.UNKNOWN}
_MADE: Final = (TaskState.STORED, TaskState.SUCCEEDED)
"""States of a row that was reported: stored, or succeeded again because a file is gone."""
_UNMADE: Final = tuple(set(TaskState) - {TaskState.STORED, TaskState.VOID})
_REPEATED: Final = tuple(
    TaskGlance._fields.index(name)
    for name in ("pipeline", "stage", "product_id", "run_id", "root_run_id", "worker")
)
_REPORTED: Final = "reported"
_OF_EVENT: Final = task.c.id == task_event.c.task_id
_BEGAN: Final = task_event.alias()
Json = Mapping[str, Any]


class IllegalMove(LedgerError):
    """A row is not where the caller believed it to be, or the move is not in the table of moves."""


class Tasks(Part):
    """Reads, reserves and moves the task rows of one account, for one of its pipelines."""

    # Reading.

    def get(self, task_id: int) -> Task:
        """The row by its number. Raises LedgerError when the account has no such row."""
        with self._db.read() as connection:
            return self._get(connection, task_id)

    def of_ids(self, task_ids: Iterable[int]) -> dict[int, Task]:
        some = [self._select(task.c.id.in_(ids)) for ids in portions(task_ids)]
        return {row.id: row for rows in some for row in rows}

    def to_decide(self, work: str, product_id: str, made_of: str | None) -> ToDecide:
        """All that decides about a work item of a product.

        Args:
            made_of: fingerprint of the result that it is made from.
        """
        if made_of is None and not self._select(task.c.work == work):
            return ToDecide([])
        with self._db.read() as connection:
            rows, made = self._read(connection, task.c.work == work), None
            named = {row.fingerprint for row in rows} | ({made_of} if made_of else set())
            of = connection, self._account, self._pipeline, product_id
            reviews = reviews_of(*of, named)
            if sum(row.state in LIVE for row in rows) > 1:
                made = self._last_made(connection, product_id, rows[0].stage)
        asked = {name for name, review in reviews.items() if review.decision == "again"}
        again = frozenset(row.generation for row in rows if row.fingerprint in asked)
        review = reviews.get(made_of or "", NO_REVIEW)
        return ToDecide(rows, review, again, made.id if made else None)

    def to_report(
        self, task_id: int, product_id: str, upstream: str | None
    ) -> tuple[Task, bool, Task | None]:
        """The row, if its duration is unknown, and the row of the stage before, in one look."""
        with self._db.read() as connection:
            row = self._get(connection, task_id)
            before = upstream and self._last_made(connection, product_id, upstream)
            late = sa.select(task.c.id).where(task.c.id == task_id, seen_late())
            return row, connection.scalar(late) is not None, before or None

    def in_state(self, states: Collection[TaskState]) -> list[Task]:
        return self._select(task.c.state.in_(states), self._is_own)

    def slots_taken(self) -> int:
        with self._db.read() as connection:
            return slots_taken(connection, self._account, self._db.now())

    def unmade(self) -> list[Task]:
        """The newest row of each product's stage, where that has no result.

        A result that was reported since the row began makes up for it: another product's, say.
        """
        made, began = OTHER, _BEGAN
        first = sa.select(sa.func.min(began.c.id)).where(began.c.task_id == task.c.id)
        first = first.correlate(task)  # it is two levels down: by itself it would mean any row
        reported = sa.exists().where(
            task_event.c.what == _REPORTED,
            task_event.c.account == task.c.account,
            task_event.c.pipeline == task.c.pipeline,
            task_event.c.product_id == task.c.product_id,
            task_event.c.task_id == made.c.id,
            made.c.stage == task.c.stage,
            task_event.c.id > first.scalar_subquery(),
        )
        newest = is_newest("pipeline", "product_id", "stage")
        return self._select(self._is_own, task.c.state.in_(_UNMADE), newest, ~reported)

    def last_made(self, product_id: str, stage: str) -> Task | None:
        """The row that a product's stage uses, even if its inputs changed or another paid."""
        with self._db.read() as connection:
            return self._last_made(connection, product_id, stage)

    def last_made_ids(self) -> dict[tuple[str, str], int]:
        """The number of the row that `last_made` gives, of every (product, stage)."""
        columns = task_event.c.product_id, task.c.stage, task.c.id
        reports = self._reports(columns, task.c.state.in_(_MADE))
        rows = self._db.rows(reports.order_by(task_event.c.id))
        return {(product_id, stage): task_id for product_id, stage, task_id in rows}

    def last_made_all(
        self, *, results_of: Collection[str] = (), verdicts_of: Collection[str] = ()
    ) -> dict[tuple[str, str], TaskGlance]:
        """`last_made` of every (product, stage); with the results and verdicts of these stages."""
        made = self._reports([sa.func.max(task_event.c.id)], task.c.state.in_(_MADE))
        newest = made.group_by(task_event.c.product_id, task.c.stage)
        columns = _glance_columns(task_event, task.c.inputs, results_of, verdicts_of)
        # By number alone: each condition more makes PostgreSQL expect fewer rows, until it loops.
        of_events = sa.select(*columns).join_from(task_event, task, _OF_EVENT)
        query = of_events.where(task_event.c.id.in_(newest))
        return {(glance.product_id, glance.stage): glance for glance in self._glances(query)}

    def glances(
        self,
        works: Iterable[str] | None = None,
        *,
        results_of: Collection[str] = (),
        verdicts_of: Collection[str] = (),
    ) -> dict[str, list[TaskGlance]]:
        """The account's rows of these works (None: of all) by work, whichever pipeline paid.

        Args:
            results_of, verdicts_of: the stages whose results and verdicts come with them.
        """
        columns = _glance_columns(task, sa.null(), results_of, verdicts_of)
        query = sa.select(*columns).where(task.c.account == self._account).order_by(task.c.id)
        some_of = [sa.true()] if works is None else map(task.c.work.in_, portions(works))
        found: dict[str, list[TaskGlance]] = {}
        for some in some_of:
            for glance in self._glances(query.where(some)):
                found.setdefault(glance.work, []).append(glance)
        return found

    # Reserving and moving. A move that the row's state does not allow raises IllegalMove.

    def reserve(
        self, wanted: Reservation, *, slots: int, credits_a_day: float | None = None
    ) -> ReserveAnswer:
        """Write the row that must exist before the POST, if the account's slots and limits allow.

        One transaction: no other worker, of whatever process, comes between the checks and the row.
        """
        with self._db.write(lock=self._account) as connection:
            of = self._account, self._pipeline, wanted, slots, credits_a_day
            return insert_reserved(connection, *of, self._db.now(connection))

    def accepted(
        self,
        task_id: int,
        topview_task_id: str,
        *,
        who: str,
        found: str | None = None,
        answer: Json | None = None,
    ) -> Task:
        """Topview gave a task id: reserved or unknown -> pending.

        Args:
            answer: what else it said; kept with the event.
            found: why this is taken for the task that a lost answer named: an unknown row becomes
                pending, and nobody's.
        """
        detail: dict[str, Any] = {"topview_task_id": topview_task_id}
        if answer:
            detail["answer"] = dict(answer)
        values: dict[str, Any] = {"topview_task_id": topview_task_id, "error_message": None}
        sources = {TaskState.RESERVED, TaskState.UNKNOWN}
        if found:
            sources, values["worker"], detail["why"] = {TaskState.UNKNOWN}, None, found
        try:
            return self._move(
                task_id, TaskState.PENDING, who, detail, sources, ["pending_at"], **values
            )
        except IntegrityError as error:
            (other,) = self._select(task.c.topview_task_id == topview_task_id)
            raise IllegalMove(
                f"it cannot be Topview task {topview_task_id}: row {other.id} has that already",
                f"task row {task_id}",
            ) from error

    def succeeded(
        self, task_id: int, *, result: Json, cost_credits: float | None, who: str
    ) -> Task:
        """Finished at Topview: pending or overdue -> succeeded, which frees the slot.

        Without a price of Topview's the estimate stays booked, for the limits.
        """
        return self._move(
            task_id,
            TaskState.SUCCEEDED,
            who,
            {"credits": cost_credits},
            {TaskState.PENDING, TaskState.OVERDUE},
            ["succeeded_at", "booked_at"],
            result=dict(result),
            cost_credits=cost_credits,
            error_message=None,
        )

    def stored(self, task_id: int, *, artifacts: Sequence[Json], who: str) -> Task:
        """Its files are written: succeeded -> stored. Its worker stays until it is reported."""
        kept, detail = [dict(one) for one in artifacts], {"files": len(artifacts)}
        of = task_id, TaskState.STORED, who, detail
        return self._move(*of, stamps=["stored_at"], artifacts=kept, quality=None)

    def file_gone(self, task_id: int, *, why: str, who: str) -> Task:
        """A file is no longer in the store and is to be downloaded again: stored -> succeeded."""
        return self._move(task_id, TaskState.SUCCEEDED, who, {"why": why}, {TaskState.STORED})

    def unknown(self, task_id: int, *, why: str, who: str) -> Task:
        """The answer to its POST was lost: reserved -> unknown.

        Its worker stays: if that has the answer after all, it keeps the row.
        """
        return self._move(task_id, TaskState.UNKNOWN, who, {"why": why}, error_message=why)

    def mark_lost(self, row: Task, *, who: str) -> None:
        """Its worker died around the submit: reserved -> unknown, unless it moved meanwhile."""
        with suppress(IllegalMove):
            self.unknown(row.id, why="its worker died around the submit; it may be paid", who=who)

    def overdue(self, task_id: int, *, why: str, who: str) -> Task:
        """Not finished within its deadline: pending -> overdue, which frees the slot.

        It was asked about just now, so the next question is due in an hour.
        """
        of = task_id, TaskState.OVERDUE, who, {"why": why}
        return self._move(*of, stamps=["last_query_at"], error_message=why, worker=None)

    def failed(
        self,
        task_id: int,
        *,
        code: str | None,
        message: str,
        retryable: bool,
        not_before: float | None,
        who: str,
    ) -> Task:
        """The attempt is over: reserved, pending or overdue -> failed.

        A retryable one may be retried without a person from `not_before` on.
        """
        detail = {"code": code, "retryable": retryable}
        values = {"error_code": code, "retryable": retryable, "not_before": not_before}
        return self._end(task_id, TaskState.FAILED, message, who, detail, **values)

    def void(self, task_id: int, *, why: str, who: str, evidence: Json | None = None) -> Task:
        """Not created, not charged, or given up by a person: reserved, unknown, overdue -> void.

        The work may be submitted again, and this counts as no attempt.
        """
        return self._end(task_id, TaskState.VOID, why, who, evidence or {})

    def expired(self, task_id: int, *, why: str, who: str) -> Task:
        """Topview says that the result is out of reach: succeeded or overdue -> expired."""
        return self._end(task_id, TaskState.EXPIRED, why, who, {})

    def heal(self, record: Json) -> Task:
        """Insert the row of a result that the store has, as stored, unless there is a live one."""
        with self._db.write(lock=self._account) as connection:
            now = self._db.now(connection)
            return self._get(connection, insert_stored(connection, self._account, record, now))

    def _end(
        self, task_id: int, to: TaskState, why: str, who: str, detail: Json, **values: Any
    ) -> Task:
        """A move out of the live states: the row is nobody's from then on."""
        values |= {"error_message": why, "worker": None}
        detail = {"why": why, **detail}
        return self._move(task_id, to, who, detail, stamps=["closed_at"], **values)

    def _move(
        self,
        task_id: int,
        to: TaskState,
        who: str,
        detail: Json,
        sources: Collection[TaskState] = tuple(TaskState),
        stamps: Collection[str] = (),
        **values: Any,
    ) -> Task:
        """Write a state: the only place that does after a row's insert.

        Args:
            sources: the states that this move may start from, of those in `MOVES`.
            stamps: columns that get the time.
        """
        with self._db.write(lock=self._account) as connection:
            row, now = self._get(connection, task_id), self._db.now(connection)
            if row.state not in sources or to not in MOVES[row.state]:
                raise IllegalMove(
                    f"it is {row.state.value} and cannot become {to.value}",
                    f"task row {task_id}",
                    f"See what happened to it: topview-pipeline tasks show {task_id}",
                )
            values |= {"state": to, **dict.fromkeys(stamps, now)}
            if row.state is TaskState.UNKNOWN and to is TaskState.PENDING:
                # Its deadline begins again: it is polled also when that is long over.
                values["deadline_at"] = now + row.deadline_at - row.reserved_at
            connection.execute(_update(task_id), values)
            event = now, to.value, who, {"from": row.state.value, **detail}
            append_event(connection, self._account, *event, task_id=task_id)
            return replace(row, **values)

    # Beside the state.

    def queried(self, task_id: int) -> None:
        """Note that Topview was asked about it now."""
        with self._db.write() as connection:
            connection.execute(_update(task_id), {"last_query_at": self._db.now(connection)})

    def measured(self, task_id: int, quality: Json) -> None:
        """Keep what the checks of its files found, until they are stored again."""
        with self._db.write() as connection:
            connection.execute(_update(task_id), {"quality": dict(quality)})

    def reported(
        self, task_id: int, product_id: str, *, who: str, quality: Json | None = None
    ) -> None:
        """Dagster has an event by which this product's stage uses this row.

        From the first time on a row of the pipeline is no longer in work; another pipeline's waits
        for an event of its own. Reporting the same again, without an attempt since, writes no
        event: a nightly run over finished products grows no ledger.
        """
        with self._db.write(lock=self._account) as connection:
            row, now = self._get(connection, task_id), self._db.now(connection)
            if row.reported_at is None and row.pipeline == self._pipeline:
                connection.execute(_update(task_id), {"reported_at": now, "worker": None})
            if quality is not None and quality != row.quality:
                connection.execute(_update(task_id), {"quality": dict(quality)})
            newest, of_stage = sa.func.max(task_event.c.id), task.c.stage == row.stage
            reports = self._reports([newest], task_event.c.product_id == product_id, of_stage)
            mine = *self._of_pipeline(task), task.c.product_id == product_id, of_stage
            tried = sa.select(task.c.id).where(*mine)
            attempts = sa.select(newest).where(
                task_event.c.what == "reserved", task_event.c.task_id.in_(tried)
            )
            own = connection.scalar(reports.where(task.c.id == task_id))
            last = max(connection.scalar(query) or 0 for query in (reports, attempts))
            if own is None or own < last:
                event = self._account, now, _REPORTED, who
                product = self._pipeline, product_id
                append_event(connection, *event, task_id=task_id, product=product)

    def adopt(self, task_id: int, *, worker: str) -> Task | None:
        """Take over a row without a living worker; None when there is one.

        The row is returned as it is now; unchanged where there is nothing to take over.
        """
        with self._db.write(lock=self._account) as connection:
            row, now = self._get(connection, task_id), self._db.now(connection)
            if row.worker == worker or row.state not in _ADOPTABLE:
                return row
            mine = _update(task_id).where(without_worker(self._account, now))
            if not connection.execute(mine, {"worker": worker}).rowcount:
                return None
            detail = {"from": row.worker}
            append_event(connection, self._account, now, "adopted", worker, detail, task_id=task_id)
            return replace(row, worker=worker)

    def release(self, task_id: int, *, worker: str) -> None:
        """Give up a row: any worker may adopt it at once."""
        with self._db.write(lock=self._account) as connection:
            connection.execute(_update(task_id).where(task.c.worker == worker), {"worker": None})

    def _get(self, connection: sa.Connection, task_id: int) -> Task:
        found = self._read(connection, task.c.id == task_id)
        if not found:
            raise LedgerError("the ledger has no such row of this account", f"task row {task_id}")
        return found[0]

    def _last_made(self, connection: sa.Connection, product_id: str, stage: str) -> Task | None:
        of_product = task_event.c.product_id == product_id, task.c.stage == stage
        reports = self._reports([task], *of_product, task.c.state.in_(_MADE))
        row = connection.execute(reports.order_by(task_event.c.id.desc()).limit(1)).first()
        return None if row is None else task_of(row)

    def _glances(self, query: sa.Select[Any]) -> Iterator[TaskGlance]:
        shared: dict[str, str] = {}  # strings that many rows repeat are in memory once
        nothing: dict[str, str] = {}
        with self._db.read() as connection:
            for row in connection.execute(query.execution_options(yield_per=500)):
                values = list(row)
                for place in _REPEATED:
                    values[place] = shared.setdefault(values[place], values[place])
                values[-1] = values[-1] or nothing
                yield TaskGlance._make(values)

    def _reports(self, columns: Iterable[Any], *which: sa.ColumnElement[bool]) -> sa.Select[Any]:
        """Select from the reports of the pipeline's products, each with its row."""
        query = sa.select(*columns).join_from(task_event, task, _OF_EVENT)
        return query.where(*self._of_pipeline(task_event), task_event.c.what == _REPORTED, *which)


def _update(task_id: int) -> sa.Update:
    return task.update().where(task.c.id == task_id)


def _glance_columns(
    owner: sa.Table,
    inputs: sa.ColumnElement[Any],
    results_of: Collection[str],
    verdicts_of: Collection[str],
) -> list[sa.ColumnElement[Any]]:
    others = {name: owner.c[name] for name in ("pipeline", "product_id")} | {"inputs": inputs}
    for name, stages in (("result", results_of), ("quality", verdicts_of)):
        others[name] = sa.case((task.c.stage.in_(stages), task.c[name]), else_=sa.null())
    return [others.get(name, task.c[name]) for name in TaskGlance._fields]
