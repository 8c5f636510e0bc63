"""Rows whose submit's answer was lost, as the look into Topview's credit log needs them.

What the log says about them, and which move follows, is not decided here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import sqlalchemy as sa

from topview_pipeline.ledger.catalogue_state import is_forsaken
from topview_pipeline.ledger.database import Part, append_event
from topview_pipeline.ledger.schema import account, portions, task, task_event
from topview_pipeline.ledger.task_row import Task, TaskState
from topview_pipeline.ledger.tasks import Tasks

RECONCILE_SECONDS: Final = 600.0
"""Interval at which Topview's credit log is read while there are unknown rows and no run works."""
_LOOKED: Final = "looked_for"


class Unknowns(Part):
    """The unknown rows of one account. Lists are in the order of the rows' numbers."""

    def rows(self) -> list[Task]:
        """All of them, whatever their pipeline."""
        return self._select(task.c.state == TaskState.UNKNOWN)

    def forsaken(self) -> list[Task]:
        """Those of pipelines that were renamed or removed: they count for the limit."""
        gone = is_forsaken(self._account, self._db.now())
        return self._select(task.c.state == TaskState.UNKNOWN, ~self._is_own, gone)

    def is_due(self, now: float) -> bool:
        """True if there are any and nobody has read the credit log for ten minutes."""
        at = self._db.scalar(
            sa.select(account.c.reconciled_at).where(account.c.id == self._account)
        )
        return bool(self.rows()) and (at is None or not 0 <= now - at < RECONCILE_SECONDS)

    def note_look(self, task_ids: Iterable[int], *, topview_time: float | None, who: str) -> None:
        """Note that the credit log was read, for these rows for the first time.

        Args:
            topview_time: when, by Topview's clock; None: these rows were not looked for yet.
        """
        with self._db.write(lock=self._account) as connection:
            now = self._db.now(connection)
            mine = account.update().where(account.c.id == self._account)
            connection.execute(mine.values(reconciled_at=now))
            for task_id in task_ids if topview_time is not None else ():
                detail = {"topview_time": topview_time}
                append_event(connection, self._account, now, _LOOKED, who, detail, task_id=task_id)

    def first_looks(self, task_ids: Collection[int]) -> dict[int, float]:
        events = sa.select(task_event.c.task_id, task_event.c.detail)
        found: dict[int, float] = {}
        for ids in portions(task_ids):
            looks = events.where(task_event.c.task_id.in_(ids), task_event.c.what == _LOOKED)
            rows = self._db.rows(looks.order_by(task_event.c.id.desc()))
            found |= {id_: float(detail["topview_time"]) for id_, detail in rows}
        return found

    def without_task_id(self, stages: Collection[str]) -> list[Task]:
        """Rows of these stages whose Topview task, if there is one, has an id that we do not know.

        Void ones that had been unknown, too: what was taken for never charged may be charged yet.
        """
        was_unknown = sa.exists().where(
            task_event.c.task_id == task.c.id, task_event.c.what == TaskState.UNKNOWN.value
        )
        nameless = sa.or_(
            task.c.state.in_((TaskState.RESERVED, TaskState.UNKNOWN)),
            sa.and_(task.c.state == TaskState.VOID, was_unknown),
        )
        return self._select(task.c.stage.in_(stages), task.c.topview_task_id.is_(None), nameless)

    def charged(
        self, topview_task_ids: Iterable[str]
    ) -> dict[str, tuple[str, tuple[float, float] | None]]:
        """The stage of each of these Topview tasks that a row has, and its span.

        That is when it was accepted and seen finished; None of an adopted one, as nobody knows.
        """
        adopted = sa.exists().where(
            task_event.c.task_id == task.c.id, task_event.c.what == TaskState.UNKNOWN.value
        )
        columns = task.c.topview_task_id, task.c.stage, task.c.pending_at, task.c.succeeded_at
        mine = sa.select(*columns, adopted).where(task.c.account == self._account)
        found: dict[str, tuple[str, tuple[float, float] | None]] = {}
        for some in portions(topview_task_ids):
            for id_, stage, began, ended, is_adopted in self._db.rows(
                mine.where(task.c.topview_task_id.in_(some))
            ):
                is_known = None not in (began, ended) and not is_adopted
                found[id_] = stage, (began, ended) if is_known else None
        return found

    def adopt(self, task_id: int, topview_task_id: str, *, why: str, who: str) -> Task:
        """This is the task that the lost answer named: the next worker polls it."""
        tasks = Tasks(self._db, self._account, self._pipeline)
        return tasks.accepted(task_id, topview_task_id, who=who, found=why)
