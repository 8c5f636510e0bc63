"""New rows: the checks and the insert that make "at most one" and the slots hold everywhere.

All of it runs inside one transaction of `Tasks`, which holds the account's lock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa

from topview_pipeline.ledger.budget import limit_reached, spent_by_run, spent_today
from topview_pipeline.ledger.database import append_event
from topview_pipeline.ledger.reviews import reviews_of
from topview_pipeline.ledger.schema import task, worker
from topview_pipeline.ledger.task_row import (
    LIVE,
    NO_REVIEW,
    AlreadyLive,
    Decided,
    NoSlot,
    Reservation,
    ReserveAnswer,
    Reserved,
    Task,
    TaskState,
)
from topview_pipeline.ledger.workers import living

_MAY_HOLD: Final = (TaskState.RESERVED, TaskState.PENDING, TaskState.UNKNOWN)
"""Of a slot; an unknown row does until its deadline."""
_LIVE: Final = tuple(sorted(LIVE))
_IN_LINE_SECONDS: Final = 5.0
"""A worker short of slots asks every second; one that has not asked for so long wants none."""


def insert_reserved(
    connection: sa.Connection,
    account: str,
    pipeline: str,
    wanted: Reservation,
    slots: int,
    credits_a_day: float | None,
    now: float,
) -> ReserveAnswer:
    """Insert the row that must exist before the POST, if no live row, limit or slot forbids it."""
    live = _live_id(connection, account, wanted.fingerprint)
    live = live or _newer_id(connection, account, task.c.work == wanted.work, wanted.seen)
    of_group = (task.c.canary_group == wanted.canary_group) & (task.c.pipeline == pipeline)
    of_group &= task.c.run_id != wanted.run_id  # its own run counts them as it begins them
    live = live or _newer_id(connection, account, of_group, wanted.seen_of_group)
    if live is not None:
        return AlreadyLive(live)
    if wanted.made_of is not None:
        fingerprint, review = wanted.made_of
        of = connection, account, pipeline, wanted.product_id
        if reviews_of(*of, {fingerprint}).get(fingerprint, NO_REVIEW) != review:
            return Decided()
    over = limit_reached(
        wanted,
        credits_a_day,
        now,
        today=lambda: spent_today(connection, account, now).total,
        by_run=lambda: spent_by_run(connection, account, wanted.root_run_id),
    )
    if over is not None:
        return over
    taken = slots_taken(connection, account, now)
    if slots - taken <= _ahead_in_line(connection, account, wanted.worker, now):
        connection.execute(_of_line(account, wanted.worker, now).values(short_at=now))
        return NoSlot(taken)
    own = worker.update().where(worker.c.id == wanted.worker)
    connection.execute(own.values(served_at=now, short_at=None))
    values = {**vars(wanted), "pipeline": pipeline, "state": TaskState.RESERVED}
    values["reserved_at"] = now
    values["deadline_at"] = now + values.pop("deadline_seconds")
    source = values.pop("estimate_source")
    del values["seen"], values["seen_of_group"], values["made_of"]
    row = _insert(connection, account, values)
    detail = {"run": wanted.run_id, "estimate": wanted.estimate, "estimate_source": source}
    append_event(connection, account, now, "reserved", wanted.worker, detail, task_id=row.id)
    return Reserved(row)


def insert_stored(
    connection: sa.Connection, account: str, record: Mapping[str, Any], now: float
) -> int:
    """Insert the row of a result that the store has; its number, or that of the live row."""
    known = {name: value for name, value in record.items() if value is not None}
    live = _live_id(connection, account, known["fingerprint"])
    if live is not None:
        return live
    began = known["reserved_at"]
    values = {"state": TaskState.STORED, "queued_at": began, "deadline_at": began}
    values |= {"stored_at": now, "booked_at": known.get("succeeded_at", began)}
    row = _insert(connection, account, values | known)
    append_event(connection, account, now, "healed", "store", task_id=row.id)
    return row.id


def _live_id(connection: sa.Connection, account: str, fingerprint: str) -> int | None:
    mine = task.c.account == account, task.c.fingerprint == fingerprint
    return connection.scalar(sa.select(task.c.id).where(*mine, task.c.state.in_(_LIVE)))


def _newer_id(
    connection: sa.Connection, account: str, which: sa.ColumnElement[bool], seen: int | None
) -> int | None:
    """A row that came while the product waited for its slot: a forced one, or another's canary."""
    if seen is None:
        return None
    newer = task.c.account == account, which, task.c.id > seen
    query = sa.select(task.c.id).where(*newer, task.c.state != TaskState.VOID)
    return connection.scalar(query.limit(1))


def slots_taken(connection: sa.Connection, account: str, now: float) -> int:
    """Rows that hold a slot: reserved, pending, and unknown until their deadline."""
    # The states come first and in one list, so that the index by state answers: with an OR of
    # states SQLite reads every row of the account, and each reservation asks.
    query = sa.select(sa.func.count()).where(
        task.c.account == account,
        task.c.state.in_(_MAY_HOLD),
        sa.or_(task.c.state != TaskState.UNKNOWN, task.c.deadline_at > now),
    )
    return connection.execute(query).scalar_one()


def _ahead_in_line(
    connection: sa.Connection, account: str, worker_id: str | None, now: float
) -> int:
    """The other workers that are short of slots and were served longer ago.

    So workers take turns, and a run of two products does not wait for one of thousands.
    """
    mine = sa.select(worker.c.served_at).where(worker.c.id == worker_id).scalar_subquery()
    query = sa.select(sa.func.count()).where(
        worker.c.id.in_(living(account, now)),
        worker.c.id != worker_id,
        worker.c.short_at.between(now - _IN_LINE_SECONDS, now + _IN_LINE_SECONDS),
        worker.c.served_at < mine,
    )
    return connection.execute(query).scalar_one()


def _of_line(account: str, worker_id: str | None, now: float) -> sa.Update:
    """An update of the worker, unless it is alone: then nobody has to know that it waits."""
    others = living(account, now).where(worker.c.id != worker_id)
    other = worker.alias()
    is_one = sa.exists().where(other.c.id.in_(others))
    return worker.update().where(worker.c.id == worker_id, is_one)


def _insert(connection: sa.Connection, account: str, values: Mapping[str, Any]) -> Task:
    new = task.insert().values(account=account, **values).returning(task.c.id)
    return Task(id=connection.execute(new).scalar_one(), **values)
