"""Looking for lost answers in Topview's credit log, and moving the rows that it settles.

What follows from the log is decided in `reconcile.py`. Trouble at Topview is told in the report: it
ends nothing, and it is never a reason to release a row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Final

from topview_pipeline.ledger import IllegalMove, Ledger, Task
from topview_pipeline.producer.findings import (
    Adopt,
    Books,
    CreditLog,
    Finding,
    Leave,
    Release,
    Rules,
)
from topview_pipeline.producer.reconcile import CLOCKS_SECONDS, LEAD_IN_SECONDS, judge
from topview_pipeline.stages import BY_KEY, calls
from topview_pipeline.topview.client import TopviewClient
from topview_pipeline.topview.errors import TopviewError
from topview_pipeline.topview.models import TaskStatus
from topview_pipeline.topview.timeouts import within

LONGEST_SECONDS: Final = 60.0
"""How long one look may take at Topview, unless the caller says otherwise."""


@dataclass(frozen=True)
class Look:
    """What the log says at the moment; nothing was moved.

    Attributes:
        trouble: why the log could not be read to its end, when it could not.
        asked: whether Topview was asked at all.
    """

    findings: tuple[Finding, ...] = ()
    trouble: str | None = None
    asked: bool = False


@dataclass(frozen=True)
class Report:
    """What a look at the credit log came to.

    Attributes:
        adopted: rows that now have their Topview task and are pending, as they are now.
        released: rows taken for never charged, or free, as they are now.
        left: what stays unknown, with the reasons.
        trouble: why the log could not be read to its end, when it could not.
        asked: whether Topview was asked at all.
    """

    adopted: tuple[Task, ...] = ()
    released: tuple[Task, ...] = ()
    left: tuple[Finding, ...] = ()
    trouble: str | None = None
    asked: bool = False

    def why_left(self, row_id: int) -> str | None:
        """Why a row stays unknown, in one sentence; None when it is not among those left."""
        for finding in self.left:
            if finding.row.id == row_id and isinstance(finding.verdict, Leave):
                return "; ".join(finding.verdict.reasons)
        return None


async def reconcile(
    client: TopviewClient,
    ledger: Ledger,
    rules: Rules,
    *,
    who: str,
    seconds: float = LONGEST_SECONDS,
) -> Report:
    """Settle the unknown rows that Topview's credit log settles. Without any nothing is asked.

    Args:
        client: open.
        who: for the rows' events.
        seconds: the longest that Topview is waited for.

    Raises:
        LedgerError: the ledger cannot be used.
    """
    ledger.unknowns.free_orders()
    clock = asyncio.get_running_loop().time
    give_up = clock() + seconds
    look = await look_for_lost_answers(client, ledger, rules, who=who, seconds=seconds)
    report = Report(trouble=look.trouble, asked=look.asked)
    for finding in look.findings:
        left = max(give_up - clock(), 0.0)
        report = await _settle(client, ledger, finding, report, who=who, seconds=left)
    return report


async def look_for_lost_answers(
    client: TopviewClient,
    ledger: Ledger,
    rules: Rules,
    *,
    who: str,
    seconds: float = LONGEST_SECONDS,
) -> Look:
    """What the credit log says about each unknown row. Notes that it was looked at, no more."""
    unknowns = ledger.unknowns
    rows = unknowns.rows()
    if not rows:
        return Look()
    paid = [row for row in rows if not BY_KEY[row.stage].free]
    log, trouble = CreditLog(is_whole=True), None
    if paid:
        since = min(row.reserved_at for row in paid) - LEAD_IN_SECONDS
        log, trouble = await _read(client, since, seconds=seconds, clock=ledger.now)
    # In this order: a row that is accepted in between is then in one of the two, not in none.
    nameless = unknowns.without_task_id({row.stage for row in paid})
    stages = unknowns.stages_of({entry.task_id for entry in log.entries if entry.task_id})
    books = Books(stages, nameless, unknowns.first_looks([row.id for row in paid]))
    new = [row.id for row in paid if row.id not in books.first_looks]
    unknowns.note_look(new, topview_time=log.topview_time, who=who)
    findings = judge(rows, log, books, rules, is_own_key=client.is_own_key, now=ledger.now())
    return Look(tuple(findings), trouble, asked=bool(paid))


async def _read(
    client: TopviewClient, since: float, *, seconds: float, clock: Callable[[], float]
) -> tuple[CreditLog, str | None]:
    """The log from `since` on, all words, and why it is not whole.

    All words, because a word that this program does not know may stand for one of its kinds. No
    end, because an end would be by this machine's clock.
    """
    entries = []

    async def read() -> None:
        start = datetime.fromtimestamp(since, timezone.utc)
        async for entry in client.credit_log(start=start):
            entries.append(entry)  # noqa: PERF401 - what came before a trouble is kept

    try:
        await within(seconds, read())
    except TopviewError as error:
        return CreditLog(entries), str(error)
    except asyncio.TimeoutError:
        return CreditLog(entries), f"the credit log was not read within {seconds:.0f} s"
    told = client.server_time
    topview_time = None if told is None else told.timestamp()
    if topview_time is not None and abs(clock() - topview_time) > CLOCKS_SECONDS:
        topview_time = None
    return CreditLog(entries, True, topview_time), None


async def _settle(
    client: TopviewClient,
    ledger: Ledger,
    finding: Finding,
    report: Report,
    *,
    who: str,
    seconds: float,
) -> Report:
    """Do what follows from a finding; the report with it."""
    row, verdict = finding.row, finding.verdict
    try:
        if isinstance(verdict, Release):
            released = ledger.unknowns.release(
                row.id, why=verdict.why, who=who, evidence=verdict.evidence
            )
            return replace(report, released=(*report.released, released))
        if isinstance(verdict, Adopt):
            task_id = verdict.candidate.topview_task_id
            against = await _against(client, row, task_id, seconds=seconds)
            if against is None:
                why = "the only charge of its kind since the submit that is no other row's"
                adopted = ledger.unknowns.adopt(row.id, task_id, why=why, who=who)
                return replace(report, adopted=(*report.adopted, adopted))
            finding = replace(finding, verdict=Leave((against,), waits=True))
    except IllegalMove as error:  # somebody else was quicker
        finding = replace(finding, verdict=Leave((str(error),), waits=True))
    return replace(report, left=(*report.left, finding))


async def _against(
    client: TopviewClient, row: Task, topview_task_id: str, *, seconds: float
) -> str | None:
    """What Topview itself says against a charge being a finished task of the row's kind."""
    try:
        result = await within(seconds, calls.query(client, BY_KEY[row.stage], topview_task_id))
    except TopviewError as error:
        return str(error)
    except asyncio.TimeoutError:
        return f"Topview did not answer for task {topview_task_id} in time"
    if result.status is TaskStatus.SUCCESS:
        return None
    return f"Topview calls task {topview_task_id} {result.raw_status}, though it was charged"
