"""What the pending_task_sensor takes up, and how patiently. Pure functions of state and `now`."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from functools import cache
from typing import Final

from topview_pipeline.ledger import HeldReason, Ledger, Order, Task, due_at
from topview_pipeline.stages import STAGES

_PLACES: Final = {stage.key: place for place, stage in enumerate(STAGES)}
_LIMITS: Final = (HeldReason.BUDGET, HeldReason.RUN_LIMIT)
_MOST_ORDERS: Final = 2000
"""In one run's config; what is over it is taken up by the next run."""
_FIRST_WAIT_SECONDS: Final = 60.0
_LONGEST_WAIT_SECONDS: Final = 3600.0


@dataclass(frozen=True)
class TakeUp:
    """Work for one catch_up run.

    Attributes:
        orders: (product, stage) of open orders that are due and that nobody works on.
        strays: ids of task rows on their way home that nobody watches, the soonest to be out of
            reach first.
        held: how many open orders are not due, by why.
        worked_on: how many open orders and tasks a living producer has.
    """

    orders: tuple[tuple[str, str], ...]
    strays: tuple[int, ...]
    held: Mapping[HeldReason, int]
    worked_on: int

    @property
    def is_empty(self) -> bool:
        """Whether there is no work for a run."""
        return not self.orders and not self.strays

    @property
    def digest(self) -> str:
        """Equal for equal work."""
        return hashlib.sha256(json.dumps([self.orders, self.strays]).encode()).hexdigest()[:16]

    @property
    def for_one_run(self) -> tuple[tuple[str, str], ...]:
        """The orders that a run takes: its config must not grow without end. The next takes more.

        A product's orders lie together and are not parted.
        """
        end = _MOST_ORDERS
        while 0 < end < len(self.orders) and self.orders[end][0] == self.orders[end - 1][0]:
            end -= 1
        return self.orders[:end]

    def __str__(self) -> str:
        reasons = ", ".join(f"{count} {reason.value}" for reason, count in self.held.items())
        return (
            f"{len(self.orders)} open orders due, {len(self.strays)} tasks that nobody watches, "
            f"{sum(self.held.values())} held{f' ({reasons})' if reasons else ''}, "
            f"{self.worked_on} in work"
        )


def take_up(
    orders: Iterable[Order],
    tasks: Iterable[Task],
    *,
    now: float,
    is_alive: Callable[[str | None], bool],
    room: Callable[[Order], float | None] = lambda _: None,
) -> TakeUp:
    """What a run should go on with.

    Args:
        orders: the open ones.
        tasks: those on their way home (`Tasks.on_their_way`).
        now: seconds since the epoch.
        is_alive: whether a producer works.
        room: credits left under the limit that holds an order; None is no limit.
    """
    of_products: defaultdict[str, list[Order]] = defaultdict(list)
    for order in orders:
        of_products[order.product_id].append(order)
    due: list[tuple[str, str]] = []
    held: Counter[HeldReason] = Counter()
    worked_on = 0
    for of_product in of_products.values():
        waits = False
        for order in sorted(of_product, key=lambda order: _PLACES[order.stage]):
            standing = _standing(order, now, is_alive, room)
            # A later stage is never made while an earlier one that is ordered is not: it would be
            # made, and paid, from what that one replaces.
            if standing is _Standing.DUE and not waits:
                due.append((order.product_id, order.stage))
                continue
            waits = True
            if standing is _Standing.WORKED_ON:
                worked_on += 1
            else:
                held[order.held_reason or HeldReason.UPSTREAM] += 1
    strays: list[int] = []
    for task in tasks:
        if is_alive(task.owner):
            worked_on += 1
        else:
            strays.append(task.id)
    return TakeUp(tuple(due), tuple(strays), held, worked_on)


class _Standing(Enum):
    DUE = "due"
    HELD = "held"
    WORKED_ON = "worked on"


def _standing(
    order: Order,
    now: float,
    is_alive: Callable[[str | None], bool],
    room: Callable[[Order], float | None],
) -> _Standing:
    if order.owner is not None and is_alive(order.owner):
        return _Standing.WORKED_ON
    if order.held_reason in (None, HeldReason.UPSTREAM):  # the stage before it decides
        return _Standing.DUE
    if order.held_reason in _LIMITS and _fits(order.held_credits, room(order)):
        return _Standing.DUE
    due = due_at(order, now)
    return _Standing.HELD if due is None or due > now else _Standing.DUE


def room_under(ledger: Ledger, credits_a_day: float | None) -> Callable[[Order], float | None]:
    """What is left under the limit that holds an order: of the day, or of its run."""
    today = None if credits_a_day is None else credits_a_day - ledger.budget.today().total

    @cache
    def of_run(run_id: str) -> float | None:
        found = ledger.budget.of_run(run_id)
        return None if found is None else found[1] - found[0]

    def room(order: Order) -> float | None:
        if order.held_reason is HeldReason.RUN_LIMIT and order.limit_run_id is not None:
            return of_run(order.limit_run_id)
        return today

    return room


def _fits(credits: float | None, left: float | None) -> bool:  # noqa: A002 - Topview's own word
    """Whether there is room again: the limit was raised, or tasks cost less than was expected."""
    return left is None or (credits is not None and credits <= left)


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

    def until(self, found: TakeUp, *, now: float) -> float:
        """When this work may be taken up, in seconds since the epoch.

        A memory of the future was made before the clock was set back: it counts for nothing.
        """
        if self.at > now:
            return now
        if found.digest != self.work:
            return self.at
        # 60 s doubled six times is over an hour; the cap also keeps the power finite.
        return self.at + min(_FIRST_WAIT_SECONDS * 2.0 ** min(self.times, 6), _LONGEST_WAIT_SECONDS)

    @classmethod
    def after(cls, before: Patience | None, found: TakeUp, *, now: float) -> Patience:
        """The memory once this work was taken up."""
        again = before is not None and before.work == found.digest
        return cls(found.digest, before.times + 1 if before is not None and again else 1, now)
