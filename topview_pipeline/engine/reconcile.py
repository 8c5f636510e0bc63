"""Looks for lost answers in Topview's credit log, and moves the rows that it settles.

`judge.py` decides. Trouble at Topview is part of the report: it ends nothing, and it is never a
reason to void a row.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Final

from topview_pipeline.engine.context import Context
from topview_pipeline.engine.judge import (
    CLOCKS_SECONDS,
    LEAD_IN_SECONDS,
    Adopt,
    CreditLog,
    Finding,
    KnownRows,
    Leave,
    Rules,
    Void,
    judge,
)
from topview_pipeline.ledger import IllegalMove, Ledger, Task, TaskState
from topview_pipeline.stages import Stage
from topview_pipeline.topview.client import TopviewClient
from topview_pipeline.topview.errors import TopviewError
from topview_pipeline.topview.http import within
from topview_pipeline.topview.models import TaskStatus

LONGEST_SECONDS: Final = 60.0
"""How long one look may take at Topview, unless the caller says otherwise."""
_LONGEST_IN_RUN: Final = 20.0
"""Products wait for the first look of a run, and the run's end for the last one."""
_JUST_NOW_SECONDS: Final = 60.0
"""The same rows are not looked for twice within this time."""


@dataclass(frozen=True)
class Report:
    """The result of a look at the credit log.

    Attributes:
        findings: what the log says of each unknown row.
        adopted: rows that now have their Topview task and are pending, as they are now.
        voided: rows that were never charged, or are free, as they are now.
        left: what stays unknown, with the reasons.
        trouble: why the log could not be read to its end, when it could not.
        asked: Topview was asked at all.
    """

    findings: tuple[Finding, ...] = ()
    adopted: tuple[Task, ...] = ()
    voided: tuple[Task, ...] = ()
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
    stages: Mapping[str, Stage],
    who: str,
    seconds: float = LONGEST_SECONDS,
) -> Report:
    """Settle the unknown rows that Topview's credit log settles. Without any nothing is asked.

    Args:
        client: open.
        stages: by key.
        who: for the rows' events.
        seconds: the longest that Topview is waited for.

    Raises:
        LedgerError: the ledger cannot be used.
    """
    clock = asyncio.get_running_loop().time
    give_up = clock() + seconds
    report = await look(client, ledger, rules, stages=stages, who=who, seconds=seconds)
    moved: dict[TaskState, list[Task]] = {TaskState.PENDING: [], TaskState.VOID: []}
    left = []
    for finding in report.findings:
        seconds = max(give_up - clock(), 0.0)
        stage = stages[finding.row.stage]
        settled = await _settle(client, ledger, stage, finding, who=who, seconds=seconds)
        if isinstance(settled, Finding):
            left.append(settled)
        else:
            moved[settled.state].append(settled)
    adopted, voided = map(tuple, moved.values())
    return replace(report, adopted=adopted, voided=voided, left=tuple(left))


async def look(
    client: TopviewClient,
    ledger: Ledger,
    rules: Rules,
    *,
    stages: Mapping[str, Stage],
    who: str,
    seconds: float = LONGEST_SECONDS,
) -> Report:
    """Read the credit log and judge each unknown row. It notes that, and no more."""
    unknowns = ledger.unknowns
    rows = unknowns.rows()
    if not rows:
        return Report()
    paid = [row for row in rows if not stages[row.stage].free]
    log, trouble = CreditLog(is_whole=True), None
    if paid:
        since = min(row.reserved_at for row in paid) - LEAD_IN_SECONDS
        log, trouble = await _read(client, since, seconds=seconds, clock=ledger.now)
    # In this order: a row that is accepted in between is then in one of the two, not in none.
    nameless = unknowns.without_task_id({row.stage for row in paid})
    logged = {entry.task_id for entry in log.entries if entry.task_id}
    charged = unknowns.charged(logged)
    books = KnownRows(
        {id_: stage for id_, (stage, _) in charged.items()},
        nameless,
        unknowns.first_looks([row.id for row in paid]),
        {id_: span for id_, (_, span) in charged.items() if span is not None},
    )
    new = [row.id for row in paid if row.id not in books.first_looks]
    unknowns.note_look(new, topview_time=log.topview_time, who=who)
    findings = judge(
        rows,
        log,
        books,
        rules,
        stages=stages,
        is_own_key=client.is_own_key,
        now=ledger.now(),
    )
    return Report(findings=tuple(findings), trouble=trouble, asked=bool(paid))


async def _read(
    client: TopviewClient, since: float, *, seconds: float, clock: Callable[[], float]
) -> tuple[CreditLog, str | None]:
    """The log from `since` on, and why it is not whole.

    All task types, because an unknown word may stand for one of ours. No end, because an end would
    be by this machine's clock.
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
    server_time = client.server_time
    topview_time = None if server_time is None else server_time.timestamp()
    if topview_time is not None and abs(clock() - topview_time) > CLOCKS_SECONDS:
        topview_time = None
    return CreditLog(entries, True, topview_time), None


async def _settle(
    client: TopviewClient,
    ledger: Ledger,
    stage: Stage,
    finding: Finding,
    *,
    who: str,
    seconds: float,
) -> Task | Finding:
    """Act on a finding: the row that it moved, or what is left of it."""
    row, verdict = finding.row, finding.verdict
    try:
        if isinstance(verdict, Void):
            return ledger.tasks.void(row.id, why=verdict.why, who=who, evidence=verdict.evidence)
        if isinstance(verdict, Adopt):
            task_id = verdict.candidate.topview_task_id
            against = await _against(client, stage, task_id, seconds=seconds)
            if against is None:
                why = "the only charge of its kind since the submit that belongs to no other row"
                return ledger.unknowns.adopt(row.id, task_id, why=why, who=who)
            return replace(finding, verdict=Leave((against,), waits=True))
    except IllegalMove as error:  # another worker was quicker
        return replace(finding, verdict=Leave((str(error),), waits=True))
    return finding


async def _against(
    client: TopviewClient, stage: Stage, topview_task_id: str, *, seconds: float
) -> str | None:
    """Return what Topview says against a charge being this row's finished task, or None."""
    try:
        result = await within(seconds, client.query(stage.endpoint, topview_task_id))
    except TopviewError as error:
        return str(error)
    except asyncio.TimeoutError:
        return f"Topview did not answer for task {topview_task_id} in time"
    if result.status is TaskStatus.SUCCESS:
        return None
    return f"Topview calls task {topview_task_id} {result.raw_status}, though it was charged"


class RunReconciler:
    """Reconciles unknown rows at a run's start and end. Only unknown rows wait for it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._report = Report()
        self._looked_for: frozenset[int] = frozenset()
        self._looked_at: float | None = None
        self._under_way: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Start the first look; without unknown rows there is none."""
        self._looked_for = self._unknown()
        if self._looked_for:
            self._under_way = asyncio.create_task(self._look())

    async def is_settled(self, row: Task) -> bool:
        """Wait for the first look; True if it settled the row."""
        if row.id not in self._looked_for:
            return False
        await self._looked()
        return self._context.ledger.tasks.get(row.id).state is not TaskState.UNKNOWN

    def why_left(self, row: Task) -> str | None:
        """Why the last look left the row unknown."""
        return self._report.why_left(row.id)

    async def look_again(self) -> tuple[Task, ...]:
        """The last look of the run; the pipeline's rows that it adopted.

        Skipped right after the first.
        """
        await self._looked()
        unknown = self._unknown()
        was_just_now = (
            self._looked_at is not None
            and self._context.ticks() - self._looked_at < _JUST_NOW_SECONDS
            and unknown <= self._looked_for
        )
        if not unknown or was_just_now:
            return ()
        self._looked_for = unknown
        self._report = Report()
        self._under_way = asyncio.create_task(self._look())
        await self._looked()
        pipeline = self._context.ledger.pipeline
        return tuple(row for row in self._report.adopted if row.pipeline == pipeline)

    def cancel(self) -> None:
        """Give up a look under way; what it settled is settled."""
        if self._under_way is not None:
            self._under_way.cancel()

    async def stop(self) -> None:
        """Give up a look under way, and wait until it is gone."""
        self.cancel()
        if self._under_way is not None:
            await asyncio.gather(self._under_way, return_exceptions=True)

    async def _looked(self) -> None:
        if self._under_way is not None:
            await asyncio.wait({self._under_way})
            with contextlib.suppress(asyncio.CancelledError):
                self._under_way.result()

    def _unknown(self) -> frozenset[int]:
        return frozenset(row.id for row in self._context.ledger.unknowns.rows())

    async def _look(self) -> None:
        context = self._context
        with context.activity.asking():
            self._report = await reconcile(
                context.client,
                context.ledger,
                Rules(context.config.account_exclusive, context.config.unknown_deadlines),
                stages=context.by_key,
                who=context.worker,
                seconds=_LONGEST_IN_RUN,
            )
        self._looked_at = context.ticks()
        if self._report.adopted or self._report.voided:
            context.activity.progress()
