"""What the pending_task_sensor takes up, and how patiently. Pure functions of state and `now`."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Final

from topview_pipeline.ledger import HeldReason, Ledger, Order, Task, due_at

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

        Orders come product by product, so that a product's stages are rarely parted.
        """
        return self.orders[:_MOST_ORDERS]

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
    credits_left: float | None = None,
) -> TakeUp:
    """What a run should go on with.

    Args:
        orders: the open ones.
        tasks: those on their way home (`Tasks.on_their_way`).
        now: seconds since the epoch.
        is_alive: whether a producer works.
        credits_left: of the day's limit; None is no limit.
    """
    seen = [(order, _standing(order, now, is_alive, credits_left)) for order in orders]
    of_products: defaultdict[str, set[_Standing]] = defaultdict(set)
    for order, standing in seen:
        if standing is not _Standing.FOLLOWS:
            of_products[order.product_id].add(standing)
    due: list[tuple[str, str]] = []
    held: Counter[HeldReason] = Counter()
    worked_on = 0
    for order, standing in seen:
        if standing is _Standing.FOLLOWS:
            # It goes with the stage before it, and by itself once that is no longer ordered.
            before = of_products[order.product_id]
            standing = _Standing.DUE if _Standing.DUE in before or not before else _Standing.HELD
        if standing is _Standing.DUE:
            due.append((order.product_id, order.stage))
        elif standing is _Standing.WORKED_ON:
            worked_on += 1
        elif order.held_reason is not None:
            held[order.held_reason] += 1
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
    FOLLOWS = "follows the stage before it"


def _standing(
    order: Order,
    now: float,
    is_alive: Callable[[str | None], bool],
    credits_left: float | None,
) -> _Standing:
    if order.owner is not None and is_alive(order.owner):
        return _Standing.WORKED_ON
    if order.held_reason is None:
        return _Standing.DUE
    if order.held_reason is HeldReason.UPSTREAM:
        return _Standing.FOLLOWS
    if order.held_reason is HeldReason.BUDGET and _fits(order.held_credits, credits_left):
        return _Standing.DUE
    due = due_at(order, now)
    return _Standing.HELD if due is None or due > now else _Standing.DUE


def credits_left(ledger: Ledger, limit: float | None) -> float | None:
    """What is left of the day's limit; None without one."""
    return None if limit is None else limit - ledger.budget.today().total


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
