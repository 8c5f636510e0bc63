"""The rows of paid work as they are read, and what is asked and answered when one is reserved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from topview_pipeline.ledger.states import HeldReason, TaskState


@dataclass(frozen=True)
class Task:
    """A row of `task`, as it was when it was read."""

    id: int
    stage: str
    product_id: str
    work: str
    generation: int
    fingerprint: str
    attempt: int
    state: TaskState
    run_id: str
    root_run_id: str
    owner: str | None
    topview_task_id: str | None
    request: Mapping[str, Any] | None
    inputs: Mapping[str, str]
    mode: str | None
    seconds: float | None
    estimate: float | None
    cost_credits: float | None
    queued_at: float
    reserved_at: float
    pending_at: float | None
    last_query_at: float | None
    succeeded_at: float | None
    stored_at: float | None
    closed_at: float | None
    deadline_at: float
    materialized_at: float | None
    retryable: bool | None
    not_before: float | None
    error_code: str | None
    error_message: str | None
    result: Mapping[str, Any] | None
    artifacts: Sequence[Mapping[str, Any]] | None
    quality: Mapping[str, Any] | None = None

    @classmethod
    def from_row(cls, row: Any) -> Task:
        values = {name: getattr(row, name) for name in cls.__dataclass_fields__}
        values["state"] = TaskState(row.state)
        return cls(**values)


@dataclass(frozen=True)
class Reservation:
    """What a producer wants to submit. Times in seconds, credits in Topview credits.

    Attributes:
        seconds: of speech that it is sent with, for what is paid by the second.
        estimate: the most it may cost; None while nothing says so, 0 for what is free.
        estimate_source: in words, where the estimate comes from.
    """

    order_id: int
    stage: str
    product_id: str
    work: str
    generation: int
    fingerprint: str
    attempt: int
    run_id: str
    root_run_id: str
    owner: str
    request: Mapping[str, Any]
    inputs: Mapping[str, str]
    mode: str | None
    seconds: float | None
    estimate: float | None
    estimate_source: str
    queued_at: float
    deadline_seconds: float


@dataclass(frozen=True)
class Reserved:
    """The row is committed: the POST may be sent, by this producer, once."""

    task: Task


@dataclass(frozen=True)
class AlreadyLive:
    """Somebody has a live row of this fingerprint: decide again."""

    task_id: int


@dataclass(frozen=True)
class NoSlot:
    """All slots that this run may have are used.

    Attributes:
        ours: how many rows of this ledger hold one.
        is_contended: another run waits for a slot, too, and may leave this one the next.
    """

    ours: int
    is_contended: bool = False


@dataclass(frozen=True)
class OverLimit:
    """A credit limit forbids it now.

    Attributes:
        reason: BUDGET for the account's day, RUN_LIMIT for the run that ordered it.
        estimate: what it would have cost.
        until: when there is room again; None: only for a new run, or with another limit.
    """

    reason: HeldReason
    detail: str
    estimate: float | None
    until: float | None


@dataclass(frozen=True)
class Paused:
    """The account's submits are paused."""

    code: str
    message: str
    probe_at: float


@dataclass(frozen=True)
class OrderClosed:
    """The order was withdrawn, or another run ended it; `failure` says why, if it failed."""

    failure: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class OrderChanged:
    """The order was forced since its generation was read: fix the generation and begin again."""

    generation: int | None


ReserveAnswer = Reserved | AlreadyLive | NoSlot | OverLimit | Paused | OrderClosed
