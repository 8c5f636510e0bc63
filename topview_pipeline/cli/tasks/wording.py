"""How rows, times and credits are told to people. No reading, no acting."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from topview_pipeline.ledger import Task
    from topview_pipeline.producer.findings import Candidate, Finding

_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


def age(seconds: float) -> str:
    """A length of time in its largest whole unit: 3 d, 7 h, 12 min."""
    for length, unit in _UNITS:
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return "0 s"


def moment(seconds: float | None) -> str:
    """A time of the ledger, in UTC; a dash where there is none."""
    if seconds is None:
        return "-"
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%d %H:%M:%S}"


def credits_of(task: Task) -> str:
    """What it cost, or with a ~ what it may cost."""
    if task.cost_credits is not None:
        return f"{task.cost_credits:g}"
    return "-" if task.estimate is None else f"~{task.estimate:g}"


def next_of(task: Task) -> str:
    """What comes next for a row, and what a person can do about it."""
    from topview_pipeline.ledger import TaskState

    if task.state is TaskState.FAILED:
        return "tried again when due" if task.retryable else "sent again only with force"
    return {
        TaskState.RESERVED: "is being submitted",
        TaskState.PENDING: "Topview works on it",
        TaskState.SUCCEEDED: "is downloaded",
        TaskState.STORED: "done",
        TaskState.UNKNOWN: f"may be paid: tasks show {task.id}",
        TaskState.STALLED: "asked hourly; tasks release",
        TaskState.RELEASED: "not charged; sent again if ordered",
        TaskState.EXPIRED: "out of reach; made anew only by force",
        TaskState.SUPERSEDED: "made anew",
    }[task.state]


def name_of(task: Task) -> str:
    """A row as a sentence begins with it."""
    return f"task row {task.id} ({task.product_id} / {task.stage})"


def candidate_line(candidate: Candidate) -> str:
    """A charge in one line."""
    cost = "?" if candidate.credits is None else f"{candidate.credits:g}"
    return f"{candidate.topview_task_id}: {cost} credits at {moment(candidate.at)} UTC"


def finding_lines(finding: Finding) -> Iterator[str]:
    """What the credit log says about a row that stays unknown."""
    from topview_pipeline.producer.findings import Leave

    if isinstance(finding.verdict, Leave):
        yield "; ".join(finding.verdict.reasons)
    for candidate in finding.candidates:
        yield f"  may be Topview task {candidate_line(candidate)}"
