"""Use of the account's slots: ours against the bare script, in rounds.

Busy is the integral of unfinished tasks over time, from the first task's acceptance to the last
one's end, as a share of all slots over that time. All make the same tasks with the same durations,
so the ratio is that of the makespans.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks import processes
from benchmarks.load import (
    MEDIAN_SECONDS,
    POLL_SECONDS,
    SIGMA,
    SLOTS,
    counters,
    sandbox,
    write_catalogue,
)

_NEGLIGIBLE: Final = 1e-9
_BISECTIONS: Final = 60


@dataclass(frozen=True)
class Use:
    """One run, as the sandbox saw it.

    Attributes:
        busy: share of the slots, 0 to 1.
        queries: of all tasks.
        lag_seconds: from a task's end to the first query that said success, mean.
        sandbox_cpu: share of one core that the sandbox took. Near 1 the ratios would be about this
            machine and not about the programs.
        cpu_seconds: of the client's process, a product.
        peak_mib: of the same process.
    """

    busy: float
    queries: float
    lag_seconds: float
    sandbox_cpu: float
    cpu_seconds: float
    peak_mib: float


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
    """Runs over one catalogue, each against a fresh sandbox; `speed` divides all times."""

    def __init__(self, folder: Path, products: int, speed: float) -> None:
        self._folder = folder
        self._products = products
        self._speed = speed
        self._shortest = POLL_SECONDS / speed
        self._catalogue = write_catalogue(folder, products)
        self._runs = 0

    def round(self, *, ours_first: bool) -> Round:
        """All three. Whose turn is first alternates: a machine that slows down favours nobody."""
        if ours_first:
            ours, bare = self._run("ours", self._shortest), self._run("bare", self._shortest)
        else:
            bare, ours = self._run("bare", self._shortest), self._run("ours", self._shortest)
        interval = matching_interval(
            ours.queries / self._products,
            at_shortest=bare.queries / self._products,
            shortest=self._shortest,
            medians=[median / self._speed for median in MEDIAN_SECONDS.values()],
            sigma=SIGMA,
        )
        return Round(ours, bare, self._run("bare", interval), interval)

    def _run(self, program: str, poll_seconds: float) -> Use:
        self._runs += 1
        home = self._folder / f"run-{self._runs}"
        home.mkdir()
        with sandbox(self._speed) as topview:
            spec = {
                "base_url": topview.base_url,
                "uid": topview.uid,
                "api_key": topview.api_key,
                "slots": SLOTS,
                "poll_seconds": poll_seconds,
                "catalogue": str(self._catalogue),
                "folder": str(home),
            }
            measured = processes.run(f"benchmarks.{program}", spec)
            return self._use(counters(topview, products=self._products), measured)

    def _use(self, seen: Mapping[str, Any], measured: processes.Measured) -> Use:
        changes = seen["slots"]["changes"]
        makespan = changes[-1][0] - changes[0][0]
        lags = seen["lag_seconds"].values()
        return Use(
            busy=seen["slots"]["busy_seconds"] / (SLOTS * makespan),
            queries=sum(seen["queries"].values()),
            lag_seconds=sum(lag["total"] for lag in lags) / sum(lag["count"] for lag in lags),
            sandbox_cpu=seen["cpu_seconds"] / measured.wall_seconds,
            cpu_seconds=measured.cpu_seconds / self._products,
            peak_mib=measured.peak_mib,
        )


def matching_interval(
    queries: float, *, at_shortest: float, shortest: float, medians: Collection[float], sigma: float
) -> float:
    """The fixed interval at which as many queries are made as somebody else made.

    A query's own time adds to the interval; how much is seen by how many queries the shortest
    interval really came to.

    Args:
        queries: a product, of the run to be matched; no more than `at_shortest`.
        at_shortest: a product, measured at the shortest interval.
        shortest: that interval in seconds.
        medians: of the durations of a product's tasks, in seconds.
        sigma: of the logarithms of the durations.
    """

    def apart(wanted: float) -> float:
        low, high = shortest / 10, 10 * sum(medians)
        for _ in range(_BISECTIONS):
            middle = math.sqrt(low * high)
            more = sum(_queries(middle, median, sigma) for median in medians) > wanted
            low, high = (middle, high) if more else (low, middle)
        return low

    return apart(queries) - (apart(at_shortest) - shortest)


def _queries(interval: float, median: float, sigma: float) -> float:
    """Of one task that is asked at a fixed interval, on average."""
    total, number = 1.0, 1
    while (lasts := _lasts(number * interval, median, sigma)) > _NEGLIGIBLE:
        total += lasts
        number += 1
    return total


def _lasts(seconds: float, median: float, sigma: float) -> float:
    """The chance that a task lasts longer than so many seconds, log-normal."""
    return math.erfc(math.log(seconds / median) / (sigma * math.sqrt(2.0))) / 2.0
