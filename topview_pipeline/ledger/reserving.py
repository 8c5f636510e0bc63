"""Reserving a row: the transaction that makes "at most one" and the slots hold everywhere."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from topview_pipeline.ledger.accounts import slots_left_to_us
from topview_pipeline.ledger.budget import over_limit
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
from topview_pipeline.ledger.sharing import note_served, note_waiting, turn_of
from topview_pipeline.ledger.states import LIVE, OrderState, TaskState
from topview_pipeline.ledger.wishes import NOT_HELD

_MAY_HOLD: Final = (TaskState.RESERVED, TaskState.PENDING, TaskState.UNKNOWN)
"""Of a slot; an unknown row does until its deadline."""


@dataclass(frozen=True)
class _Allowed:
    slots: int
    credits_a_day: float | None


class Reserving(TaskReads):
    """Reserves rows of one account."""

    def reserve(
        self,
        wanted: Reservation,
        *,
        slots: int,
        credits_a_day: float | None = None,
        is_last_in_line: bool = False,
    ) -> ReserveAnswer | OrderChanged:
        """Write the row that must exist before the POST, if slots, limits and pause allow it.

        One transaction per account, so that it holds across processes: the check and the row
        cannot be parted by another run.

        Args:
            slots: of the account, for all runs together.
            credits_a_day: the account's limit for a UTC day.
            is_last_in_line: the producer has nothing else that waits for a slot.
        """
        allowed = _Allowed(slots, credits_a_day)
        try:
            with self._db.write(lock=self._account) as connection:
                answer = self._reserve(connection, wanted, allowed)
                if isinstance(answer, NoSlot):
                    note_waiting(
                        connection, wanted.owner, slots=slots, now=self._db.now(connection)
                    )
                elif isinstance(answer, Reserved) and is_last_in_line:
                    note_served(connection, wanted.owner)
                return answer
        except IntegrityError:
            with self._db.read() as connection:
                live = self._live_id(connection, wanted.fingerprint)
            return AlreadyLive(live if live is not None else 0)

    def _reserve(
        self, connection: sa.Connection, wanted: Reservation, allowed: _Allowed
    ) -> ReserveAnswer | OrderChanged:
        order = connection.execute(
            sa.select(
                orders.c.state, orders.c.failure, orders.c.generation, orders.c.limit_run_id
            ).where(orders.c.id == wanted.order_id)
        ).one()
        refusal = self._refusal(connection, wanted, order, allowed)
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
                seconds=wanted.seconds,
                limit_run_id=order.limit_run_id,
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
        detail = {
            "run": wanted.run_id,
            "estimate": wanted.estimate,
            "estimate_source": wanted.estimate_source,
        }
        self._record(connection, row_id, "reserved", wanted.owner, now, detail)
        return Reserved(self._get(connection, row_id))

    def _refusal(
        self, connection: sa.Connection, wanted: Reservation, order: Any, allowed: _Allowed
    ) -> ReserveAnswer | OrderChanged | None:
        live = self._live_id(connection, wanted.fingerprint)
        if live is not None:
            return AlreadyLive(live)
        if order.state != OrderState.OPEN.value:
            return OrderClosed(order.failure)
        if order.generation != wanted.generation:
            return OrderChanged(order.generation)
        now = self._db.now(connection)
        row = connection.execute(sa.select(account).where(account.c.id == self._account)).one()
        if row.paused_at is not None and not row.trial:
            return Paused(row.paused_code, row.paused_message, row.probe_at)
        over = over_limit(
            connection,
            self._account,
            wanted,
            limit_run_id=order.limit_run_id,
            credits_a_day=allowed.credits_a_day,
            now=now,
        )
        if over is not None:
            return over
        held = self._slots_held(connection, now)
        turn = turn_of(connection, self._account, wanted.owner, taken=held, now=now)
        if (
            held >= slots_left_to_us(row, limit=allowed.slots, now=now)
            or turn.is_anothers
            or self._is_on_trial(connection, row)
        ):
            return NoSlot(held, turn.is_contended)
        return None

    def _is_on_trial(self, connection: sa.Connection, row: Any) -> bool:
        """The one submit after a good probe is under way: its answer decides for the others."""
        if not row.trial or row.trial_task is None:
            return False
        state = connection.scalar(sa.select(task.c.state).where(task.c.id == row.trial_task))
        return state == TaskState.RESERVED.value

    def _slots_held(self, connection: sa.Connection, now: float) -> int:
        # The states come first and in one list, so that the index by state answers: with an OR of
        # states SQLite reads every row of the account, and each reservation asks.
        query = sa.select(sa.func.count()).where(
            task.c.account == self._account,
            task.c.state.in_([state.value for state in _MAY_HOLD]),
            sa.or_(task.c.state != TaskState.UNKNOWN.value, task.c.deadline_at > now),
        )
        return int(connection.scalar(query) or 0)

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
