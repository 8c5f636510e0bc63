"""The moves of a row of paid work after it was reserved.

Each move is one transaction with its event; a move that `states.MOVES` does not have is refused.
Moves take the account's lock, too: a reservation adds up the account's rows in more than one
statement, and none may change in between.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from topview_pipeline.ledger.accounts import resume
from topview_pipeline.ledger.errors import IllegalMove
from topview_pipeline.ledger.materializing import materialize
from topview_pipeline.ledger.reserving import Reserving
from topview_pipeline.ledger.rows import Task
from topview_pipeline.ledger.schema import account, orders, task
from topview_pipeline.ledger.states import LIVE, MOVES, OrderState, TaskState
from topview_pipeline.ledger.superseding import free_orders_of_dead_scenes
from topview_pipeline.ledger.wishes import NOT_HELD


class Tasks(Reserving):
    """Reads, reserves and moves the task rows of one account."""

    def accepted(self, row_id: int, topview_task_id: str, *, who: str) -> Task:
        """Topview gave a task id, and `who` watches the row from now on.

        Ends the account's pause when this row was its trial, and the holds of its orders.

        Raises:
            IllegalMove: the id is already another row's, or the row is not reserved (or unknown).
        """
        try:
            with self._db.write(lock=self._account) as connection:
                moved = self._move(
                    connection,
                    row_id,
                    TaskState.PENDING,
                    who=who,
                    detail={"topview_task_id": topview_task_id},
                    topview_task_id=topview_task_id,
                    pending_at=self._db.now(connection),
                    owner=who,
                )
                now = self._db.now(connection)
                if resume(connection, self._account, account.c.trial_task == row_id, now=now):
                    self._record(connection, row_id, "resumed", who, now, {})
                connection.execute(
                    orders.update()
                    .where(orders.c.task_id == row_id, orders.c.state == OrderState.OPEN.value)
                    .values(updated_at=now, **NOT_HELD)
                )
                return moved
        except IntegrityError as error:
            raise IllegalMove(
                f"task row {row_id}: Topview answered with task {topview_task_id}, "
                "which another row of the ledger has already"
            ) from error

    def succeeded(
        self, row_id: int, *, result: Mapping[str, Any], cost_credits: float | None, who: str
    ) -> Task:
        """Finished at Topview: the slot is free, the artifacts are not ours yet.

        Without a price of Topview's the estimate stays booked, for the limits.
        """
        with self._db.write(lock=self._account) as connection:
            now = self._db.now(connection)
            booked = cost_credits
            if booked is None:
                booked = connection.scalar(
                    sa.select(task.c.cost_credits).where(task.c.id == row_id)
                )
            return self._move(
                connection,
                row_id,
                TaskState.SUCCEEDED,
                came_from=(TaskState.PENDING, TaskState.STALLED),
                who=who,
                detail={"credits": booked},
                result=dict(result),
                cost_credits=booked,
                booked_at=now,
                succeeded_at=now,
            )

    def stored(self, row_id: int, *, artifacts: Sequence[Mapping[str, Any]], who: str) -> Task:
        """Its artifacts are verified and written.

        Its owner stays until Dagster has the event: the row is in work until then. Orders that
        were held because an earlier row of its kind had died, and that now stand on this one, are
        due.
        """
        with self._db.write(lock=self._account) as connection:
            now = self._db.now(connection)
            stored = self._move(
                connection,
                row_id,
                TaskState.STORED,
                who=who,
                detail={"files": len(artifacts)},
                artifacts=[dict(artifact) for artifact in artifacts],
                quality=sa.null(),  # None would be kept as the JSON word
                stored_at=now,
            )
            free_orders_of_dead_scenes(connection, self._account, stored, now)
            return stored

    def measured(self, row_id: int, quality: Mapping[str, Any]) -> None:
        """Keep what measuring a stored row's artifacts said, until they are stored anew."""
        with self._db.write() as connection:
            connection.execute(
                task.update().where(task.c.id == row_id).values(quality=dict(quality))
            )

    def lost_from_store(self, row_id: int, *, detail: str, who: str) -> Task:
        """A stored row whose file is gone: it is to be downloaded again."""
        with self._db.write(lock=self._account) as connection:
            return self._move(
                connection,
                row_id,
                TaskState.SUCCEEDED,
                came_from=(TaskState.STORED,),
                who=who,
                detail={"missing": detail},
            )

    def failed(
        self,
        row_id: int,
        *,
        code: str | None,
        message: str,
        retryable: bool,
        not_before: float | None,
        who: str,
    ) -> Task:
        """Final for this row. `not_before`: when the next attempt may start by itself."""
        with self._db.write(lock=self._account) as connection:
            return self._move(
                connection,
                row_id,
                TaskState.FAILED,
                who=who,
                detail={"code": code, "message": message, "retryable": retryable},
                error_code=code,
                error_message=message,
                retryable=retryable,
                not_before=not_before,
                closed_at=self._db.now(connection),
                owner=None,
            )

    def ended(self, row_id: int, state: TaskState, *, why: str, who: str) -> Task:
        """Move to unknown, stalled, released, expired or superseded, with the reason."""
        with self._db.write(lock=self._account) as connection:
            now = self._db.now(connection)
            closed: dict[str, Any] = {} if state in LIVE else {"closed_at": now}
            return self._move(
                connection,
                row_id,
                state,
                who=who,
                detail={"why": why},
                error_message=why,
                owner=None,
                **closed,
            )

    def queried(self, row_id: int) -> None:
        """Note when Topview was last asked; hourly questions go by it."""
        with self._db.write() as connection:
            connection.execute(
                task.update()
                .where(task.c.id == row_id)
                .values(last_query_at=self._db.now(connection))
            )

    def adopt(
        self, row_id: int, *, owner: str, is_alive: Callable[[str | None], bool]
    ) -> Task | None:
        """Take over the watch of a row whose owner is gone; None when somebody was quicker.

        Returns:
            The row as it is now, which may have ended since the caller looked at it.
        """
        before = self.get(row_id)
        if before.owner == owner:
            return before
        if is_alive(before.owner):
            return None
        with self._db.write(lock=self._account) as connection:
            taken = connection.execute(
                task.update()
                .where(task.c.id == row_id, task.c.owner.is_not_distinct_from(before.owner))
                .values(owner=owner)
            )
            if not taken.rowcount:
                return None
            now = self._db.now(connection)
            self._record(connection, row_id, "adopted", owner, now, {"from": before.owner})
            return self._get(connection, row_id)

    def let_go(self, row_id: int, *, owner: str) -> None:
        """Its owner lives on and no longer watches it: whoever comes next may, at once."""
        with self._db.write(lock=self._account) as connection:
            connection.execute(
                task.update().where(task.c.id == row_id, task.c.owner == owner).values(owner=None)
            )

    def give_up(self, owner: str) -> None:
        """A producer ends: nobody watches its rows any more."""
        with self._db.write(lock=self._account) as connection:
            connection.execute(
                task.update()
                .where(task.c.account == self._account, task.c.owner == owner)
                .values(owner=None)
            )

    def materialized(self, row_id: int) -> None:
        """Dagster has stored an event of this row; later ones are reuses."""
        with self._db.write(lock=self._account) as connection:
            materialize(connection, row_id, self._db.now(connection))

    def _move(
        self,
        connection: sa.Connection,
        row_id: int,
        to: TaskState,
        *,
        who: str,
        detail: Mapping[str, Any],
        came_from: Collection[TaskState] = tuple(TaskState),
        **values: Any,
    ) -> Task:
        sources = [state.value for state in came_from if to in MOVES[state]]
        now = self._db.now(connection)
        before = connection.scalar(sa.select(task.c.state).where(task.c.id == row_id))
        moved = connection.execute(
            task.update()
            .where(task.c.id == row_id, task.c.state.in_(sources))
            .values(state=to.value, **values)
        )
        if moved.rowcount != 1:
            raise IllegalMove(f"task row {row_id} is {before}; it cannot become {to.value}")
        self._record(connection, row_id, to.value, who, now, {"from": before, **detail})
        return self._get(connection, row_id)
