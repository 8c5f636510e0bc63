"""The account's row: who it is, its pause and probe, and the slots that others leave us."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from topview_pipeline.ledger.database import Database
from topview_pipeline.ledger.schema import account, orders, task_event
from topview_pipeline.ledger.states import HeldReason, OrderState
from topview_pipeline.ledger.wishes import NOT_HELD

PROBE_FIRST_SECONDS: Final = 60.0
PROBE_LONGEST_SECONDS: Final = 3600.0
CEILING_SECONDS: Final = 30.0
"""Topview's advice after 4007: wait 30 s."""


def account_id(base_url: str, uid: str) -> str:
    """Name of an account: its origin and uid, never its key.

    The origin is part of it, so that the sandbox's work is never taken for the real one's.
    """
    parts = urlsplit(base_url.strip())
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    origin = f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"
    digest = hashlib.sha256(f"{origin}\n{uid.strip()}".encode()).hexdigest()
    return digest[:16]


NO_PAUSE: Final = {
    "paused_at": None,
    "paused_code": None,
    "paused_message": None,
    "paused_credits": None,
    "probe_at": None,
    "probe_wait": None,
    "trial": False,
    "trial_task": None,
}
"""The account's columns when nothing is paused."""


@dataclass(frozen=True)
class Pause:
    """Why nothing is submitted at the moment, and when the account is looked at again."""

    code: str
    message: str
    since: float
    probe_at: float
    credits: float | None


class Accounts:
    """Reads and moves the row of one account."""

    def __init__(self, database: Database, *, base_url: str, uid: str) -> None:
        self._db = database
        self.id = account_id(base_url, uid)
        with database.read() as connection:
            known = connection.scalar(sa.select(account.c.id).where(account.c.id == self.id))
        if known is None:
            self._register(base_url, uid)

    def _register(self, base_url: str, uid: str) -> None:
        # Two processes may open a new ledger at once: the second finds the row of the first.
        with suppress(IntegrityError), self._db.write() as connection:
            connection.execute(
                account.insert().values(
                    id=self.id,
                    origin=base_url,
                    uid=uid,
                    created_at=self._db.now(connection),
                    trial=False,
                )
            )

    def pause(self) -> Pause | None:
        """The pause in force, or None."""
        with self._db.read() as connection:
            row = connection.execute(sa.select(account).where(account.c.id == self.id)).one()
            now = self._db.now(connection)
        return None if row.paused_at is None else _pause(row, now)

    def pause_to_tell(self, *, who: str) -> Pause | None:
        """The pause in force, the first time that somebody asks in order to tell of it."""
        with self._db.write(lock=self.id) as connection:
            row = connection.execute(sa.select(account).where(account.c.id == self.id)).one()
            if row.paused_at is None:
                return None
            told = sa.select(task_event.c.id).where(
                task_event.c.account == self.id,
                task_event.c.what == "pause told",
                task_event.c.at >= row.paused_at,
            )
            if connection.execute(told.limit(1)).first() is not None:
                return None
            self._record(connection, "pause told", who, {"code": row.paused_code})
            return _pause(row, self._db.now(connection))

    def stop_submits(self, *, code: str, message: str, who: str) -> None:
        """Pause all submits of the account, or go on with the pause.

        A refusal of the trial, or of a probe that was due, doubles the wait for the next probe.
        One that comes while the pause is fresh belongs to a request that was under way: it changes
        nothing.
        """
        with self._db.write(lock=self.id) as connection:
            row = connection.execute(sa.select(account).where(account.c.id == self.id)).one()
            now = self._db.now(connection)
            if row.paused_at is not None and not row.trial and now < _probe_at(row, now):
                return
            wait = min((row.probe_wait or PROBE_FIRST_SECONDS / 2) * 2, PROBE_LONGEST_SECONDS)
            connection.execute(
                account.update()
                .where(account.c.id == self.id)
                .values(
                    paused_at=row.paused_at or now,
                    paused_code=code,
                    paused_message=message,
                    paused_credits=None if row.trial else row.paused_credits,
                    probe_at=now + wait,
                    probe_wait=wait,
                    trial=False,
                    trial_task=None,
                )
            )
            self._record(connection, "paused", who, {"code": code, "message": message})

    def note_credits(self, remaining: float) -> None:
        """What was left when the pause began; a probe compares with it."""
        with self._db.write(lock=self.id) as connection:
            connection.execute(
                account.update()
                .where(account.c.id == self.id, account.c.paused_at.is_not(None))
                .values(paused_credits=remaining)
            )

    def allow_trial(self, *, who: str) -> None:
        """A probe was good: let one submit through. A trial under way stays the only one."""
        with self._db.write(lock=self.id) as connection:
            allowed = connection.execute(
                account.update()
                .where(
                    account.c.id == self.id,
                    account.c.paused_at.is_not(None),
                    account.c.trial.is_(False),
                )
                .values(trial=True, trial_task=None)
            )
            if allowed.rowcount:
                self._record(connection, "trial", who, {})

    def end_pause(self, *, who: str) -> bool:
        """A person says that the account works; False when nothing was paused."""
        with self._db.write(lock=self.id) as connection:
            now = self._db.now(connection)
            ended = resume(connection, self.id, account.c.paused_at.is_not(None), now=now)
            if ended:
                self._record(connection, "resumed", who, {})
            return ended

    def shrink_slots(self, ours: int) -> None:
        """Code 4007 while `ours` live tasks are ours: somebody else uses the other slots."""
        with self._db.write(lock=self.id) as connection:
            connection.execute(
                account.update()
                .where(account.c.id == self.id)
                .values(
                    slot_ceiling=max(ours, 1),
                    slot_ceiling_until=self._db.now(connection) + CEILING_SECONDS,
                )
            )

    def _record(
        self, connection: sa.Connection, what: str, who: str, detail: dict[str, object]
    ) -> None:
        connection.execute(
            task_event.insert().values(
                account=self.id, at=self._db.now(connection), what=what, who=who, detail=detail
            )
        )


def resume(
    connection: sa.Connection, account_id: str, if_: sa.ColumnElement[bool], *, now: float
) -> bool:
    """End the account's pause under a condition, and all holds because of it; whether it did."""
    ended = connection.execute(
        account.update().where(account.c.id == account_id, if_).values(NO_PAUSE)
    )
    if not ended.rowcount:
        return False
    connection.execute(
        orders.update()
        .where(
            orders.c.account == account_id,
            orders.c.state == OrderState.OPEN.value,
            orders.c.held_reason == HeldReason.PAUSE.value,
        )
        .values(updated_at=now, **NOT_HELD)
    )
    return True


def _pause(row: sa.Row[Any], now: float) -> Pause:
    return Pause(
        row.paused_code, row.paused_message, row.paused_at, _probe_at(row, now), row.paused_credits
    )


def _probe_at(row: sa.Row[Any], now: float) -> float:
    """When the next probe is due: after a clock was set back, at most one whole wait from now."""
    return float(min(row.probe_at, now + row.probe_wait))


def slots_left_to_us(row: sa.Row[tuple[object, ...]], *, limit: int, now: float) -> int:
    """The limit, lowered by what Topview refused lately; it grows by one each half minute."""
    if row.slot_ceiling is None or row.slot_ceiling_until is None:
        return limit
    waits = row.slot_ceiling_until - now
    if waits > CEILING_SECONDS:  # the clock was set back: the refusal is as old as can be
        return limit
    steps = 0 if waits > 0 else 1 + int(-waits // CEILING_SECONDS)
    return int(min(limit, row.slot_ceiling + steps))
