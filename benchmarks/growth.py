"""Whether cost grows in a straight line: `catch_up` over more and more products, instant tasks.

Of one process, the one that produces. What it takes once, to start and to make its first product,
is not counted: it would make small numbers of products look dear.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks import child
from benchmarks.load import Load, counters, environment, write_catalogue

_INSTANCE = "telemetry:\n  enabled: false\n"


@dataclass(frozen=True)
class Cost:
    """Of the producing process.

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


def grown_mib(smaller: Cost, larger: Cost) -> float:
    """Memory of each product that one run had more than another."""
    return (larger.peak_mib - smaller.peak_mib) / (larger.products - smaller.products)


class GrowthBench:
    """Runs of `catch_up`, each with an instance, a ledger and a sandbox of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._load = Load(instant=True)

    def catch_up(self, products: int) -> Cost:
        """The `catch_up` job with all of Dagster, without previews and checks."""
        home = self._folder / f"catch_up-{products}"
        catalogue = write_catalogue(home / "catalogue", products + 1)
        dagster_home = home / "dagster"
        dagster_home.mkdir()
        (dagster_home / "dagster.yaml").write_text(_INSTANCE)
        settings = {
            "DAGSTER_HOME": str(dagster_home),
            "TOPVIEW_PREVIEWS": "false",
            "TOPVIEW_CHECKS": "false",
        }
        with self._load.sandbox() as sandbox:
            environ = environment(sandbox, home, catalogue, self._load) | settings
            measured = child.run("benchmarks.catch_up", {}, environ=environ)
            counters(sandbox, products=products + 1)
        first = child.Spent(**measured.result["first"])
        return Cost(
            products=products,
            cpu_seconds=(measured.cpu_seconds - first.cpu_seconds) / products,
            wall_seconds=(measured.wall_seconds - first.wall_seconds) / products,
            first_mib=first.peak_mib,
            peak_mib=measured.peak_mib,
        )
