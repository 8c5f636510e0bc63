"""Verdicts on rows whose answer was lost, from Topview's credit log. Pure.

The log lists charged tasks only: a task that still runs, failed, or is free is not in it. So a
charge that fits is found at once, and its absence says something only when there was time enough.
Topview's pages disagree if a charge is dated when its task was created or when it succeeded, and
list no word of its kind for good: both are learnt from rows of our own. `reconcile.py` asks Topview
and moves the rows.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from typing import Any, Final

from pydantic import SecretStr

from topview_pipeline.ledger import Task
from topview_pipeline.stages import Stage
from topview_pipeline.topview.models import CreditLogEntry

CLOCKS_SECONDS: Final = 300.0
"""The largest difference between two clocks that counts as none."""
LEAD_IN_SECONDS: Final = 86400.0 + CLOCKS_SECONDS
"""The log is read from this long before a submit, to cover wrong clocks."""
_ENOUGH_ROWS: Final = 3
"""Booked rows of our own from which the log's ways are learnt: its words, and what it dates."""
_CLEAR_SECONDS: Final = 20.0
"""A task must last so long until its dates at creation and at success can be told apart."""
_SPREAD_SECONDS: Final = 30.0
"""The most by which dates of the same meaning differ from our own times of the same moment."""
_SUBMIT_SECONDS: Final = 150.0
"""The longest time from a reservation until its task is created: that of a submit."""


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
class KnownRows:
    """Ledger rows other than the unknown ones.

    Attributes:
        stages: stage by Topview task id, for logged charges of known rows.
        nameless: all rows whose task id is not known: each may be what a charge was made for.
        first_looks: when a row was first looked for, by Topview's clock, by row number.
        spans: when Topview had accepted and when it had finished a task, by its id, where known.
    """

    stages: Mapping[str, str]
    nameless: Sequence[Task]
    first_looks: Mapping[int, float] = field(default_factory=dict)
    spans: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Rules:
    """Limits of what is decided without a person.

    Attributes:
        exclusive: nothing else uses the account, so that a charge is ours. Credits are shared
            with Topview's web application.
        deadlines: of a row's kind, that must pass until "not in the log" means never charged.
    """

    exclusive: bool = False
    deadlines: int = 2


@dataclass(frozen=True)
class Candidate:
    """A charge that may be a row's task. `at`: its date, in seconds since the epoch."""

    topview_task_id: str
    at: float
    credits: float | None


@dataclass(frozen=True)
class Adopt:
    """The one charge that can only be this row's."""

    candidate: Candidate


@dataclass(frozen=True)
class Void:
    """It was never charged, or it is free. `evidence` goes into the row's event."""

    why: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Leave:
    """Nothing follows for now, for these reasons; if it `waits`, time alone may settle it."""

    reasons: tuple[str, ...]
    waits: bool = False


@dataclass(frozen=True)
class Finding:
    """A row, the charges that may be its task, and the verdict."""

    row: Task
    candidates: tuple[Candidate, ...]
    verdict: Adopt | Void | Leave


class _Key(Enum):
    OURS_OR_UNSTATED = 1
    ANOTHERS = 2
    UNCLEAR = 3


def match_rows(
    rows: Sequence[Task],
    log: CreditLog,
    books: KnownRows,
    rules: Rules,
    *,
    stages: Mapping[str, Stage],
    is_own_key: Callable[[SecretStr], bool],
    now: float,
) -> list[Finding]:
    """Match each unknown row with the log; no two rows are given the same charge.

    Args:
        is_own_key: True if a key, as the log shows it, can be ours.
        now: by the ledger's clock, in seconds since the epoch.
    """
    matching = _Matching(log, books, rules, stages, is_own_key, now)
    return [matching.finding(row) for row in rows]


@dataclass
class _Matching:
    _log: CreditLog
    _books: KnownRows
    _rules: Rules
    _stages: Mapping[str, Stage]
    _is_own_key: Callable[[SecretStr], bool]
    _now: float

    def __post_init__(self) -> None:
        log, books, stages = self._log, self._books, self._stages
        self._words = _words_of(log, books, stages)
        self._all_words = frozenset().union(*self._words.values())
        worded = {one.task_id or "" for one in log.entries if _word(one)}
        self._booked = Counter(books.stages[id_] for id_ in worded if id_ in books.stages)
        self._lag = _creation_lag(log, books)
        self._our_key_since = self._first_charge_with_our_key()
        self._unclaimed = [entry for entry in log.entries if entry.task_id not in books.stages]
        self._claims: dict[str, set[int]] = {}
        in_window: dict[str, set[int]] = {}
        for row in books.nameless:
            for candidate in self._fitting(row):
                self._claims.setdefault(candidate.topview_task_id, set()).add(row.id)
                if self._is_in_window(candidate, row):
                    in_window.setdefault(candidate.topview_task_id, set()).add(row.id)
        self._owners: dict[str, set[int]] = {}
        # A charge that only one row can have been created for is that row's. On an account of ours
        # alone no other one is, and so rows and charges in their order leave one assignment.
        while alone := {id_: rows for id_, rows in in_window.items() if len(rows) == 1}:
            self._owners |= alone
            owned = Counter(row for rows in alone.values() for row in rows)
            served = {
                row for row, charges in owned.items() if charges == 1 and self._rules.exclusive
            }
            in_window = {id_: in_window[id_] - served for id_ in in_window.keys() - alone}
        self._claims |= self._owners

    def finding(self, row: Task) -> Finding:
        if self._stages[row.stage].free:
            return Finding(row, (), self._of_free(row))
        candidates = tuple(self._candidates(row))
        return Finding(row, candidates, self._verdict(row, candidates))

    def _of_free(self, row: Task) -> Void | Leave:
        """Free work is in no log; a second go costs nothing."""
        if self._now >= row.deadline_at:
            return Void("free, and past its deadline without an answer")
        return Leave(("free: it is sent again when its deadline has passed",), waits=True)

    def _verdict(self, row: Task, candidates: Sequence[Candidate]) -> Adopt | Void | Leave:
        if not self._log.is_whole:
            return Leave(("the credit log was not read to its end",), waits=True)
        doubts = tuple(self._doubts(row))
        if candidates:
            against = (*self._against_adopting(row, candidates), *doubts)
            return Leave(against) if against else Adopt(candidates[0])
        if doubts:
            return Leave(doubts)
        return self._without_candidates(row)

    def _against_adopting(self, row: Task, candidates: Sequence[Candidate]) -> Iterator[str]:
        if len(candidates) > 1:
            yield f"{len(candidates)} charges may be it"
            return
        claims = self._claims.get(candidates[0].topview_task_id, set()) - {row.id}
        if claims:
            others = ", ".join(map(str, sorted(claims)))
            yield f"the one charge that fits may also be that of task row {others}"
        elif not self._rules.exclusive:
            yield (
                "one charge fits, and it may be somebody else's: credits are shared with "
                "Topview's web application (TOPVIEW_ACCOUNT_EXCLUSIVE=true says they are not)"
            )

    def _without_candidates(self, row: Task) -> Void | Leave:
        looked = self._log.topview_time
        if looked is None:
            reason = "this machine's clock and Topview's differ, or Topview does not tell its time"
            return Leave((f"not in the credit log, but {reason}",), waits=True)
        first = self._books.first_looks.get(row.id, looked)
        # The log lists finished tasks, and a deadline in the settings may be shorter than a task.
        usual = self._stages[row.stage].deadline_seconds
        backoff = self._rules.deadlines * max(row.deadline_at - row.reserved_at, usual)
        if looked - first < backoff:
            return Leave((f"not in the credit log yet; waits until {_utc(first + backoff)}",), True)
        return Void(
            f"not in the credit log, which was read to its end at {_utc(looked)}, "
            f"{(looked - first) / 60:.0f} minutes after the first look: counts as not charged",
            {
                "first_look": first,
                "last_look": looked,
                "charges_read": len({entry.task_id for entry in self._log.entries}),
            },
        )

    def _candidates(self, row: Task) -> Iterator[Candidate]:
        for candidate in self._fitting(row):
            if row.id in self._claims.get(candidate.topview_task_id, {row.id}):
                yield candidate

    def _is_in_window(self, candidate: Candidate, row: Task) -> bool:
        """Where charges are dated by creation: the task can have been created by this submit."""
        if self._lag is None:
            return False
        least, most = (row.reserved_at + lag for lag in self._lag)
        latest = most + _SUBMIT_SECONDS + _SPREAD_SECONDS
        return least - _SPREAD_SECONDS <= candidate.at <= latest

    def _fitting(self, row: Task) -> Iterator[Candidate]:
        seen: set[str] = set()
        for entry in self._unclaimed:
            if entry.task_id is None or entry.date is None or entry.task_id in seen:
                continue
            at = entry.date.timestamp()
            if (
                self._is_of_kind(entry, row)
                and at >= row.reserved_at - CLOCKS_SECONDS
                and self._key(entry, row) is _Key.OURS_OR_UNSTATED
            ):
                seen.add(entry.task_id)
                yield Candidate(entry.task_id, at, entry.cost_credit)

    def _doubts(self, row: Task) -> Iterator[str]:
        """Entries that are no candidates and may be the row's charge all the same."""
        if row.reserved_at > self._now + CLOCKS_SECONDS:
            yield "this machine's clock was set back since the submit"
        found = {doubt for entry in self._unclaimed for doubt in self._doubts_of(entry, row)}
        yield from sorted(found)

    def _doubts_of(self, entry: CreditLogEntry, row: Task) -> Iterator[str]:
        is_of_kind = self._is_of_kind(entry, row)
        # A word that no row of ours was ever booked under is another tool's.
        is_learnt = bool(_word(entry)) and self._booked[row.stage] >= _ENOUGH_ROWS
        is_another_kind = not is_of_kind and (_word(entry) in self._all_words or is_learnt)
        key = self._key(entry, row)
        is_another_rows = row.id not in self._owners.get(entry.task_id or "", {row.id})
        if is_another_kind or is_another_rows or key is _Key.ANOTHERS:
            return
        if entry.task_id is None or entry.date is None:
            yield "a charge in the credit log has no task id or no date"
        elif entry.date.timestamp() >= row.reserved_at - CLOCKS_SECONDS:
            if not is_of_kind:
                yield f"a charge is booked as {_word(entry) or 'nothing'}, which may be its kind"
            elif key is _Key.UNCLEAR:
                yield "a charge of its kind was made with another API key, perhaps our earlier one"
        elif is_of_kind:
            yield "a charge of its kind from the day before the submit belongs to no row"

    def _is_of_kind(self, entry: CreditLogEntry, row: Task) -> bool:
        return _word(entry) in self._words[row.stage]

    def _key(self, entry: CreditLogEntry, row: Task) -> _Key:
        """A key that is not ours proves somebody else only where ours is proven.

        The log may show keys in another form, and ours may have been renewed since the submit:
        so a task of ours, charged before the submit, must be in the log with the key of today.
        """
        if entry.api_key is None or not entry.api_key.get_secret_value().strip():
            return _Key.OURS_OR_UNSTATED
        if self._is_own_key(entry.api_key):
            return _Key.OURS_OR_UNSTATED
        proven = self._our_key_since < row.reserved_at
        return _Key.ANOTHERS if proven else _Key.UNCLEAR

    def _first_charge_with_our_key(self) -> float:
        dates = (
            entry.date.timestamp()
            for entry in self._log.entries
            if entry.task_id in self._books.stages
            and entry.date is not None
            and entry.api_key is not None
            and self._is_own_key(entry.api_key)
        )
        return min(dates, default=math.inf)


def _word(entry: CreditLogEntry) -> str:
    return (entry.task_type or "").strip().lower()


def _words_of(
    log: CreditLog, books: KnownRows, stages: Mapping[str, Stage]
) -> Mapping[str, frozenset[str]]:
    """The log's words for each stage: as documented, and as our own tasks were booked."""
    words = {key: set(stage.booked_as) for key, stage in stages.items()}
    for entry in log.entries:
        stage = books.stages.get(entry.task_id or "")
        if stage in words and _word(entry):
            words[stage].add(_word(entry))
    return {key: frozenset(found) for key, found in words.items()}


def _creation_lag(log: CreditLog, books: KnownRows) -> tuple[float, float] | None:
    """The least and the most seconds from an accepted submit to its charge's date.

    None unless our own rows show that the log dates charges by creation.
    """
    lags = {}
    for entry in log.entries:
        accepted, finished = books.spans.get(entry.task_id or "", (0.0, 0.0))
        if entry.task_id is None or entry.date is None or finished - accepted < _CLEAR_SECONDS:
            continue
        lag = entry.date.timestamp() - accepted
        if abs(lag) > (finished - accepted) / 2:
            return None
        lags[entry.task_id] = lag
    if len(lags) < _ENOUGH_ROWS or max(lags.values()) - min(lags.values()) > _SPREAD_SECONDS:
        return None
    return min(lags.values()), max(lags.values())


def _utc(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%d %H:%M} UTC"
