"""Slots between runs: while two want more than there are, each gets its share.

A producer that is refused a slot is *waiting*. The next free slot is for the waiting producer that
holds the fewest, and among equals for the one that has used the least slot time since both are at
work. So two runs that could each fill all slots hold half of them each, and one slot goes to and
fro by time, not by tasks: a run of long videos does not push a run of short cut-outs aside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from topview_pipeline.ledger.schema import producer, task
from topview_pipeline.ledger.states import TaskState

WAITING_SECONDS: Final = 5.0
"""So long a refusal counts: a producer that still waits asks again much earlier, and one that was
killed keeps its share free no longer."""
_NOTE_SECONDS: Final = 1.0
"""How often a refusal is written down: looking again costs no write to the disk."""

_HOLDS: Final = (TaskState.RESERVED.value, TaskState.PENDING.value)


@dataclass(frozen=True)
class Turn:
    """Whose turn it is to take a free slot.

    Attributes:
        is_contended: another run waits for a slot, too.
        is_anothers: the next free slot is for such a run.
    """

    is_contended: bool
    is_anothers: bool


def note_waiting(connection: sa.Connection, owner: str, *, slots: int, now: float) -> None:
    """A producer was refused a slot; `slots` is what it takes the account to have."""
    known = sa.or_(
        producer.c.waiting_at.is_(None), ~producer.c.waiting_at.between(now - _NOTE_SECONDS, now)
    )
    connection.execute(
        producer.update()
        .where(producer.c.id == owner, known)
        .values(waiting_at=now, waiting_slots=slots)
    )


def note_served(connection: sa.Connection, owner: str) -> None:
    """Nothing of a producer waits for a slot any more."""
    connection.execute(
        producer.update()
        .where(producer.c.id == owner, producer.c.waiting_at.is_not(None))
        .values(waiting_at=None)
    )


def turn_of(connection: sa.Connection, account: str, owner: str, *, taken: int, now: float) -> Turn:
    """Whether a producer may take a free slot, as far as other runs are concerned.

    Args:
        taken: slots of the account that are not free.
    """
    me = connection.execute(
        sa.select(producer.c.run_id, producer.c.started_at).where(producer.c.id == owner)
    ).first()
    if me is None:
        return Turn(is_contended=False, is_anothers=False)
    waiting: Sequence[Any] = connection.execute(
        sa.select(producer.c.run_id, producer.c.started_at, producer.c.waiting_slots).where(
            producer.c.account == account,
            producer.c.run_id != me.run_id,
            producer.c.ended_at.is_(None),
            producer.c.waiting_at.between(now - WAITING_SECONDS, now),
        )
    ).all()
    # A producer configured with fewer slots could not take a free one anyway.
    others = [other for other in waiting if other.waiting_slots > taken]
    if not others:
        return Turn(is_contended=bool(waiting), is_anothers=False)
    held = _held(connection, account)
    since = max(run.started_at for run in (me, *others))

    def used(run_id: str) -> float:
        return _used(connection, account, run_id, since, now)

    first = first_of({run.run_id: held.get(run.run_id, 0) for run in (me, *others)}, used)
    return Turn(is_contended=True, is_anothers=first != me.run_id)


def first_of(held: Mapping[str, int], used: Callable[[str], float]) -> str:
    """The run that the next free slot is for.

    One order for all of them: were each pair compared by itself, three could wait for each other.

    Args:
        held: slots, by each run that wants one more.
        used: slot time in seconds of a run since all of them are at work.
    """
    fewest = min(held.values())
    equals = [run_id for run_id, slots in held.items() if slots == fewest]
    if len(equals) == 1:
        return equals[0]
    return min(equals, key=lambda run_id: (used(run_id), run_id))


def _held(connection: sa.Connection, account: str) -> dict[str, int]:
    """Slots by run."""
    query = (
        sa.select(task.c.run_id, sa.func.count())
        .where(task.c.account == account, task.c.state.in_(_HOLDS))
        .group_by(task.c.run_id)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def _used(connection: sa.Connection, account: str, run_id: str, since: float, now: float) -> float:
    """Slot time in seconds of a run's tasks since then."""
    ended = sa.case(
        (task.c.state.in_(_HOLDS), now),
        else_=sa.func.coalesce(task.c.succeeded_at, task.c.closed_at, task.c.deadline_at),
    )
    rows = connection.execute(
        sa.select(task.c.reserved_at, ended.label("ended_at")).where(
            task.c.account == account, task.c.run_id == run_id, ended > since
        )
    )
    return float(sum(max(min(row.ended_at, now) - max(row.reserved_at, since), 0) for row in rows))
