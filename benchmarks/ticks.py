"""Time of a look at a large ledger or catalogue: a sensor's tick, a plan, a sync.

The worlds that are looked at are written straight into the databases.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import processes
from benchmarks.load import environment

_CHANGED: Final = 40
_NEW: Final = 4
"""Parts of the catalogue: one in so many scripts is another, and so many more products come."""


@dataclass(frozen=True)
class Look:
    """Seconds of one look, as a clock and as the processor counts them."""

    seconds: float
    cpu_seconds: float


def pending_tasks(folder: Path, unfinished: int, *, pending: int) -> Look:
    """A tick of pending_task_sensor: some tasks are at Topview, the others failed and are due."""
    environ = environment(folder / f"unfinished-{unfinished}", 1)
    spec = {"products": unfinished, "pending": pending}
    processes.run("benchmarks.history", spec, environ=environ)
    return _look("pending tasks", environ)


def made(folder: Path, products: int) -> tuple[Look, Look, Look]:
    """Looks at a catalogue whose products are all made.

    Returns:
        A plan with nothing to do; the job `sync_products` with nothing new; the first tick of
        catalogue_sensor after products came and scripts changed.
    """
    environ = environment(folder / f"made-{products}", products)
    processes.run("benchmarks.history", {}, environ=environ)
    plan, sync = _look("plan", environ), _look("sync", environ)
    _change(Path(environ["TOPVIEW_CATALOGUE"]))
    return plan, sync, _look("catalogue", environ)


def _look(name: str, environ: dict[str, str]) -> Look:
    found = processes.run("benchmarks.looks", {"look": name}, environ=environ).result
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
