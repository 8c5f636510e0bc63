"""Rows whose submit's answer was lost: looking for them, and the two moves that end their waiting.

What Topview's credit log says about them, and which move follows, is not decided here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from topview_pipeline.ledger.errors import IllegalMove
from topview_pipeline.ledger.reading import TaskReads
from topview_pipeline.ledger.rows import Task
from topview_pipeline.ledger.schema import account, orders, task, task_event
from topview_pipeline.ledger.states import HeldReason, OrderState, TaskState
from topview_pipeline.ledger.wishes import NOT_HELD

RECONCILE_SECONDS: Final = 600.0
"""How often Topview's credit log is looked at while there are unknown rows and no run works."""
_MOST_NAMED: Final = 500
"""Ids in one statement."""
_LOOKED = "looked_for"


class Unknowns(TaskReads):
    """The unknown rows of one account."""

    def rows(self) -> list[Task]:
        """All of them, the oldest first."""
        return self.in_state((TaskState.UNKNOWN,))

    def is_due(self, now: float) -> bool:
        """Whether there are any and the credit log was not looked at for ten minutes.

        A look in the future was before the clock was set back: it counts for nothing.
        """
        query = sa.select(task.c.id).where(
            task.c.account == self._account, task.c.state == TaskState.UNKNOWN.value
        )
        with self._db.read() as connection:
            if connection.scalar(query.limit(1)) is None:
                return False
            at = connection.scalar(
                sa.select(account.c.reconciled_at).where(account.c.id == self._account)
            )
        return at is None or not 0 <= now - at < RECONCILE_SECONDS

    def note_look(self, row_ids: Iterable[int], *, topview_time: float | None, who: str) -> None:
        """The credit log was looked at.

        Args:
            row_ids: rows looked for now for the first time, as an event of theirs.
            topview_time: when, by Topview's clock; None when that is not to be relied on: then
                only the account's row remembers the look.
        """
        with self._db.write(lock=self._account) as connection:
            now = self._db.now(connection)
            connection.execute(
                account.update().where(account.c.id == self._account).values(reconciled_at=now)
            )
            for row_id in row_ids if topview_time is not None else ():
                self._record(connection, row_id, _LOOKED, who, now, {"topview_time": topview_time})

    def first_looks(self, row_ids: Collection[int]) -> dict[int, float]:
        """When rows were first looked for, by Topview's clock (seconds since the epoch)."""
        query = (
            sa.select(task_event.c.task_id, task_event.c.detail)
            .where(task_event.c.task_id.in_(list(row_ids)), task_event.c.what == _LOOKED)
            .order_by(task_event.c.id.desc())
        )
        with self._db.read() as connection:
            found = connection.execute(query).all()
        return {row.task_id: float(row.detail["topview_time"]) for row in found}

    def without_task_id(self, stages: Collection[str]) -> list[Task]:
        """Rows of these stages whose task at Topview, if there is one, has a name we do not know.

        Reserved and unknown ones, and those that were released after they had been unknown: what
        was taken for never charged may be charged yet.
        """
        was_unknown = sa.exists().where(
            task_event.c.task_id == task.c.id, task_event.c.what == TaskState.UNKNOWN.value
        )
        query = (
            sa.select(task)
            .where(
                task.c.account == self._account,
                task.c.stage.in_(list(stages)),
                task.c.topview_task_id.is_(None),
                sa.or_(
                    task.c.state.in_((TaskState.RESERVED.value, TaskState.UNKNOWN.value)),
                    sa.and_(task.c.state == TaskState.RELEASED.value, was_unknown),
                ),
            )
            .order_by(task.c.id)
        )
        with self._db.read() as connection:
            return [Task.from_row(row) for row in connection.execute(query)]

    def stages_of(self, topview_task_ids: Collection[str]) -> dict[str, str]:
        """The stage of each of these Topview tasks that a row of the ledger has."""
        named = sorted(set(topview_task_ids))
        found: dict[str, str] = {}
        with self._db.read() as connection:
            for start in range(0, len(named), _MOST_NAMED):
                query = sa.select(task.c.topview_task_id, task.c.stage).where(
                    task.c.account == self._account,
                    task.c.topview_task_id.in_(named[start : start + _MOST_NAMED]),
                )
                found |= {row.topview_task_id: row.stage for row in connection.execute(query)}
        return found

    def adopt(self, row_id: int, topview_task_id: str, *, why: str, who: str) -> Task:
        """This is the task that the lost answer named: whoever comes next follows it.

        Its deadline starts anew: it is followed also when it should have ended long ago.

        Raises:
            IllegalMove: the row is not unknown, or another row has that task.
        """
        detail = {"topview_task_id": topview_task_id, "why": why}
        try:
            with self._db.write(lock=self._account) as connection:
                now = self._db.now(connection)
                return self._end(
                    connection,
                    row_id,
                    TaskState.PENDING,
                    (TaskState.UNKNOWN,),
                    detail,
                    who,
                    topview_task_id=topview_task_id,
                    pending_at=now,
                    deadline_at=now + task.c.deadline_at - task.c.reserved_at,
                    error_message=None,
                )
        except IntegrityError as error:
            raise IllegalMove(
                f"task row {row_id} cannot be Topview task {topview_task_id}: "
                "another row of the ledger has that already"
            ) from error

    def release(
        self, row_id: int, *, why: str, who: str, evidence: Mapping[str, Any] | None = None
    ) -> Task:
        """Taken for never charged, or given up by a person: the work may be submitted again.

        Raises:
            IllegalMove: the row is neither unknown nor stalled.
        """
        with self._db.write(lock=self._account) as connection:
            return self._end(
                connection,
                row_id,
                TaskState.RELEASED,
                (TaskState.UNKNOWN, TaskState.STALLED),
                {"why": why, **(evidence or {})},
                who,
                closed_at=self._db.now(connection),
                error_message=why,
            )

    def free_orders(self) -> None:
        """Orders that are held for a lost answer which is settled by now are due.

        A run that read the row before it was settled may hold its order after.
        """
        settled = (
            sa.select(orders.c.id)
            .join(task, task.c.id == orders.c.task_id)
            .where(
                orders.c.account == self._account,
                orders.c.state == OrderState.OPEN.value,
                orders.c.held_reason == HeldReason.UNKNOWN.value,
                task.c.state != TaskState.UNKNOWN.value,
            )
        )
        with self._db.read() as connection:
            found = list(connection.scalars(settled))
        if not found:
            return
        with self._db.write(lock=self._account) as connection:
            self._make_due(connection, found)

    def _end(
        self,
        connection: sa.Connection,
        row_id: int,
        to: TaskState,
        sources: Collection[TaskState],
        detail: Mapping[str, Any],
        who: str,
        **values: Any,
    ) -> Task:
        mine = sa.and_(task.c.id == row_id, task.c.account == self._account)
        before = connection.scalar(sa.select(task.c.state).where(mine))
        moved = connection.execute(
            task.update()
            .where(mine, task.c.state.in_([state.value for state in sources]))
            .values(state=to.value, owner=None, **values)
        )
        if moved.rowcount != 1:
            raise IllegalMove(f"task row {row_id} is {before}; it cannot become {to.value}")
        now = self._db.now(connection)
        self._record(connection, row_id, to.value, who, now, {"from": before, **detail})
        relying = connection.scalars(
            sa.select(orders.c.id).where(
                orders.c.task_id == row_id, orders.c.state == OrderState.OPEN.value
            )
        )
        self._make_due(connection, list(relying))
        return self._get(connection, row_id)

    def _make_due(self, connection: sa.Connection, order_ids: Collection[int]) -> None:
        """End the holds of these orders, and of those of the same products that wait for them."""
        products = sa.select(orders.c.product_id).where(orders.c.id.in_(list(order_ids)))
        waits = sa.and_(
            orders.c.account == self._account,
            orders.c.product_id.in_(products),
            orders.c.held_reason == HeldReason.UPSTREAM.value,
        )
        connection.execute(
            orders.update()
            .where(
                orders.c.state == OrderState.OPEN.value,
                sa.or_(orders.c.id.in_(list(order_ids)), waits),
            )
            .values(updated_at=self._db.now(connection), **NOT_HELD)
        )
