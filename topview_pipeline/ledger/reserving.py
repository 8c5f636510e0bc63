"""Reserving a row: the transaction that makes "at most one" and the slots hold everywhere."""

from __future__ import annotations

import secrets
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from topview_pipeline.ledger.accounts import slots_left_to_us
from topview_pipeline.ledger.reading import TaskReads
from topview_pipeline.ledger.rows import (
    AlreadyLive,
    NoSlot,
    OrderChanged,
    OrderClosed,
    Paused,
    Reservation,
    ReserveAnswer,
    Reserved,
)
from topview_pipeline.ledger.schema import account, orders, task
from topview_pipeline.ledger.states import LIVE, OrderState, TaskState
from topview_pipeline.ledger.wishes import NOT_HELD


class Reserving(TaskReads):
    """Reserves rows of one account."""

    def reserve(self, wanted: Reservation, *, slots: int) -> ReserveAnswer | OrderChanged:
        """Write the row that must exist before the POST, if slots and pause allow it.

        One transaction per account, so that it holds across processes: the check and the row
        cannot be parted by another run.
        """
        try:
            with self._db.write(lock=self._account) as connection:
                return self._reserve(connection, wanted, slots)
        except IntegrityError:
            with self._db.read() as connection:
                live = self._live_id(connection, wanted.fingerprint)
            return AlreadyLive(live if live is not None else 0)

    def _reserve(
        self, connection: sa.Connection, wanted: Reservation, slots: int
    ) -> ReserveAnswer | OrderChanged:
        refusal = self._refusal(connection, wanted, slots)
        if refusal is not None:
            return refusal
        now = self._db.now(connection)
        result = connection.execute(
            task.insert().values(
                account=self._account,
                stage=wanted.stage,
                product_id=wanted.product_id,
                work=wanted.work,
                generation=wanted.generation,
                fingerprint=wanted.fingerprint,
                attempt=wanted.attempt,
                state=TaskState.RESERVED.value,
                run_id=wanted.run_id,
                root_run_id=wanted.root_run_id,
                owner=wanted.owner,
                notice_token=secrets.token_hex(16),
                request=dict(wanted.request),
                inputs=dict(wanted.inputs),
                mode=wanted.mode,
                estimate=wanted.estimate,
                queued_at=wanted.queued_at,
                reserved_at=now,
                deadline_at=now + wanted.deadline_seconds,
            )
        )
        key = result.inserted_primary_key
        if key is None:  # both dialects return it; this narrows the type
            raise RuntimeError("the database returned no key for a new task")
        row_id = int(key[0])
        connection.execute(
            orders.update()
            .where(orders.c.id == wanted.order_id)
            .values(task_id=row_id, updated_at=now, **NOT_HELD)
        )
        connection.execute(
            account.update()
            .where(account.c.id == self._account, account.c.trial.is_(True))
            .values(trial_task=row_id)
        )
        self._record(connection, row_id, "reserved", wanted.owner, now, {"run": wanted.run_id})
        return Reserved(self._get(connection, row_id))

    def _refusal(
        self, connection: sa.Connection, wanted: Reservation, slots: int
    ) -> ReserveAnswer | OrderChanged | None:
        live = self._live_id(connection, wanted.fingerprint)
        if live is not None:
            return AlreadyLive(live)
        order = connection.execute(
            sa.select(orders.c.state, orders.c.failure, orders.c.generation).where(
                orders.c.id == wanted.order_id
            )
        ).one()
        if order.state != OrderState.OPEN.value:
            return OrderClosed(order.failure)
        if order.generation != wanted.generation:
            return OrderChanged(order.generation)
        now = self._db.now(connection)
        row = connection.execute(sa.select(account).where(account.c.id == self._account)).one()
        if row.paused_at is not None and not row.trial:
            return Paused(row.paused_code, row.paused_message, row.probe_at)
        held = self._slots_held(connection, now)
        if held >= slots_left_to_us(row, limit=slots, now=now) or self._is_on_trial(
            connection, row
        ):
            return NoSlot(held)
        return None

    def _is_on_trial(self, connection: sa.Connection, row: Any) -> bool:
        """The one submit after a good probe is under way: its answer decides for the others."""
        if not row.trial or row.trial_task is None:
            return False
        state = connection.scalar(sa.select(task.c.state).where(task.c.id == row.trial_task))
        return state == TaskState.RESERVED.value

    def _slots_held(self, connection: sa.Connection, now: float) -> int:
        held = sa.or_(
            task.c.state.in_((TaskState.RESERVED.value, TaskState.PENDING.value)),
            sa.and_(task.c.state == TaskState.UNKNOWN.value, task.c.deadline_at > now),
        )
        query = sa.select(sa.func.count()).select_from(task)
        return int(connection.scalar(query.where(task.c.account == self._account, held)) or 0)

    def slots_held(self) -> int:
        """Rows that hold a slot now: reserved, pending, and unknown until their deadline."""
        with self._db.read() as connection:
            return self._slots_held(connection, self._db.now(connection))

    def _live_id(self, connection: sa.Connection, fingerprint: str) -> int | None:
        return connection.scalar(
            sa.select(task.c.id).where(
                task.c.account == self._account,
                task.c.fingerprint == fingerprint,
                task.c.state.in_([state.value for state in LIVE]),
            )
        )
