"""What the credit log says about rows whose answer was lost. Pure: nothing here asks or acts.

The log lists charged tasks only, dated when they succeeded: a task that still runs, failed, or is
free is not in it. So a charge that fits is found at once, and that there is none says something
only when there was time enough. Who asks Topview and moves rows is `reconciling.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from enum import Enum
from typing import Final

from pydantic import SecretStr

from topview_pipeline.ledger import Task
from topview_pipeline.producer.findings import (
    Adopt,
    Books,
    Candidate,
    CreditLog,
    Finding,
    Leave,
    Release,
    Rules,
)
from topview_pipeline.stages import BY_KEY
from topview_pipeline.topview.models import CreditLogEntry

CLOCKS_SECONDS: Final = 300.0
"""By how much two clocks that agree may differ."""
LEAD_IN_SECONDS: Final = 86400.0 + CLOCKS_SECONDS
"""How far before a submit the log is read: for proofs, and for charges that a wrong clock hides."""
BOOKED_AS: Final[Mapping[str, frozenset[str]]] = {
    "image_replace": frozenset({"pa2_replace_product_image"}),
    "image2video": frozenset({"pa2_image2video"}),
}
"""The log's word for each paid kind (GET /user/credit/logs, taskType)."""
_OTHER_WORDS: Final = frozenset(
    {
        "m2v",
        "common_task_image2video",
        "video_avatar",
        "product_avatar_image2video",
        "voice_clone",
        "product_anyfit",
        "pa_download_without_watermark",
        "product_anyfit_v2_product_model",
    }
)
"""The other words of its list. A word that is in neither may mean anything."""


class _Key(Enum):
    OURS_OR_UNTOLD = 1
    ANOTHERS = 2
    UNCLEAR = 3


def judge(
    rows: Sequence[Task],
    log: CreditLog,
    books: Books,
    rules: Rules,
    *,
    is_own_key: Callable[[SecretStr], bool],
    now: float,
) -> list[Finding]:
    """Say what follows for each unknown row; no two rows are given the same charge.

    Args:
        rows: unknown ones.
        is_own_key: whether a key as the log shows it can be ours.
        now: by the ledger's clock, in seconds since the epoch.
    """
    judge_ = _Judge(log, books, rules, is_own_key, now)
    return [judge_.finding(row) for row in rows]


class _Judge:
    def __init__(
        self,
        log: CreditLog,
        books: Books,
        rules: Rules,
        is_own_key: Callable[[SecretStr], bool],
        now: float,
    ) -> None:
        self._log = log
        self._books = books
        self._rules = rules
        self._is_own_key = is_own_key
        self._now = now
        self._words = _words_of(log, books)
        self._all_words = _OTHER_WORDS.union(*BOOKED_AS.values(), *self._words.values())
        self._our_key_since = self._first_charge_with_our_key()
        self._nobodys = [entry for entry in log.entries if entry.task_id not in books.stages]
        self._claims: dict[str, set[int]] = {}
        for row in books.nameless:
            for candidate in self._candidates(row):
                self._claims.setdefault(candidate.topview_task_id, set()).add(row.id)

    def finding(self, row: Task) -> Finding:
        if BY_KEY[row.stage].free:
            return Finding(row, (), self._of_free(row))
        candidates = tuple(self._candidates(row))
        return Finding(row, candidates, self._verdict(row, candidates))

    def _of_free(self, row: Task) -> Release | Leave:
        """Free work is in no log; a second go costs nothing."""
        if self._now >= row.deadline_at:
            return Release("free, and past its deadline without an answer")
        return Leave(("free: it is sent again when its deadline has passed",), waits=True)

    def _verdict(self, row: Task, candidates: Sequence[Candidate]) -> Adopt | Release | Leave:
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

    def _without_candidates(self, row: Task) -> Release | Leave:
        looked = self._log.topview_time
        if looked is None:
            reason = "this machine's clock and Topview's differ, or Topview does not tell its time"
            return Leave((f"not in the credit log, but {reason}",), waits=True)
        first = self._books.first_looks.get(row.id, looked)
        patience = self._rules.deadlines * (row.deadline_at - row.reserved_at)
        if looked - first < patience:
            return Leave(
                (f"not in the credit log yet; waits until {_utc(first + patience)}",), True
            )
        return Release(
            f"not in the credit log, which was read to its end at {_utc(looked)}, "
            f"{(looked - first) / 60:.0f} minutes after the first look: taken for never charged",
            {
                "first_look": first,
                "last_look": looked,
                "charges_read": len({entry.task_id for entry in self._log.entries}),
            },
        )

    def _candidates(self, row: Task) -> Iterator[Candidate]:
        seen: set[str] = set()
        for entry in self._nobodys:
            if entry.task_id is None or entry.date is None or entry.task_id in seen:
                continue
            at = entry.date.timestamp()
            if (
                self._is_of_kind(entry, row)
                and at >= row.reserved_at - CLOCKS_SECONDS
                and self._key(entry, row) is _Key.OURS_OR_UNTOLD
            ):
                seen.add(entry.task_id)
                yield Candidate(entry.task_id, at, entry.cost_credit)

    def _doubts(self, row: Task) -> Iterator[str]:
        """What in the log is no candidate and may be the row's charge all the same."""
        if row.reserved_at > self._now + CLOCKS_SECONDS:
            yield "this machine's clock was set back since the submit"
        found = {doubt for entry in self._nobodys for doubt in self._doubts_of(entry, row)}
        yield from sorted(found)

    def _doubts_of(self, entry: CreditLogEntry, row: Task) -> Iterator[str]:
        is_of_kind = self._is_of_kind(entry, row)
        is_another_kind = not is_of_kind and _word(entry) in self._all_words
        key = self._key(entry, row)
        if is_another_kind or key is _Key.ANOTHERS:
            return
        if entry.task_id is None or entry.date is None:
            yield "a charge in the credit log has no task id or no date"
        elif entry.date.timestamp() >= row.reserved_at - CLOCKS_SECONDS:
            if not is_of_kind:
                yield f"a charge is booked as {_word(entry) or 'nothing'}, which may be its kind"
            elif key is _Key.UNCLEAR:
                yield "a charge of its kind was made with another API key, perhaps a former of ours"
        elif is_of_kind:
            yield "a charge of its kind from the day before the submit is no row's of the ledger"

    def _is_of_kind(self, entry: CreditLogEntry, row: Task) -> bool:
        return _word(entry) in self._words[row.stage]

    def _key(self, entry: CreditLogEntry, row: Task) -> _Key:
        """A key that is not ours proves somebody else only where ours is proven.

        The log may show keys in another form, and ours may have been renewed since the submit:
        so a task of ours, charged before the submit, must be in the log with the key of today.
        """
        if entry.api_key is None or not entry.api_key.get_secret_value().strip():
            return _Key.OURS_OR_UNTOLD
        if self._is_own_key(entry.api_key):
            return _Key.OURS_OR_UNTOLD
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


def _words_of(log: CreditLog, books: Books) -> Mapping[str, frozenset[str]]:
    """The log's words for each stage: as documented, and as tasks of ours are really booked."""
    words = {key: set(BOOKED_AS.get(stage.kind, ())) for key, stage in BY_KEY.items()}
    for entry in log.entries:
        stage = books.stages.get(entry.task_id or "")
        if stage is not None and _word(entry):
            words[stage].add(_word(entry))
    return {key: frozenset(found) for key, found in words.items()}


def _utc(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%d %H:%M} UTC"
