"""What the producing process costs per product: CPU seconds and memory.

The tasks are instant: what is left is the process's own work. What polling adds is in the slot
bench's numbers of the producer alone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from benchmarks import child
from benchmarks.load import SLOTS, Load, counters, write_catalogue

_INSTANCE = """\
telemetry:
  enabled: false
"""


@dataclass(frozen=True)
class Cost:
    """Of one process, from the interpreter's start to its end.

    Attributes:
        cpu_seconds: per product.
        wall_seconds: per product.
        peak_mib: resident memory at its highest.
    """

    cpu_seconds: float
    wall_seconds: float
    peak_mib: float


class CostBench:
    """Runs over one catalogue, each with an empty ledger and a fresh sandbox."""

    def __init__(self, folder: Path, load: Load, *, products: int) -> None:
        self._folder = folder
        self._load = load
        self._products = products
        self._catalogue = write_catalogue(folder, products)

    def catch_up(self, *, previews: bool) -> Cost:
        """The `catch_up` job: the producer and all of Dagster, with an instance on the disk."""
        home = self._home(f"catch_up-{previews}")
        dagster_home = home / "dagster"
        dagster_home.mkdir()
        (dagster_home / "dagster.yaml").write_text(_INSTANCE)
        with self._load.sandbox() as sandbox:
            environ = {
                "DAGSTER_HOME": str(dagster_home),
                "TOPVIEW_HOME": str(home),
                "TOPVIEW_BASE_URL": sandbox.base_url,
                "TOPVIEW_UID": sandbox.uid,
                "TOPVIEW_API_KEY": sandbox.api_key,
                "TOPVIEW_CATALOGUE": str(self._catalogue),
                "TOPVIEW_MAX_CONCURRENT_TASKS": str(SLOTS),
                "TOPVIEW_POLL_SECONDS": str(self._load.poll_seconds),
                "TOPVIEW_PREVIEWS": str(previews).lower(),
            }
            measured = child.run("benchmarks.catch_up", {}, environ=_without_topview() | environ)
            counters(sandbox, products=self._products)
        return self._cost(measured)

    def _home(self, name: str) -> Path:
        home = self._folder / name
        home.mkdir()
        return home

    def _cost(self, measured: child.Measured) -> Cost:
        return Cost(
            cpu_seconds=measured.cpu_seconds / self._products,
            wall_seconds=measured.wall_seconds / self._products,
            peak_mib=measured.peak_mib,
        )


def _without_topview() -> dict[str, str]:
    """Settings of whoever runs the bench are none of its own: an empty value counts as unset."""
    return {name: "" for name in os.environ if name.startswith("TOPVIEW_")}
