"""Looks for lost answers in Topview's credit log, and moves the rows that it settles.

`credit_log.py` decides. Trouble at Topview is part of the result: it ends nothing, and it is never
a reason to void a row.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any, Final, TypeVar

from pydantic import SecretStr

from topview_pipeline.engine.context import Context
from topview_pipeline.engine.credit_log import (
    CLOCKS_SECONDS,
    LEAD_IN_SECONDS,
    Adopt,
    CreditLog,
    Finding,
    KnownRows,
    Leave,
    Rules,
    Void,
    match_rows,
)
from topview_pipeline.ledger import IllegalMove, Ledger, Task, TaskState
from topview_pipeline.stages import Stage
from topview_pipeline.topview.client import TopviewClient
from topview_pipeline.topview.errors import TopviewError
from topview_pipeline.topview.http import within
from topview_pipeline.topview.models import TaskStatus

R = TypeVar("R")
InLedger = Callable[..., Awaitable[Any]]
LONGEST_SECONDS: Final = 60.0
"""Longest time of one look at Topview, unless the caller says otherwise."""
_LONGEST_IN_RUN: Final = 20.0
"""Products wait for the first look of a run, and the run's end for the last one."""
_JUST_NOW_SECONDS: Final = 60.0
"""The same rows are not looked for twice within this time."""


async def _in_place(call: Callable[..., R], *given: Any, **named: Any) -> R:
    return call(*given, **named)


@dataclass(frozen=True)
class Reconciled:
    """The result of a look at the credit log.

    Attributes:
        findings: what the log says of each unknown row.
        adopted, voided: rows that were settled, as they are now.
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
    settle: bool = True,
    in_ledger: InLedger = _in_place,
) -> Reconciled:
    """Read Topview's credit log, if there are unknown rows, and settle those that it settles.

    Args:
        who: for the rows' events.
        seconds: the longest that Topview is waited for.
        settle: False: only the look is noted.
        in_ledger: calls the ledger; see `Context.in_ledger`.
    """
    clock = asyncio.get_running_loop().time
    give_up = clock() + seconds
    rows = await in_ledger(ledger.unknowns.rows)
    rows = [row for row in rows if row.stage in stages]  # a newer release may have more
    if not rows:
        return Reconciled()
    paid = [row for row in rows if not stages[row.stage].free]
    log, trouble = CreditLog(is_whole=True), None
    if paid:
        since = min(row.reserved_at for row in paid) - LEAD_IN_SECONDS
        log, trouble = await _read(client, since, seconds)
    of = ledger, rules, stages, who, client.is_own_key
    findings = await in_ledger(_findings, rows, paid, log, *of)
    moved: dict[TaskState, list[Task]] = {TaskState.PENDING: [], TaskState.VOID: []}
    left = []
    for finding in findings if settle else ():
        settled: Task | Finding = finding
        try:
            if isinstance(finding.verdict, Adopt):
                seconds, stage = max(give_up - clock(), 0.0), stages[finding.row.stage]
                settled = await _proved(client, stage, finding, finding.verdict, seconds)
            if settled is finding:
                settled = await in_ledger(_moved, ledger, finding, who)
        except IllegalMove as error:  # another worker was quicker
            settled = replace(finding, verdict=Leave((str(error),), waits=True))
        if isinstance(settled, Finding):
            left.append(settled)
        else:
            moved[settled.state].append(settled)
    adopted, voided = map(tuple, moved.values())
    return Reconciled(tuple(findings), adopted, voided, tuple(left), trouble, asked=bool(paid))


def _findings(
    rows: Sequence[Task],
    paid: Sequence[Task],
    log: CreditLog,
    ledger: Ledger,
    rules: Rules,
    stages: Mapping[str, Stage],
    who: str,
    is_own_key: Callable[[SecretStr], bool],
) -> list[Finding]:
    unknowns, now = ledger.unknowns, ledger.now()
    if log.topview_time is not None and abs(now - log.topview_time) > CLOCKS_SECONDS:
        log = replace(log, topview_time=None)
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
    return match_rows(rows, log, books, rules, stages=stages, is_own_key=is_own_key, now=now)


async def _read(
    client: TopviewClient, since: float, seconds: float
) -> tuple[CreditLog, str | None]:
    """The log from `since` on, and why it is not whole.

    All task types, because an unknown word may stand for one of ours; and no end, which would be by
    this machine's clock.
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
    return CreditLog(entries, True, topview_time), None


def _moved(ledger: Ledger, finding: Finding, who: str) -> Task | Finding:
    """The row that a verdict moved; what is left stays a finding."""
    row, verdict = finding.row, finding.verdict
    if isinstance(verdict, Void):
        return ledger.tasks.void(row.id, why=verdict.why, who=who, evidence=verdict.evidence)
    if isinstance(verdict, Adopt):
        why = "the only charge of its kind since the submit that belongs to no other row"
        task_id = verdict.candidate.topview_task_id
        return ledger.unknowns.adopt(row.id, task_id, why=why, who=who)
    return finding


async def _proved(
    client: TopviewClient, stage: Stage, finding: Finding, verdict: Adopt, seconds: float
) -> Finding:
    """The finding as it is, once Topview calls the charged task finished; else it is left."""
    task_id = verdict.candidate.topview_task_id
    try:
        result = await within(seconds, client.query(stage.endpoint, task_id))
    except TopviewError as error:
        against = str(error)
    except asyncio.TimeoutError:
        against = f"Topview did not answer for task {task_id} in time"
    else:
        if result.status is TaskStatus.SUCCESS:
            return finding
        against = f"Topview calls task {task_id} {result.raw_status}, though it was charged"
    return replace(finding, verdict=Leave((against,), waits=True))


class RunReconciler:
    """Reconciles unknown rows at a run's start and end. Only unknown rows wait for it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._report = Reconciled()
        self._looked_for: frozenset[int] = frozenset()
        self._looked_at: float | None = None
        self._under_way: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Start the first look; without unknown rows there is none."""
        self._looked_for = await self._unknown()
        if self._looked_for:
            self._under_way = asyncio.create_task(self._look())

    async def is_settled(self, row: Task) -> bool:
        """Wait for the first look; True if it settled the row."""
        if row.id not in self._looked_for:
            return False
        await self._looked()
        row = await self._context.look(self._context.ledger.tasks.get, row.id)
        return row.state is not TaskState.UNKNOWN

    def why_left(self, row: Task) -> str | None:
        """Why the last look left the row unknown."""
        return self._report.why_left(row.id)

    async def look_again(self) -> tuple[Task, ...]:
        """The last look of the run, unless the first was just now; the rows that it adopted."""
        await self._looked()
        unknown = await self._unknown()
        was_just_now = (
            self._looked_at is not None
            and self._context.ticks() - self._looked_at < _JUST_NOW_SECONDS
            and unknown <= self._looked_for
        )
        if not unknown or was_just_now:
            return ()
        self._looked_for = unknown
        self._report = Reconciled()
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

    async def _unknown(self) -> frozenset[int]:
        rows = await self._context.look(self._context.ledger.unknowns.rows)
        return frozenset(row.id for row in rows)

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
                in_ledger=context.in_ledger,
            )
        self._looked_at = context.ticks()
        if self._report.adopted or self._report.voided:
            context.activity.progress()
