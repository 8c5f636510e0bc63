"""Whether cost grows in a straight line: `catch_up` over more and more products, instant tasks.

Of one process, the one that produces. What it takes once, to start and to make its first product,
is not counted: it would make small numbers of products look dear.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes
from benchmarks.load import INSTANT, counters, environment, sandbox


@dataclass(frozen=True)
class Cost:
    """The cost of the producing process.

    Attributes:
        products: how many it made, beside the first.
        cpu_seconds, wall_seconds: per product, without the first.
        first_mib: resident memory at its highest, with the first product made.
        peak_mib: the same at the end.
    """

    products: int
    cpu_seconds: float
    wall_seconds: float
    first_mib: float
    peak_mib: float


def catch_up(folder: Path, products: int) -> Cost:
    """Run the `catch_up` job with all of Dagster, without previews and checks.

    Each time with an instance, a ledger and a sandbox of its own.
    """
    settings = {"TOPVIEW_PREVIEWS": "false", "TOPVIEW_CHECKS": "false"}
    with sandbox(INSTANT) as topview:
        environ = environment(folder / f"catch_up-{products}", products + 1, topview) | settings
        measured = processes.run("benchmarks.catch_up", {}, environ=environ)
        counters(topview, products=products + 1)
    first = processes.Spent(**measured.result["first"])
    return Cost(
        products=products,
        cpu_seconds=(measured.cpu_seconds - first.cpu_seconds) / products,
        wall_seconds=(measured.wall_seconds - first.wall_seconds) / products,
        first_mib=first.peak_mib,
        peak_mib=measured.peak_mib,
    )
