"""How well the account's slots are used: ours against the bare script, in alternating pairs.

Busy is the integral of unfinished tasks over time, from the first task's acceptance to the last
one's end, as a share of all slots over that time. Both make the same tasks with the same durations,
so the ratio is that of the makespans.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import child
from benchmarks.load import SLOTS, Load, counters, write_catalogue
from topview_pipeline.sandbox.serve import Running

_WARMING_PRODUCTS = 24


@dataclass(frozen=True)
class Use:
    """One run, as the sandbox saw it.

    Attributes:
        busy: share of the slots, 0 to 1.
        queries: of all tasks.
        lag_seconds: from a task's end to the query that saw it, mean.
        client_cpu, sandbox_cpu: share of one core that the two processes took. Near 1 the ratios
            would tell of this machine and not of the programs.
        cpu_seconds: of the client's process, from the interpreter's start to its end.
        peak_mib: of the same.
        machine_load: the machine's load average as it ended, a core's worth of work being 1.
    """

    busy: float
    queries: int
    lag_seconds: float
    client_cpu: float
    sandbox_cpu: float
    cpu_seconds: float
    peak_mib: float
    machine_load: float


class SlotBench:
    """Runs over one catalogue, each against a fresh sandbox."""

    def __init__(self, folder: Path, load: Load, *, products: int) -> None:
        self._folder = folder
        self._load = load
        self._products = products
        self._catalogue = write_catalogue(folder, products)
        self._runs = 0
        self._warm: tuple[Path, int] | None = None

    def bare(self, *, poll_seconds: float | None = None) -> Use:
        """The bare script, polling at the shortest interval unless told otherwise."""
        with self._load.sandbox() as sandbox:
            return self._measure("benchmarks.bare", sandbox, self._new_home(), poll_seconds)

    def cold(self) -> Use:
        """Ours with an empty ledger: it knows nothing of how long tasks take."""
        home = self._new_home()
        home.mkdir()
        with self._load.sandbox() as sandbox:
            return self._measure("benchmarks.ours", sandbox, home)

    def warm(self) -> Use:
        """Ours with a ledger that knows the durations of an earlier run over other products."""
        earlier, port = self._warm or self._warmed()
        self._warm = earlier, port
        home = self._new_home()
        shutil.copytree(earlier, home)
        # The port is part of the account that the ledger knows.
        with self._load.sandbox(port=port) as sandbox:
            return self._measure("benchmarks.ours", sandbox, home)

    def _warmed(self) -> tuple[Path, int]:
        home = self._new_home()
        home.mkdir()
        others = write_catalogue(self._folder, _WARMING_PRODUCTS, name="earlier")
        with self._load.sandbox() as sandbox:
            child.run("benchmarks.ours", self._spec(sandbox, home, others, None))
            return home, sandbox.port

    def _new_home(self) -> Path:
        self._runs += 1
        return self._folder / f"run-{self._runs}"

    def _spec(
        self, sandbox: Running, home: Path, catalogue: Path, poll_seconds: float | None
    ) -> dict[str, Any]:
        return {
            "base_url": sandbox.base_url,
            "uid": sandbox.uid,
            "api_key": sandbox.api_key,
            "slots": SLOTS,
            "poll_seconds": poll_seconds or self._load.poll_seconds,
            "catalogue": str(catalogue),
            "home": str(home),
            "folder": str(home),
        }

    def _measure(
        self, module: str, sandbox: Running, home: Path, poll_seconds: float | None = None
    ) -> Use:
        spec = self._spec(sandbox, home, self._catalogue, poll_seconds)
        measured = child.run(module, spec)
        return _use(counters(sandbox, products=self._products), measured)


def _use(seen: Mapping[str, Any], measured: child.Measured) -> Use:
    changes = seen["slots"]["changes"]
    makespan = changes[-1][0] - changes[0][0]
    lags = seen["lag_seconds"].values()
    return Use(
        busy=seen["slots"]["busy_seconds"] / (SLOTS * makespan),
        queries=sum(seen["queries"].values()),
        lag_seconds=sum(lag["total"] for lag in lags) / sum(lag["count"] for lag in lags),
        client_cpu=measured.cpu_seconds / measured.wall_seconds,
        sandbox_cpu=seen["cpu_seconds"] / measured.wall_seconds,
        cpu_seconds=measured.cpu_seconds,
        peak_mib=measured.peak_mib,
        machine_load=os.getloadavg()[0],
    )


@dataclass(frozen=True)
class Comparison:
    """Ours as a ratio of the bare script, median over the pairs."""

    busy: float
    queries: float
    lag: float


def compare(pairs: list[tuple[Use, Use]]) -> Comparison:
    """The ratios of (bare, ours) pairs."""
    return Comparison(
        busy=median(ours.busy / bare.busy for bare, ours in pairs),
        queries=median(ours.queries / bare.queries for bare, ours in pairs),
        lag=median(ours.lag_seconds / bare.lag_seconds for bare, ours in pairs),
    )
