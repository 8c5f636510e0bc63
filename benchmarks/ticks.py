"""How long a look takes at a large ledger or catalogue: a sensor's tick, a plan, a sync.

Beside each the same look at a tenth of it: what grows faster than the catalogue is seen there.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from benchmarks import child
from benchmarks.load import SLOTS, write_catalogue

_CHANGED = 40
_NEW = 4
"""Parts of the catalogue: one in so many scripts is another, and so many more products come."""
_INSTANCE = "telemetry:\n  enabled: false\n"
_NOBODY = "http://127.0.0.1:9"
"""The discard port: no look calls Topview, and one that did would fail."""


@dataclass(frozen=True)
class Look:
    """Seconds of one look, as a clock and as the processor counts them."""

    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class LooksAtMade:
    """At a catalogue whose products are all made.

    Attributes:
        plan: with nothing to do.
        sync: the job `sync_products`, with nothing new.
        tick: of catalogue_sensor, the first, after products came and scripts changed.
    """

    plan: Look
    sync: Look
    tick: Look


class TickBench:
    """Looks at worlds that were written straight into the databases."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def pending_tasks(self, orders: int, *, pending: int) -> Look:
        """A tick of pending_task_sensor, the producer of all open orders being dead."""
        environ = self._environment(f"orders-{orders}", 1)
        child.run("benchmarks.waiting", {"orders": orders, "pending": pending}, environ=environ)
        return _look("pending tasks", environ)

    def made(self, products: int) -> LooksAtMade:
        """Looks at a catalogue whose products are all made, then at the same one changed."""
        environ = self._environment(f"made-{products}", products)
        catalogue = Path(environ["TOPVIEW_CATALOGUE"])
        child.run("benchmarks.made", {"folder": str(catalogue.parent)}, environ=environ)
        plan, sync = _look("plan", environ), _look("sync", environ)
        _change(catalogue)
        return LooksAtMade(plan, sync, _look("catalogue", environ))

    def _environment(self, name: str, products: int) -> dict[str, str]:
        home = self._folder / name
        catalogue = write_catalogue(home / "catalogue", products)
        dagster_home = home / "dagster"
        dagster_home.mkdir()
        (dagster_home / "dagster.yaml").write_text(_INSTANCE)
        return {
            "DAGSTER_HOME": str(dagster_home),
            "TOPVIEW_HOME": str(home),
            "TOPVIEW_BASE_URL": _NOBODY,
            "TOPVIEW_UID": "uid",
            "TOPVIEW_API_KEY": "key",
            "TOPVIEW_CATALOGUE": str(catalogue),
            "TOPVIEW_MAX_CONCURRENT_TASKS": str(SLOTS),
        }


def _look(name: str, environ: dict[str, str]) -> Look:
    found = child.run("benchmarks.looks", {"look": name}, environ=environ).result
    return Look(found["seconds"], found["cpu_seconds"])


def _change(catalogue: Path) -> None:
    """Other scripts for some products, and new products with the photos of old ones."""
    with catalogue.open(newline="") as file:
        columns, *rows = csv.reader(file)
    script, name = columns.index("script"), columns.index("product_id")
    new = [row.copy() for row in rows[: len(rows) // _NEW]]
    for row in rows[: len(rows) // _CHANGED]:
        row[script] = f"Another one. {row[script]}"
    for row in new:
        row[name] = f"new-{row[name]}"
    with catalogue.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows, *new])
