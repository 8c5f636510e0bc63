"""Credits against limits: the spending of a day and of a run, and what may still be sent.

The check is part of the reserve transaction, so that it holds across processes. Days are UTC.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import sqlalchemy as sa

from topview_pipeline.ledger.database import Part
from topview_pipeline.ledger.schema import task
from topview_pipeline.ledger.task_row import OverLimit, Priced, TaskState
from topview_pipeline.text import counted

_DAY_SECONDS: Final = 86_400.0
_PRICE_SECONDS: Final = 3600.0
"""After this time somebody may have named a price."""
_NEWEST: Final = 200
"""Tasks from which it is known what one may cost."""
_ON_ITS_WAY: Final = (
    TaskState.RESERVED,
    TaskState.PENDING,
    TaskState.UNKNOWN,
    TaskState.OVERDUE,
    TaskState.SUCCEEDED,
)
# Topview also answers 0 before it has booked.
_credits = sa.func.coalesce(sa.func.nullif(task.c.cost_credits, 0.0), task.c.estimate, 0.0)


@dataclass(frozen=True)
class Spent:
    """Credits of one UTC day.

    Attributes:
        booked: of tasks that finished today; our estimate where Topview gave no price.
        expected: estimates of all tasks that are on their way, or perhaps are.
    """

    booked: float
    expected: float

    @property
    def total(self) -> float:
        """The sum that the day's limit is compared with."""
        return self.booked + self.expected


class Budget(Part):
    """The spending of one account."""

    def today(self) -> Spent:
        with self._db.read() as connection:
            return spent_today(connection, self._account, self._db.now(connection))

    def dearest(self) -> float:
        """The highest estimate of the newest tasks; 0 without one."""
        newest = sa.select(task.c.estimate).where(task.c.account == self._account)
        newest = newest.order_by(task.c.id.desc()).limit(_NEWEST)
        return self._db.scalar(sa.select(sa.func.max(newest.subquery().c.estimate))) or 0.0


def midnight_after(now: float) -> float:
    """The next UTC midnight, in seconds since the epoch."""
    return now - now % _DAY_SECONDS + _DAY_SECONDS


def limit_reached(
    wanted: Priced,
    credits_a_day: float | None,
    now: float,
    *,
    today: Callable[[], float],
    by_run: Callable[[], float],
) -> OverLimit | None:
    """The limit that forbids a task when so much is spent or on its way."""
    run_limit = wanted.credit_limit
    if wanted.estimate == 0.0 or (run_limit is None and credits_a_day is None):
        return None
    if wanted.estimate is None:
        return without_price(wanted.estimate_source, run_limit, now)
    if credits_a_day is not None:
        spent = today()
        if _is_more(spent + wanted.estimate, credits_a_day):
            detail = _numbers(wanted, "today", spent, credits_a_day)
            return OverLimit("day", detail, midnight_after(now))
    if run_limit is not None:
        spent = by_run()
        if _is_more(spent + wanted.estimate, run_limit):
            detail = _numbers(wanted, f"run {wanted.root_run_id}", spent, run_limit)
            return OverLimit("run", detail, None)
    return None


def without_price(why: str, run_limit: float | None, now: float) -> OverLimit:
    """The answer for a task under a limit whose estimate is unknown; `why` is the estimate's."""
    of: Literal["day", "run"] = "day" if run_limit is None else "run"
    detail, fix = f"there is a credit limit, and {why}", "add the price, or run without a limit"
    return OverLimit(of, detail, now + _PRICE_SECONDS, fix)


def _is_more(total: float, limit: float) -> bool:
    return total - limit > 1e-6  # 0.1 and 0.2 are not more than 0.3


def _numbers(wanted: Priced, of: str, spent: float, limit: float) -> str:
    cost = counted(wanted.estimate or 0.0, "credit")
    return (
        f"it would cost about {cost} ({wanted.estimate_source}), and "
        f"{of} {round(spent, 2):g} of {limit:g} are spent or on their way"
    )


def spent_today(connection: sa.Connection, account: str, now: float) -> Spent:
    """The credits of this UTC day, within a transaction."""
    today = task.c.booked_at >= midnight_after(now) - _DAY_SECONDS
    return Spent(_sum(connection, account, today), _sum(connection, account, *_not_booked()))


def spent_by_run(connection: sa.Connection, account: str, root_run_id: str) -> float:
    """The credits of a root run, within a transaction."""
    of_run = task.c.root_run_id == root_run_id
    booked = _sum(connection, account, of_run, task.c.booked_at.is_not(None))
    return booked + _sum(connection, account, of_run, *_not_booked())


def _not_booked() -> tuple[sa.ColumnElement[bool], ...]:
    return task.c.state.in_(_ON_ITS_WAY), task.c.booked_at.is_(None)


def _sum(connection: sa.Connection, account: str, *which: sa.ColumnElement[bool]) -> float:
    query = sa.select(sa.func.sum(_credits)).where(task.c.account == account, *which)
    return connection.scalar(query) or 0.0
