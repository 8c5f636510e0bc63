"""What a plan says of a stage whose work has rows already, by the state of the newest that counts.

Not here: stages without such a row, and what their upstream does to them (`planning`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from topview_pipeline.ledger import TaskState


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a plan says of one stage of a product.

    Attributes:
        reason: why there is something to do; None when the stage is up to date.
        pays: a new task is submitted for it, now or when what it waits for is there.
        moves: a run gets on with it: submits it, or brings home what there is. Otherwise it needs
            a person, or an answer of Topview's.
    """

    reason: str | None
    pays: bool = False
    moves: bool = True


COMING: Final = frozenset({TaskState.RESERVED, TaskState.PENDING, TaskState.SUCCEEDED})
"""Their result is there by the end of a run."""
AWAITED: Final = frozenset({TaskState.UNKNOWN, TaskState.STALLED})
"""Their result may come, and nothing says when; what comes after it stays ordered until then."""

OF_STATE: Final[Mapping[TaskState, Verdict]] = {
    TaskState.RESERVED: Verdict("being submitted"),
    TaskState.PENDING: Verdict("pending at Topview"),
    TaskState.SUCCEEDED: Verdict("finished at Topview, not yet in the store"),
    TaskState.FAILED: Verdict("failed before", pays=True),
    TaskState.UNKNOWN: Verdict("unknown: the submit's answer was lost", moves=False),
    TaskState.STALLED: Verdict("stalled at Topview", moves=False),
    TaskState.EXPIRED: Verdict("expired: only force makes it anew", moves=False),
    TaskState.SUPERSEDED: Verdict("Topview forgot its images", pays=True),
}
"""Not here: `stored`, for which Dagster's events decide, and `released`, which does not count."""
