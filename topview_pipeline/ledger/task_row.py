"""A row of `task` as data: its states, the allowed moves, and what a reservation asks and gets.

Nothing here touches the database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Literal, NamedTuple

ReviewDecision = Literal["approved", "rejected", "again"]


class TaskState(str, Enum):
    """State of one attempt at a work item. A retry is a new row."""

    __hash__ = str.__hash__  # a plan looks up tens of thousands, and Enum's own is slow

    RESERVED = "reserved"
    """Committed as the last act before the POST."""
    PENDING = "pending"
    """Topview gave a task id."""
    SUCCEEDED = "succeeded"
    """Done at Topview and not (or no longer) in the store."""
    STORED = "stored"
    """Its files are verified and written."""
    FAILED = "failed"
    """Final for this attempt; `retryable` and `not_before` say whether there may be another."""
    UNKNOWN = "unknown"
    """The POST's answer was lost: it may be paid. Never sent again."""
    OVERDUE = "overdue"
    """Past its kind's deadline at Topview; asked hourly."""
    VOID = "void"
    """Proven not created, or not charged. Counts as no attempt."""
    EXPIRED = "expired"
    """Finished at Topview and out of reach."""


LIVE: Final = frozenset(TaskState) - {TaskState.FAILED, TaskState.VOID, TaskState.EXPIRED}
"""At most one row of these per (account, fingerprint): a partial unique index enforces it."""

MOVES: Final[Mapping[TaskState, frozenset[TaskState]]] = {
    TaskState.RESERVED: frozenset(
        {TaskState.PENDING, TaskState.UNKNOWN, TaskState.FAILED, TaskState.VOID}
    ),
    TaskState.PENDING: frozenset({TaskState.SUCCEEDED, TaskState.FAILED, TaskState.OVERDUE}),
    TaskState.SUCCEEDED: frozenset({TaskState.STORED, TaskState.EXPIRED}),
    TaskState.STORED: frozenset({TaskState.SUCCEEDED}),
    TaskState.FAILED: frozenset(),
    TaskState.UNKNOWN: frozenset({TaskState.PENDING, TaskState.VOID}),
    TaskState.OVERDUE: frozenset(
        {TaskState.SUCCEEDED, TaskState.FAILED, TaskState.EXPIRED, TaskState.VOID}
    ),
    TaskState.VOID: frozenset(),
    TaskState.EXPIRED: frozenset(),
}
"""Where each state may go; every other move is refused."""


@dataclass(frozen=True)
class Task:
    """A row as it was when it was read. Times in seconds since the epoch, by the ledger's clock.

    Attributes:
        pipeline: whose product asked first; another pipeline's may use the row, too.
        work: hash of everything that shapes the output; `fingerprint` is that with the generation.
        attempt: from 1, among the rows of the fingerprint.
        worker: who works on the row now; None when nobody does.
        canary_group: name of what it shares with other products' tasks; see `engine.gate`.
        seconds: of speech that it was sent with, for what is paid by the second.
        credit_limit: the credits that its root run may spend; None without a limit.
        cost_credits: what Topview booked; None while (or when) Topview named no price.
        reported_at: when Dagster first had an event of this row, of its own pipeline.
        retryable: of a failed row: there may be another attempt, from `not_before` on.
        inputs: data versions of what it was made from.
        quality: what the checks of its files found; None until they ran.
    """

    id: int
    pipeline: str
    stage: str
    product_id: str
    work: str
    generation: int
    fingerprint: str
    attempt: int
    state: TaskState
    run_id: str
    root_run_id: str
    queued_at: float
    reserved_at: float
    deadline_at: float
    worker: str | None = None
    topview_task_id: str | None = None
    mode: str | None = None
    canary_group: str | None = None
    seconds: float | None = None
    credit_limit: float | None = None
    estimate: float | None = None
    cost_credits: float | None = None
    booked_at: float | None = None
    pending_at: float | None = None
    last_query_at: float | None = None
    succeeded_at: float | None = None
    stored_at: float | None = None
    closed_at: float | None = None
    reported_at: float | None = None
    retryable: bool | None = None
    not_before: float | None = None
    error_code: str | None = None
    error_message: str | None = None
    request: Mapping[str, Any] | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    result: Mapping[str, Any] | None = None
    artifacts: Sequence[Mapping[str, Any]] | None = None
    quality: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Review:
    """A person's word on one result: the preferred image of several, from 1, and the decision.

    approved and rejected are the gate's; again asks for the next generation.
    """

    image: int | None = None
    decision: ReviewDecision | None = None


NO_REVIEW: Final = Review()


class ToDecide(NamedTuple):
    """The rows by which a work item is decided.

    Attributes:
        rows: all rows of the work, the oldest first.
        review: the decision about the product's result that goes in.
        again: the generations of which a person asked for another result.
        last_made: number of the row that the product's stage uses, where more than one is live.
    """

    rows: Sequence[Task]
    review: Review = NO_REVIEW
    again: frozenset[int] = frozenset()
    last_made: int | None = None


class Tried(NamedTuple):
    """A task with a canary group, by which others wait for it.

    Attributes:
        is_reported: Dagster has an event of it.
        is_current: its product is in the catalogue, and has no newer one of the stage.
    """

    id: int
    canary_group: str
    product_id: str
    fingerprint: str
    state: TaskState
    quality: Mapping[str, Any] | None
    is_reported: bool
    is_current: bool = True


class TaskGlance(NamedTuple):
    """The columns of a row that a decision needs, for plans over tens of thousands of rows.

    Attributes:
        pipeline, product_id: that paid for it; in `Tasks.last_made_all` those that use it.
        result, quality: of the stages for which they were asked; None elsewhere.
        inputs: only in `Tasks.last_made_all`; empty elsewhere.
    """

    id: int
    pipeline: str
    stage: str
    product_id: str
    work: str
    generation: int
    fingerprint: str
    state: TaskState
    retryable: bool | None
    run_id: str
    root_run_id: str
    worker: str | None
    not_before: float | None
    reserved_at: float
    deadline_at: float
    last_query_at: float | None
    result: Mapping[str, Any] | None
    quality: Mapping[str, Any] | None
    inputs: Mapping[str, str]


@dataclass(frozen=True)
class Priced:
    """A task that is to be submitted, as far as the limits go by it; see `Reservation`."""

    stage: str
    mode: str | None
    root_run_id: str
    credit_limit: float | None
    estimate: float | None = None
    estimate_source: str = ""


@dataclass(frozen=True, kw_only=True)
class Reservation(Priced):
    """The task that a worker wants to submit; what is not explained here is as in `Task`.

    Attributes:
        estimate: the most credits it may cost; None while nothing says so, 0 for what is free.
        queued_at: when it began to wait for a slot.
        deadline_seconds: the longest that Topview may take for it.
        seen: the newest row of the work that the decision to submit knew; 0 without one.
        seen_of_group: likewise of its canary group; None: others of it do not matter.
        made_of: fingerprint of the result that goes in, and a person's decision about that when the
            request was made.
    """

    product_id: str
    work: str
    generation: int
    fingerprint: str
    attempt: int
    run_id: str
    worker: str
    request: Mapping[str, Any]
    inputs: Mapping[str, str]
    seconds: float | None
    queued_at: float
    deadline_seconds: float
    seen: int | None = None
    canary_group: str | None = None
    seen_of_group: int | None = None
    made_of: tuple[str, Review] | None = None


@dataclass(frozen=True)
class Reserved:
    """The row is committed: the POST may be sent, by this worker, once."""

    task: Task


@dataclass(frozen=True)
class AlreadyLive:
    """There is a live row of this fingerprint, or a newer one of its work or canary group."""

    task_id: int


@dataclass(frozen=True)
class Decided:
    """A person decided about the result that it would be made of: decide again."""


@dataclass(frozen=True)
class NoSlot:
    """All of the account's slots are taken; `taken` says how many."""

    taken: int


@dataclass(frozen=True)
class OverLimit:
    """A credit limit forbids it now: the account's for a UTC day, or the root run's.

    Attributes:
        detail: the numbers, in words.
        until: when there may be room again; None: only for a new run, or with another limit.
    """

    of: Literal["day", "run"]
    detail: str
    until: float | None
    fix: str | None = None


ReserveAnswer = Reserved | AlreadyLive | Decided | NoSlot | OverLimit
