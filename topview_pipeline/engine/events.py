"""Events of a run: what the engine reports while it works. `defs` turns them into Dagster events.

Also here: the exceptions that end the way of a product, each reported as one of these events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from topview_pipeline.ledger import Task


class HoldReason(str, Enum):
    """Why a product waits. Nothing is lost, and nothing more is sent for it in this run."""

    ACCOUNT = "account"
    """Topview refuses the account: its key, its uid or its credits."""
    DAY_LIMIT = "day_limit"
    """The account's credit limit of the UTC day."""
    RUN_LIMIT = "run_limit"
    """The credit limit of the run."""
    RETRY = "retry"
    """The last attempt failed; the next one is due later than this run waits."""
    UNKNOWN = "unknown"
    """The answer to a submit was lost: it may be paid, and is never sent again."""
    OVERDUE = "overdue"
    """Topview has not finished the task within its kind's deadline."""
    EXPIRED = "expired"
    """Finished at Topview and out of reach: only force makes it again, and pays again."""
    DOWNLOAD = "download"
    """Finished at Topview; the download or the store has trouble."""
    REVIEW = "review"
    """A result failed its check, or waits for a person's approval, before more is paid for it."""
    CANARY = "canary"
    """Others of its canary group go first."""
    WAITING = "waiting"
    """The run's wait time is over: for a slot, a task or an answer."""
    UPSTREAM = "upstream"
    """An earlier stage of the same product waits."""


@dataclass(frozen=True)
class Observed:
    """The product's own inputs were read; `versions` are data versions by source asset."""

    product_id: str
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Made:
    """A product's stage is in the store.

    Attributes:
        product_id: whose it is; a task shared by two products is reported for each.
        inputs: data version by asset key of what it was made from.
        wanted: this run was asked for it; False for an orphan that was collected.
    """

    product_id: str
    stage: str
    task: Task
    inputs: Mapping[str, str]
    wanted: bool = True


@dataclass(frozen=True)
class Failed:
    """The decision about a product's stage is final for this run, perhaps for a row."""

    product_id: str
    stage: str
    what: str
    fix: str
    task: Task | None = None


@dataclass(frozen=True)
class Held:
    """A product's stage waits.

    Attributes:
        until: when to look again, seconds since the epoch; None: when a person or a new run acts.
    """

    product_id: str
    stage: str
    reason: HoldReason
    what: str
    fix: str
    until: float | None = None
    task: Task | None = None


@dataclass(frozen=True)
class Warned:
    """Something is doubtful, and the run goes on."""

    what: str


Event = Observed | Made | Failed | Held | Warned

FIXES: Mapping[HoldReason, str] = {
    HoldReason.ACCOUNT: "fix the account as the message says, then run again",
    HoldReason.DAY_LIMIT: "nothing: run again after midnight UTC, or raise TOPVIEW_CREDIT_LIMIT",
    HoldReason.RUN_LIMIT: "run again with a higher credit limit, or with none",
    HoldReason.RETRY: "nothing: it is retried automatically, or at once by another run",
    HoldReason.UNKNOWN: "compare with Topview's task list (topview-pipeline tasks list --state "
    "unknown), then tasks adopt or tasks void; it is never resent automatically",
    HoldReason.DOWNLOAD: "check the store's place, space and permissions; the download is retried "
    "automatically",
    HoldReason.REVIEW: "see topview-pipeline review",
    HoldReason.CANARY: "run again when the first products with its template and mode have passed",
    HoldReason.WAITING: "run it again; the pending_task_sensor collects what is at Topview already",
    HoldReason.UPSTREAM: "see the stage before it",
}
"""Half a sentence on what to do about a hold. Of one that a row explains `trouble_of` says it."""


class ProductHeldError(Exception):
    """Ends a product's way in this run as `Held`."""

    def __init__(
        self,
        reason: HoldReason,
        what: str,
        *,
        until: float | None = None,
        task: Task | None = None,
        fix: str | None = None,
    ) -> None:
        super().__init__(what)
        self.reason, self.what, self.until, self.task = reason, what, until, task
        self.fix = FIXES[reason] if fix is None else fix


class ProductFailedError(Exception):
    """Ends a product's way in this run as `Failed`."""

    def __init__(self, what: str, fix: str, task: Task | None = None) -> None:
        super().__init__(what)
        self.what, self.fix, self.task = what, fix, task


class StoppedError(Exception):
    """Ends a product's way without a report: the run is stopping, or the work is not wanted."""


class UpstreamDeadError(Exception):
    """Topview no longer knows an id of the upstream stage's task."""
