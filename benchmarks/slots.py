"""How well the account's slots are used: ours against the bare script, in rounds.

Busy is the integral of unfinished tasks over time, from the first task's acceptance to the last
one's end, as a share of all slots over that time. All make the same tasks with the same durations,
so the ratio is that of the makespans.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import child
from benchmarks.interval import matching_interval
from benchmarks.load import MEDIAN_SECONDS, SIGMA, SLOTS, Load, counters, write_catalogue
from topview_pipeline.sandbox.serve import Running


@dataclass(frozen=True)
class Use:
    """One run, as the sandbox saw it.

    Attributes:
        busy: share of the slots, 0 to 1.
        queries: of all tasks.
        lag_seconds: from a task's end to the first query that said success, mean.
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


@dataclass(frozen=True)
class Round:
    """Three runs over the same tasks.

    Attributes:
        ours: with an empty ledger, which knows nothing of how long tasks take.
        bare: the script, polling at the shortest interval.
        frugal: the script, polling at the interval that costs as many queries as ours.
        interval: that one, in seconds.
    """

    ours: Use
    bare: Use
    frugal: Use
    interval: float


class SlotBench:
    """Runs over one catalogue, each against a fresh sandbox."""

    def __init__(self, folder: Path, load: Load, *, products: int) -> None:
        self._folder = folder
        self._load = load
        self._products = products
        self._catalogue = write_catalogue(folder, products)
        self._runs = 0

    def round(self, *, ours_first: bool) -> Round:
        """All three. Whose turn is first alternates: a machine that slows down favours nobody."""
        if ours_first:
            ours, bare = self.ours(), self.bare()
        else:
            bare, ours = self.bare(), self.ours()
        interval = self._interval(ours, bare)
        return Round(ours, bare, self.bare(poll_seconds=interval), interval)

    def bare(self, *, poll_seconds: float | None = None) -> Use:
        """The script, polling at the shortest interval unless told otherwise."""
        return self._measure("benchmarks.bare", poll_seconds or self._load.poll_seconds)

    def ours(self) -> Use:
        """The producer, with an empty ledger."""
        return self._measure("benchmarks.ours", self._load.poll_seconds)

    def _interval(self, ours: Use, bare: Use) -> float:
        return matching_interval(
            ours.queries / self._products,
            at_shortest=bare.queries / self._products,
            shortest=self._load.poll_seconds,
            medians=[median / self._load.speed for median in MEDIAN_SECONDS.values()],
            sigma=SIGMA,
        )

    def _measure(self, module: str, poll_seconds: float) -> Use:
        self._runs += 1
        home = self._folder / f"run-{self._runs}"
        home.mkdir()
        with self._load.sandbox() as sandbox:
            measured = child.run(module, self._spec(sandbox, home, poll_seconds))
            return _use(counters(sandbox, products=self._products), measured)

    def _spec(self, sandbox: Running, home: Path, poll_seconds: float) -> dict[str, Any]:
        return {
            "base_url": sandbox.base_url,
            "uid": sandbox.uid,
            "api_key": sandbox.api_key,
            "slots": SLOTS,
            "poll_seconds": poll_seconds,
            "catalogue": str(self._catalogue),
            "folder": str(home),
        }


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
