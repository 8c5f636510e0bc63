"""What a plan is made of: one thing to do, and the first of many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class PlannedOrder:
    """One thing to do.

    Attributes:
        reason: why, in words of the catalogue.
        credits: what it will cost; 0 when nothing will be paid for it, None when unknown.
        submits: whether it needs a new task at Topview, free ones included.
        moves: whether a run gets on with it; otherwise it needs a person, or Topview's answer.
        made_with: a product before it in the plan whose new task makes this one's, too: the same
            work is paid once.
    """

    product_id: str
    stage: str
    reason: str
    credits: float | None
    submits: bool = False
    moves: bool = True
    made_with: str | None = None

    @property
    def is_made(self) -> bool:
        """Whether a new task makes it, its own or the one of `made_with`."""
        return self.submits or self.made_with is not None

    @property
    def why(self) -> str:
        """The reason, and whose task makes it."""
        return self.reason if self.made_with is None else f"{self.reason}, with {self.made_with}"


def first_products(orders: Sequence[PlannedOrder], limit: int | None) -> list[PlannedOrder]:
    """The orders up to the so-manieth product that a run gets on with; all without a limit.

    A product before it with which no run gets on is among them, and told: it does not use up the
    limit, else a few that were refused would keep all others from being made.
    """
    if limit is None:
        return list(orders)
    moving = dict.fromkeys(order.product_id for order in orders if order.moves)
    if len(moving) <= limit:
        return list(orders)
    last = list(moving)[limit - 1]
    end = max(number for number, order in enumerate(orders, 1) if order.product_id == last)
    return list(orders[:end])
