"""Credits against limits: what a day and a run have cost so far, and what may still be sent.

The check is part of the reserve transaction, so that it holds across processes. Days are UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from topview_pipeline.ledger.database import Database
from topview_pipeline.ledger.rows import OverLimit, Reservation
from topview_pipeline.ledger.schema import run_limit, task
from topview_pipeline.ledger.states import HeldReason, TaskState

DAY_SECONDS: Final = 86_400.0
_PRICE_SECONDS: Final = 3600.0
"""How often it is looked whether a price is known by now."""
_NOT_BOOKED: Final = (
    TaskState.RESERVED.value,
    TaskState.PENDING.value,
    TaskState.UNKNOWN.value,
    TaskState.STALLED.value,
)
"""Sent, or perhaps sent, and not finished: their estimates count until they end."""

_expected = sa.func.coalesce(task.c.cost_credits, task.c.estimate, 0.0)


@dataclass(frozen=True)
class Spent:
    """Credits of one UTC day.

    Attributes:
        booked: of tasks that finished today; Topview's price, or our estimate where it gave none.
        expected: estimates of all tasks that are on their way, or perhaps are.
    """

    booked: float
    expected: float

    @property
    def total(self) -> float:
        """What the day's limit is compared with."""
        return self.booked + self.expected


def midnight_after(now: float) -> float:
    """The next UTC midnight, in seconds since the epoch."""
    return now - now % DAY_SECONDS + DAY_SECONDS


class Budget:
    """What an account has spent, for whoever asks."""

    def __init__(self, database: Database, account: str) -> None:
        self._db = database
        self._account = account

    def today(self) -> Spent:
        """The credits of this UTC day."""
        with self._db.read() as connection:
            return spent_today(connection, self._account, self._db.now(connection))

    def of_run(self, run_id: str) -> tuple[float, float] | None:
        """The credits spent and expected under a run's limit, and that limit; None without one."""
        with self._db.read() as connection:
            limit = _limit_of(connection, self._account, run_id)
            if limit is None:
                return None
            return _spent_under(connection, self._account, run_id), limit


def spent_today(connection: sa.Connection, account: str, now: float) -> Spent:
    """The credits of the UTC day of `now`."""
    mine = task.c.account == account
    booked = sa.select(sa.func.sum(_expected)).where(
        mine, task.c.booked_at >= midnight_after(now) - DAY_SECONDS
    )
    expected = sa.select(sa.func.sum(_expected)).where(mine, task.c.state.in_(_NOT_BOOKED))
    return Spent(connection.scalar(booked) or 0.0, connection.scalar(expected) or 0.0)


def over_limit(
    connection: sa.Connection,
    account: str,
    wanted: Reservation,
    *,
    limit_run_id: str | None,
    credits_a_day: float | None,
    now: float,
) -> OverLimit | None:
    """Why a task must not be sent now for its price; None when it may.

    Args:
        limit_run_id: the run whose limit the order is under.
        credits_a_day: the account's limit.
    """
    if wanted.estimate == 0.0:
        return None
    run = None if limit_run_id is None else _limit_of(connection, account, limit_run_id)
    if wanted.estimate is None:
        if credits_a_day is None and run is None:
            return None
        reason = HeldReason.BUDGET if run is None else HeldReason.RUN_LIMIT
        return _unknown_price(wanted, reason, until=now + _PRICE_SECONDS)
    if run is not None and limit_run_id is not None:
        spent = _spent_under(connection, account, limit_run_id)
        if spent + wanted.estimate > run:
            return _over(HeldReason.RUN_LIMIT, f"run {limit_run_id[:8]}", spent, wanted, run, None)
    if credits_a_day is not None:
        spent = spent_today(connection, account, now).total
        if spent + wanted.estimate > credits_a_day:
            return _over(
                HeldReason.BUDGET, "today", spent, wanted, credits_a_day, midnight_after(now)
            )
    return None


def _over(
    reason: HeldReason,
    what: str,
    spent: float,
    wanted: Reservation,
    limit: float,
    until: float | None,
) -> OverLimit:
    detail = (
        f"it would cost about {wanted.estimate:g} credits ({wanted.estimate_source}), and "
        f"{what} {spent:g} of {limit:g} are spent or on their way"
    )
    return OverLimit(reason, detail, wanted.estimate, until)


def _unknown_price(wanted: Reservation, reason: HeldReason, *, until: float) -> OverLimit:
    mode = "" if wanted.mode is None else f" in mode {wanted.mode}"
    detail = (
        f"there is a credit limit, and nothing says what {wanted.stage}{mode} costs; "
        "name its price in TOPVIEW_PRICES"
    )
    return OverLimit(reason, detail, None, until)


def _limit_of(connection: sa.Connection, account: str, run_id: str) -> float | None:
    limit: float | None = connection.scalar(
        sa.select(run_limit.c.credits).where(
            run_limit.c.account == account, run_limit.c.run_id == run_id
        )
    )
    return limit


def _spent_under(connection: sa.Connection, account: str, run_id: str) -> float:
    counts: Any = sa.or_(task.c.booked_at.is_not(None), task.c.state.in_(_NOT_BOOKED))
    query = sa.select(sa.func.sum(_expected)).where(
        task.c.account == account, task.c.limit_run_id == run_id, counts
    )
    return connection.scalar(query) or 0.0
