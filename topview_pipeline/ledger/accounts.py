"""The account's row: who it is, its pause and probe, and the slots that others leave us."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import sqlalchemy as sa

from topview_pipeline.ledger.database import Database
from topview_pipeline.ledger.schema import account, task_event

PROBE_FIRST_SECONDS: Final = 60.0
PROBE_LONGEST_SECONDS: Final = 3600.0
CEILING_SECONDS: Final = 30.0
"""Topview's advice after 4007: wait 30 s (topview_api.md section 3)."""


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
        with database.write() as connection:
            known = connection.scalar(sa.select(account.c.id).where(account.c.id == self.id))
            if known is None:
                connection.execute(
                    account.insert().values(
                        id=self.id,
                        origin=base_url,
                        uid=uid,
                        created_at=database.now(connection),
                        trial=False,
                    )
                )

    def pause(self) -> Pause | None:
        """The pause in force, or None."""
        with self._db.read() as connection:
            row = connection.execute(sa.select(account).where(account.c.id == self.id)).one()
            now = self._db.now(connection)
        if row.paused_at is None:
            return None
        return Pause(
            row.paused_code,
            row.paused_message,
            row.paused_at,
            _probe_at(row, now),
            row.paused_credits,
        )

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
