"""How large the benches are: those of `make bench`, and those of `make bench-full`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Numbers of products, unless a field says otherwise.

    Attributes:
        rounds: of the slot bench; its numbers are their medians.
        slots: of each of its runs.
        speed: the slot bench's tasks and polling are so many times faster.
        backfill: ours.
        textbook: the textbook's backfill.
        growth: of the runs whose costs are compared, the smallest first.
        orders: open ones that the sensor looks at.
        pending: of those, at Topview.
        catalogue: all made, of which nothing is to do.
    """

    rounds: int
    slots: int
    speed: float
    backfill: int
    textbook: int
    growth: tuple[int, ...]
    orders: int = 10_000
    pending: int = 200
    catalogue: int = 20_000


BENCH = Sizes(rounds=1, slots=100, speed=2.0, backfill=100, textbook=6, growth=(100, 250))
FULL = Sizes(
    rounds=3, slots=300, speed=1.0, backfill=1_000, textbook=24, growth=(100, 1_000, 10_000)
)
SMOKE = Sizes(
    rounds=1,
    slots=12,
    speed=4.0,
    backfill=5,
    textbook=2,
    growth=(5, 10),
    orders=300,
    pending=20,
    catalogue=300,
)
"""Says that the benches work, and nothing else."""
