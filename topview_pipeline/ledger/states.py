"""The words of the ledger: what a task or an order can be, and which moves are allowed.

The tables are in `schema.py`; the moves themselves are made in `tasks.py` and `orders.py`.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class TaskState(str, Enum):
    """Where one paid piece of work stands. A row is one attempt; a retry is a new row."""

    RESERVED = "reserved"
    """Committed as the last act before the POST."""
    PENDING = "pending"
    """Topview gave a task id."""
    SUCCEEDED = "succeeded"
    """Done at Topview and not yet in the store."""
    STORED = "stored"
    """Its artifacts are verified and written."""
    FAILED = "failed"
    """Final for this row; `retryable` and `not_before` say whether there may be another."""
    UNKNOWN = "unknown"
    """The POST's answer was lost: it may be paid. Never sent again."""
    STALLED = "stalled"
    """Past its kind's deadline at Topview; asked hourly."""
    RELEASED = "released"
    """Proven not created, or not charged. Counts as no attempt."""
    EXPIRED = "expired"
    """Finished at Topview and out of reach."""
    SUPERSEDED = "superseded"
    """Its provider ids died and it was made anew."""


ASK_STALLED_SECONDS: Final = 3600.0
"""How often Topview is asked about a stalled task."""

LIVE: Final = frozenset(
    {
        TaskState.RESERVED,
        TaskState.PENDING,
        TaskState.SUCCEEDED,
        TaskState.STORED,
        TaskState.UNKNOWN,
        TaskState.STALLED,
    }
)
"""At most one row of these per (account, fingerprint): a partial unique index holds it."""

MOVES: Final[dict[TaskState, frozenset[TaskState]]] = {
    TaskState.RESERVED: frozenset(
        {TaskState.PENDING, TaskState.UNKNOWN, TaskState.FAILED, TaskState.RELEASED}
    ),
    TaskState.PENDING: frozenset({TaskState.SUCCEEDED, TaskState.FAILED, TaskState.STALLED}),
    TaskState.SUCCEEDED: frozenset({TaskState.STORED, TaskState.EXPIRED}),
    TaskState.STORED: frozenset({TaskState.SUCCEEDED, TaskState.SUPERSEDED}),
    TaskState.FAILED: frozenset(),
    TaskState.UNKNOWN: frozenset({TaskState.PENDING, TaskState.RELEASED}),
    TaskState.STALLED: frozenset(
        {TaskState.SUCCEEDED, TaskState.FAILED, TaskState.EXPIRED, TaskState.RELEASED}
    ),
    TaskState.RELEASED: frozenset(),
    TaskState.EXPIRED: frozenset(),
    TaskState.SUPERSEDED: frozenset(),
}
"""Where each state may go; every other move is refused."""


class OrderState(str, Enum):
    """Whether something is still wanted for (account, product, stage)."""

    OPEN = "open"
    DONE = "done"
    """Dagster has stored the materialization."""
    FAILED = "failed"
    """The decision is final: rejected, attempts used up, or a precondition."""
    WITHDRAWN = "withdrawn"
    """No run asks for it any more."""


class HeldReason(str, Enum):
    """Why an open order waits for something that is not its own task's progress."""

    PAUSE = "pause"
    """The account's credentials or credits: looked at again at the next probe."""
    RETRY = "retry"
    """The last attempt failed and may be repeated at `held_until`."""
    UNKNOWN = "unknown"
    """A lost answer: only Topview's record or a person can tell."""
    STALLED = "stalled"
    """Topview has not finished it within the kind's deadline."""
    EXPIRED = "expired"
    """Paid, finished and no longer to be had: only force makes it anew."""
    DEAD_IMAGE = "dead_image"
    """Topview forgot the scene's image id: replacedImages must be made anew."""
    CHOICE = "choice"
    """The image was chosen of a scene that was made anew since: it is to be chosen again."""
    DOWNLOAD = "download"
    """Finished at Topview; the download or the store has trouble."""
    UPSTREAM = "upstream"
    """An earlier stage of the same product is held."""
    BUDGET = "budget"
    """The account's credit limit of the day."""
    RUN_LIMIT = "run_limit"
    """The credit limit of the run that ordered it: only a new explicit run goes on."""
    LOST_ROW = "lost_row"
    """The store has its result, and the ledger has lost the row of it."""
    CATALOGUE = "catalogue"
    """The catalogue has no usable row of the product now."""
