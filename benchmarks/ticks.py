"""How long a look takes at a large ledger or catalogue: a sensor's tick, a plan.

Beside each the same look at a tenth of it: what grows faster than the catalogue is seen there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks import child
from benchmarks.load import SLOTS, write_catalogue

_INSTANCE = "telemetry:\n  enabled: false\n"
_NOBODY = "http://127.0.0.1:9"
"""The discard port: no look calls Topview, and one that did would fail."""


@dataclass(frozen=True)
class Look:
    """Seconds of one look, as a clock and as the processor counts them."""

    seconds: float
    cpu_seconds: float


class TickBench:
    """Looks at worlds that were written straight into the databases."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def pending_tasks(self, orders: int, *, pending: int) -> Look:
        """A tick of pending_task_sensor, the producer of all open orders being dead."""
        environ = self._environment(f"orders-{orders}", 1)
        child.run("benchmarks.waiting", {"orders": orders, "pending": pending}, environ=environ)
        return _look("pending tasks", environ)

    def made(self, products: int) -> tuple[Look, Look]:
        """A plan with nothing to do, and a tick of catalogue_sensor that has never looked."""
        environ = self._environment(f"made-{products}", products)
        folder = str(Path(environ["TOPVIEW_CATALOGUE"]).parent)
        child.run("benchmarks.made", {"folder": folder}, environ=environ)
        return _look("plan", environ), _look("catalogue", environ)

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
