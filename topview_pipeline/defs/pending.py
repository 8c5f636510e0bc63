"""What the pending_task_sensor takes up, and how patiently. Pure functions of state and `now`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Final

from topview_pipeline.ledger import Order, Task

_MOST_ORDERS: Final = 2000
"""In one run's config; what is over it is taken up by the next run."""
_FIRST_WAIT_SECONDS: Final = 60.0
_LONGEST_WAIT_SECONDS: Final = 3600.0


@dataclass(frozen=True)
class TakeUp:
    """Work for one catch_up run.

    Attributes:
        orders: (product, stage) of open orders that are due and that nobody works on.
        strays: ids of task rows on their way home that nobody watches.
        held: how many open orders are not due.
        worked_on: how many open orders and tasks a living producer has.
    """

    orders: tuple[tuple[str, str], ...]
    strays: tuple[int, ...]
    held: int
    worked_on: int

    @property
    def is_empty(self) -> bool:
        """Whether there is no work for a run."""
        return not self.orders and not self.strays

    @property
    def digest(self) -> str:
        """Equal for equal work."""
        return hashlib.sha256(json.dumps([self.orders, self.strays]).encode()).hexdigest()[:16]

    def __str__(self) -> str:
        return (
            f"{len(self.orders)} open orders due, {len(self.strays)} tasks that nobody watches, "
            f"{self.held} held, {self.worked_on} in work"
        )


def take_up(
    orders: Iterable[Order],
    tasks: Iterable[Task],
    *,
    now: float,
    is_alive: Callable[[str | None], bool],
) -> TakeUp:
    """What a run should go on with.

    Args:
        orders: the open ones.
        tasks: those on their way home (`Tasks.on_their_way`).
        now: seconds since the epoch.
        is_alive: whether a producer works.
    """
    due: list[tuple[str, str]] = []
    held = worked_on = 0
    for order in orders:
        if order.owner is not None and is_alive(order.owner):
            worked_on += 1
        elif order.held_reason is not None and (order.held_until is None or order.held_until > now):
            held += 1
        else:
            due.append((order.product_id, order.stage))
    strays: list[int] = []
    for task in tasks:
        if is_alive(task.owner):
            worked_on += 1
        else:
            strays.append(task.id)
    return TakeUp(tuple(due[:_MOST_ORDERS]), tuple(strays), held, worked_on)


@dataclass(frozen=True)
class Patience:
    """The sensor's memory between ticks, kept in its cursor.

    The same work found again means that a run brought nothing forward: the account is refused,
    Topview is down, the catalogue is broken. Then the next run comes after twice the time, one
    minute to one hour, not with every tick.

    Attributes:
        work: digest of what was taken up last.
        times: how often in a row.
        at: when, in seconds since the epoch.
    """

    work: str
    times: int
    at: float

    @classmethod
    def from_cursor(cls, cursor: str | None) -> Patience | None:
        """The memory in a cursor; None when there is none that can be read."""
        try:
            values = json.loads(cursor or "")
            return cls(str(values["work"]), int(values["times"]), float(values["at"]))
        except (ValueError, KeyError, TypeError):
            return None

    def to_cursor(self) -> str:
        """As it is kept."""
        return json.dumps(asdict(self))

    def until(self, found: TakeUp) -> float:
        """When this work may be taken up, in seconds since the epoch."""
        if found.digest != self.work:
            return self.at
        # 60 s doubled six times is over an hour; the cap also keeps the power finite.
        return self.at + min(_FIRST_WAIT_SECONDS * 2.0 ** min(self.times, 6), _LONGEST_WAIT_SECONDS)

    @classmethod
    def after(cls, before: Patience | None, found: TakeUp, *, now: float) -> Patience:
        """The memory once this work was taken up."""
        again = before is not None and before.work == found.digest
        return cls(found.digest, before.times + 1 if before is not None and again else 1, now)
