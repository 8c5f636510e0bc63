"""What to do about a piece of work, given all rows of its fingerprint. One pure function.

Nothing here acts: `flow.py` does what `decide` says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from topview_pipeline.ledger import ASK_STALLED_SECONDS, Task, TaskState, wait_until
from topview_pipeline.producer.abandoned import is_abandoned

ATTEMPTS_BY_ITSELF: Final = 3


class Action(Enum):
    """What can be done about a piece of work."""

    REUSE = "reuse"
    """It is in the store: free."""
    DOWNLOAD = "download"
    """Finished at Topview: fetch it."""
    WATCH = "watch"
    """A living producer works on it: wait for its outcome."""
    FOLLOW = "follow"
    """Pending and nobody watches (or we do): go on polling that task."""
    ASK = "ask"
    """Stalled, and an hour has gone: query it once."""
    HOLD_STALLED = "hold_stalled"
    TO_UNKNOWN = "to_unknown"
    """Its owner died between reserve and answer: it may be paid."""
    HOLD_UNKNOWN = "hold_unknown"
    RELEASE = "release"
    """An unknown row of the free kind past its deadline."""
    HOLD_EXPIRED = "hold_expired"
    HOLD_DEAD_IMAGE = "hold_dead_image"
    """Made anew by this very run, and Topview has forgotten it again."""
    HOLD_RETRY = "hold_retry"
    """Failed, and the next attempt is not due."""
    REFUSED = "refused"
    """Rejected before: the same request is not sent again."""
    USED_UP = "used_up"
    """Failed as often as is tried by itself."""
    SUBMIT = "submit"


@dataclass(frozen=True)
class Decision:
    """What to do, about which row.

    Attributes:
        task: the row it is about, if there is one.
        until: for holds, when to look again (seconds since the epoch).
        attempt: for SUBMIT, the number of the new row.
    """

    action: Action
    task: Task | None = None
    until: float | None = None
    attempt: int = 1


@dataclass(frozen=True)
class Circumstances:
    """What the decision depends on beside the rows.

    Attributes:
        now: seconds since the epoch.
        me: id of the deciding producer.
        run_id: of the run it works for.
        explicit: a person or schedule asked; the sensor's runs wait until a retry is due.
        free: the stage costs nothing.
        submit_seconds: all of a submit's timeouts together.
        is_alive: whether the producer of this id works.
        is_stored: whether a stored row's files are all there.
    """

    now: float
    me: str
    run_id: str
    explicit: bool
    free: bool
    submit_seconds: float
    is_alive: Callable[[str | None], bool]
    is_stored: Callable[[Task], bool]


def decide(rows: Sequence[Task], here: Circumstances) -> Decision:
    """Decide for one product and stage.

    Args:
        rows: all task rows of the fingerprint, the oldest first. At most one is live: the
            ledger's partial unique index holds that.
        here: the circumstances.
    """
    live = next((row for row in rows if row.state in _BY_STATE), None)
    if live is not None:
        return _BY_STATE[live.state](live, here)
    dead = [number for number, row in enumerate(rows) if row.state is TaskState.SUPERSEDED]
    if any(rows[number].run_id == here.run_id for number in dead[1:]):
        return Decision(Action.HOLD_DEAD_IMAGE, rows[dead[-1]])
    if dead:  # what failed before it was made does not count against making it anew
        rows = rows[dead[-1] + 1 :]
    ended = [row for row in rows if row.state in (TaskState.FAILED, TaskState.EXPIRED)]
    if not ended:
        return Decision(Action.SUBMIT)
    last = ended[-1]
    failed = [row for row in ended if row.state is TaskState.FAILED]
    if last.state is TaskState.EXPIRED:
        if here.free:
            return Decision(Action.SUBMIT, attempt=len(failed) + 1)
        return Decision(Action.HOLD_EXPIRED, last)
    if not last.retryable:
        return Decision(Action.REFUSED, last)
    return _after_failure(last, failed, here)


def _after_failure(last: Task, failed: Sequence[Task], here: Circumstances) -> Decision:
    """At most three rows by itself per fingerprint, one more for each explicit run."""
    first_of_run = here.explicit and all(row.run_id != here.run_id for row in failed)
    again = Decision(Action.SUBMIT, last, attempt=len(failed) + 1)
    if first_of_run:
        return again
    if len(failed) >= ATTEMPTS_BY_ITSELF:
        return Decision(Action.USED_UP, last)
    if last.not_before is None:
        return again
    due = wait_until(last.not_before, since=last.reserved_at, now=here.now)
    return again if here.now >= due else Decision(Action.HOLD_RETRY, last, until=due)


def _stored(row: Task, here: Circumstances) -> Decision:
    return Decision(Action.REUSE if here.is_stored(row) else Action.DOWNLOAD, row)


def _watched(row: Task, here: Circumstances, otherwise: Action) -> Decision:
    if row.owner != here.me and here.is_alive(row.owner):
        return Decision(Action.WATCH, row)
    return Decision(otherwise, row)


def _succeeded(row: Task, here: Circumstances) -> Decision:
    return _watched(row, here, Action.DOWNLOAD)


def _pending(row: Task, here: Circumstances) -> Decision:
    return _watched(row, here, Action.FOLLOW)


def _reserved(row: Task, here: Circumstances) -> Decision:
    is_lost = is_abandoned(
        row, now=here.now, submit_seconds=here.submit_seconds, is_alive=here.is_alive
    )
    return Decision(Action.TO_UNKNOWN if is_lost else Action.WATCH, row)


def _unknown(row: Task, here: Circumstances) -> Decision:
    if here.free and here.now >= row.deadline_at:
        return Decision(Action.RELEASE, row)
    return Decision(Action.HOLD_UNKNOWN, row, until=row.deadline_at if here.free else None)


def _stalled(row: Task, here: Circumstances) -> Decision:
    asked = row.last_query_at or row.reserved_at
    due = asked + ASK_STALLED_SECONDS
    # Asked long after now: the clock was wrong then, and was set back since.
    if here.now >= due or asked > here.now + ASK_STALLED_SECONDS:
        return Decision(Action.ASK, row)
    return Decision(Action.HOLD_STALLED, row, until=due)


_BY_STATE: Final[dict[TaskState, Callable[[Task, Circumstances], Decision]]] = {
    TaskState.STORED: _stored,
    TaskState.SUCCEEDED: _succeeded,
    TaskState.PENDING: _pending,
    TaskState.RESERVED: _reserved,
    TaskState.UNKNOWN: _unknown,
    TaskState.STALLED: _stalled,
}
