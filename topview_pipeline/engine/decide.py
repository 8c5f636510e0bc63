"""Decide about a work item from the rows of its fingerprint. Pure functions.

The engine acts on the decision for one item; the plan asks it for thousands.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Generic, TypeVar

from topview_pipeline.ledger import (
    ASK_OVERDUE_SECONDS,
    ATTEMPTS_BY_ITSELF,
    LIVE,
    Task,
    TaskGlance,
    TaskState,
)

Row = TypeVar("Row", Task, TaskGlance)


_ENDED: Final = (TaskState.STORED, TaskState.FAILED, TaskState.VOID, TaskState.EXPIRED)


class Action(Enum):
    """Next step for a work item."""

    REUSE = "reuse"
    """It is in the store: free."""
    DOWNLOAD = "download"
    """Finished at Topview, or its file in the store is gone: fetch it."""
    WAIT = "wait"
    """A living worker has it: look again soon."""
    POLL = "poll"
    """Pending without a living worker, or our own: adopt it and poll on."""
    ASK = "ask"
    """Overdue, and an hour has passed: query it once."""
    LOST = "lost"
    """Reserved by a worker that died: the answer may be lost, so the row becomes unknown."""
    VOID = "void"
    """Unknown, free, and past its deadline: sending it again costs nothing."""
    HOLD_UNKNOWN = "hold_unknown"
    HOLD_OVERDUE = "hold_overdue"
    HOLD_EXPIRED = "hold_expired"
    HOLD_RETRY = "hold_retry"
    """Failed, and the next attempt is not due."""
    REJECTED = "rejected"
    """Topview refused this request before: it is not sent again."""
    USED_UP = "used_up"
    """Failed as often as is tried without a person asking."""
    SUBMIT = "submit"


@dataclass(frozen=True)
class Decision(Generic[Row]):
    """An action and the row it is about.

    Attributes:
        until: for holds, when to look again (seconds since the epoch).
        attempt: for SUBMIT, the number of the new row, from 1.
    """

    action: Action
    row: Row | None = None
    until: float | None = None
    attempt: int = 1


@dataclass(frozen=True)
class Circumstances:
    """Everything but the rows that a decision depends on.

    Attributes:
        now: seconds since the epoch, by the database's clock.
        worker: id of the deciding worker.
        occasion: see `RunInfo`.
        explicit: a person or schedule asked; the sensor's runs wait until a retry is due.
        submit_seconds: all of a submit's timeouts together; a reserved row that is older is lost.
        is_alive: whether a worker is alive.
        has_files: whether the store has the files of a stored row.
    """

    now: float
    worker: str
    occasion: str
    explicit: bool
    free: bool
    submit_seconds: float
    is_alive: Callable[[str | None], bool]
    has_files: Callable[[int], bool]


def generation_of(
    rows: Sequence[Row],
    product_id: str,
    *,
    pipeline: str,
    force: bool,
    root_run_id: str,
    last_made: int | None = None,
    again: Collection[int] = (),
) -> int:
    """Return the generation of a work item that a run wants.

    Without force it is the newest that is live, else the newest that was tried, else 0. Where
    products share the work, one keeps the generation it has: another's force, or a result that
    Topview forgot, must not make it pay for what comes after. Force takes the generation above the
    highest, once per root run: executing the same run again finds what it made.

    Args:
        rows: all rows of the work, whatever their generation.
        last_made: the number of the row that the product's stage uses.
        again: the generations of which a person asked for another result.
    """
    counted = [row for row in rows if row.state is not TaskState.VOID]
    if not force:
        live = [row for row in counted if row.state in LIVE]
        if len(live) > 1:
            live = [
                row
                for row in live
                if (row.pipeline, row.product_id) == (pipeline, product_id) or row.id == last_made
            ] or live
        generation = max([row.generation for row in live or counted], default=0)
        while generation in again:
            generation += 1
        return generation
    own = [row.generation for row in rows if row.root_run_id == root_run_id]
    if own:
        return max(own)
    return max((row.generation for row in counted), default=-1) + 1


def why_not_forced(rows: Sequence[Row], root_run_id: str) -> tuple[Row, str, str] | None:
    """Return the task for which force would pay twice, what is wrong, and how to fix it."""
    if any(row.root_run_id == root_run_id for row in rows):
        return None
    for row in rows:
        if row.state not in _ENDED:
            what = f"force would pay twice: task row {row.id} of the same work has not ended"
            return row, what, "run again without force, or with force when that task has ended"
    return None


def decide(rows: Sequence[Row], here: Circumstances) -> Decision[Row]:
    """Decide about one work item by all rows of its fingerprint, the oldest first."""
    for row in rows:
        if row.state in LIVE:
            return _decide_live(row, here)
    ended = [row for row in rows if row.state is not TaskState.VOID]
    if not ended:
        return Decision(Action.SUBMIT)
    last = ended[-1]
    failed = [row for row in ended if row.state is TaskState.FAILED]
    if last.state is TaskState.EXPIRED:
        if here.free:
            return Decision(Action.SUBMIT, last, attempt=len(failed) + 1)
        return Decision(Action.HOLD_EXPIRED, last)
    if not last.retryable:
        return Decision(Action.REJECTED, last)
    return _decide_retry(last, failed, here)


def _decide_live(row: Row, here: Circumstances) -> Decision[Row]:
    state = row.state
    if state is TaskState.STORED:
        return Decision(Action.REUSE if here.has_files(row.id) else Action.DOWNLOAD, row)
    if state is TaskState.RESERVED:
        # What this worker sends itself ends in a move, whatever the clock says meanwhile.
        is_old = here.now - row.reserved_at > here.submit_seconds
        is_lost = row.worker != here.worker and (is_old or not here.is_alive(row.worker))
        return Decision(Action.LOST if is_lost else Action.WAIT, row)
    if state is TaskState.UNKNOWN:
        if here.free and here.now >= row.deadline_at:
            return Decision(Action.VOID, row)
        return Decision(Action.HOLD_UNKNOWN, row, until=row.deadline_at if here.free else None)
    if state is TaskState.OVERDUE:
        asked = row.last_query_at or row.reserved_at
        due = asked + ASK_OVERDUE_SECONDS
        # A question in the future was asked before the clock was set back.
        if here.now >= due or asked > here.now + ASK_OVERDUE_SECONDS:
            return Decision(Action.ASK, row)
        return Decision(Action.HOLD_OVERDUE, row, until=due)
    if row.worker != here.worker and here.is_alive(row.worker):
        return Decision(Action.WAIT, row)
    return Decision(Action.DOWNLOAD if state is TaskState.SUCCEEDED else Action.POLL, row)


def _decide_retry(last: Row, failed: Sequence[Row], here: Circumstances) -> Decision[Row]:
    """At most three attempts by themselves, and one more for each time that somebody asked."""
    again = Decision(Action.SUBMIT, last, attempt=len(failed) + 1)
    if here.explicit and all(here.occasion not in (row.run_id, row.root_run_id) for row in failed):
        return again
    if len(failed) >= ATTEMPTS_BY_ITSELF:
        return Decision(Action.USED_UP, last)
    due = last.not_before or 0.0
    if due - here.now > 2 * (due - last.reserved_at):
        due = here.now  # the clock was set back since; twice, as it may be another machine's
    return again if here.now >= due else Decision(Action.HOLD_RETRY, last, until=due)
