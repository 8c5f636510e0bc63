"""When a run looks for lost answers: once at its start, once at its end.

What a look does is in `reconciling.py`. Only orders whose row is unknown wait for the first one.
"""

from __future__ import annotations

import asyncio
from typing import Final

from topview_pipeline.ledger import Task, TaskState
from topview_pipeline.producer.desk import Desk
from topview_pipeline.producer.findings import Rules
from topview_pipeline.producer.reconciling import Report, reconcile

_LONGEST_SECONDS: Final = 20.0
"""Of one look: it delays the orders that wait for it, and the run's end."""
_JUST_NOW_SECONDS: Final = 60.0
"""The same rows are not looked for twice within this time."""


class LostAnswers:
    """The looks of one run."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._rules = Rules(
            exclusive=desk.config.account_exclusive, deadlines=desk.config.unknown_deadlines
        )
        self._report = Report()
        self._looked_for: frozenset[int] = frozenset()
        self._looked_at: float | None = None
        self._look_under_way: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Start the first look; without unknown rows there is none."""
        self._looked_for = self._unknown()
        if self._looked_for:
            self._look_under_way = asyncio.create_task(self._look())

    async def is_settled(self, row: Task) -> bool:
        """Whether the first look settled an unknown row; waits for that look."""
        if row.id not in self._looked_for:
            return False
        await self._looked()
        return self._desk.ledger.tasks.get(row.id).state is not TaskState.UNKNOWN

    def why_left(self, row: Task) -> str | None:
        """What the last look had to say about a row that stays unknown."""
        return self._report.why_left(row.id)

    async def look_again(self) -> tuple[Task, ...]:
        """The last look of the run: rows that it adopted. Skipped right after one for the same."""
        await self._looked()
        unknown = self._unknown()
        was_just_now = (
            self._looked_at is not None
            and self._desk.ticks() - self._looked_at < _JUST_NOW_SECONDS
            and unknown <= self._looked_for
        )
        if not unknown or was_just_now:
            self._desk.ledger.unknowns.free_orders()
            return ()
        self._looked_for = unknown
        self._report = Report()
        self._look_under_way = asyncio.create_task(self._look())
        await self._looked()
        return self._report.adopted

    def cut_off(self) -> None:
        """Give up a look under way; what it settled is settled."""
        if self._look_under_way is not None:
            self._look_under_way.cancel()

    async def stop(self) -> None:
        """Give up a look under way, and wait until it is gone."""
        self.cut_off()
        if self._look_under_way is not None:
            await asyncio.gather(self._look_under_way, return_exceptions=True)

    async def _looked(self) -> None:
        """Wait for the look under way; one that was cut off found nothing."""
        look = self._look_under_way
        if look is not None:
            await asyncio.wait({look})
            if not look.cancelled():
                look.result()

    def _unknown(self) -> frozenset[int]:
        return frozenset(row.id for row in self._desk.ledger.unknowns.rows())

    async def _look(self) -> None:
        desk = self._desk
        with desk.activity.asking():
            self._report = await reconcile(
                desk.client, desk.ledger, self._rules, who=desk.me, seconds=_LONGEST_SECONDS
            )
        self._looked_at = desk.ticks()
        if self._report.adopted or self._report.released:
            desk.activity.progress()
