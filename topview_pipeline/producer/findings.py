"""What is compared to find lost answers, and what is found. Plain data; `reconcile.py` compares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from topview_pipeline.ledger import Task
from topview_pipeline.topview.models import CreditLogEntry


@dataclass(frozen=True)
class CreditLog:
    """The credit log, as far as it was read.

    Attributes:
        entries: in any order; the same charge may come twice.
        is_whole: it was read to its end.
        topview_time: when, by Topview's clock (seconds since the epoch); None when that did not
            say, or this machine's clock says another time.
    """

    entries: Sequence[CreditLogEntry] = ()
    is_whole: bool = False
    topview_time: float | None = None


@dataclass(frozen=True)
class Books:
    """What the ledger knows beside the unknown rows.

    Attributes:
        stages: stage by Topview task id, of the charges in the log that rows of ours have.
        nameless: all rows whose task id is not known, see `Unknowns.without_task_id`: each may be
            what a charge was made for, whether a verdict on it is asked for or not.
        first_looks: when a row was first looked for, by Topview's clock, by row number.
    """

    stages: Mapping[str, str]
    nameless: Sequence[Task]
    first_looks: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Rules:
    """How much is decided without a person.

    Attributes:
        exclusive: nobody else uses the account, so that a charge is ours. Credits are shared with
            Topview's web application.
        deadlines: of a row's kind, that must pass until "not in the log" means never charged.
    """

    exclusive: bool = False
    deadlines: int = 2


@dataclass(frozen=True)
class Candidate:
    """A charge that may be a row's task. `at`: when it succeeded, in seconds since the epoch."""

    topview_task_id: str
    at: float
    credits: float | None


@dataclass(frozen=True)
class Adopt:
    """The one charge that can only be this row's."""

    candidate: Candidate


@dataclass(frozen=True)
class Release:
    """It was never charged, or it is free. `evidence` goes into the row's event."""

    why: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Leave:
    """Nothing follows by itself now.

    Attributes:
        reasons: why, in words.
        waits: time alone may settle it; else only a person.
    """

    reasons: tuple[str, ...]
    waits: bool = False


@dataclass(frozen=True)
class Finding:
    """What the log says about one row."""

    row: Task
    candidates: tuple[Candidate, ...]
    verdict: Adopt | Release | Leave
