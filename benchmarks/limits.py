"""Queries and lag of ways to ask for a task, computed instead of run. Pure.

A task is asked at t1 < t2 < ... and lasts longer than t with the chance S(t), log-normal. It costs
S(0) + S(t1) + S(t2) + ... queries and is seen, on average, t1 S(0) + (t2 - t1) S(t1) + ... seconds
after its submit. So the best times for a given price of a query are found from the last back to the
first (dynamic programming), and the price is raised until they cost as many queries as ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from benchmarks.load import MEDIAN_SECONDS, POLL_SECONDS, SIGMA
from topview_pipeline.engine.poll_plan import PollPlan

_MEDIANS: Final = tuple(MEDIAN_SECONDS.values())
_SAMPLES: Final = 4_000
_STEPS: Final = 250
"""Of a median: how finely the best times are sought."""
_NEGLIGIBLE: Final = 1e-9
_BISECTIONS: Final = 60
_PRICES: Final = 14
"""Bisections of the price."""


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


def _lasts(seconds: float, median: float, sigma: float = SIGMA) -> float:
    """The chance that a task lasts longer than so many seconds."""
    if seconds <= 0:
        return 1.0
    return math.erfc(math.log(seconds / median) / (sigma * math.sqrt(2.0))) / 2.0


@dataclass(frozen=True)
class Asking:
    """One way of asking, of a product's three tasks together, on average.

    Attributes:
        queries: how many.
        lag: seconds between a task's end and the query that sees it, mean of the tasks.
    """

    queries: float
    lag: float


def limits() -> tuple[Asking, Asking, Asking]:
    """Our times, the best ones and a fixed interval, for as many queries of the slots' tasks."""
    ours = _asking(_of_plan)
    interval = matching_interval(
        ours.queries,
        at_shortest=sum(_queries(POLL_SECONDS, median, SIGMA) for median in _MEDIANS),
        shortest=POLL_SECONDS,
        medians=_MEDIANS,
        sigma=SIGMA,
    )
    cheap, dear = 1e-6, 1.0
    for _ in range(_PRICES):
        price = math.sqrt(cheap * dear)
        costs_more = _asking(lambda median: _of_price(median, price)).queries > ours.queries  # noqa: B023
        cheap, dear = (price, dear) if costs_more else (cheap, price)
    best = _asking(lambda median: _of_price(median, dear))
    return ours, best, _asking(lambda median: _times(lambda _: interval, median))


def _asking(times_of: Callable[[float], Iterator[float]]) -> Asking:
    """Add up what the times cost that `times_of` gives for each median, from 0 on."""
    queries = lag = 0.0
    for median in _MEDIANS:
        before = 0.0
        lag -= median * math.exp(SIGMA**2 / 2)
        for time in times_of(median):
            chance = _lasts(before, median)
            queries += chance
            lag += chance * (time - before)
            before = time
    return Asking(queries, lag / len(_MEDIANS))


def _of_plan(median: float) -> Iterator[float]:
    """Our times, when many durations are known."""
    shares = ((number + 0.5) / _SAMPLES for number in range(_SAMPLES))
    known = [median * math.exp(SIGMA * NormalDist().inv_cdf(share)) for share in shares]
    return _times(PollPlan(known, shortest=POLL_SECONDS).delay, median)


def _times(delay: Callable[[float], float], median: float) -> Iterator[float]:
    time = 0.0
    while _lasts(time, median) > _NEGLIGIBLE:
        time += delay(time)
        yield time


def _of_price(median: float, price: float) -> Iterator[float]:
    """The best times when a query costs as much as `price` seconds of lag."""
    step = min(median / _STEPS, POLL_SECONDS / 10)
    last = round(median * math.exp(SIGMA * NormalDist().inv_cdf(1 - _NEGLIGIBLE)) / step)
    delays = np.arange(round(POLL_SECONDS / step), max(round(2 * median / step), 50))
    costs = np.zeros(last + 1 + int(delays[-1]))
    chosen = np.zeros(last + 1, dtype=int)
    for index in range(last, -1, -1):
        here = (price + delays * step) * _lasts(index * step, median) + costs[index + delays]
        chosen[index] = int(delays[np.argmin(here)])
        costs[index] = float(here.min())
    index = 0
    while index <= last:
        index += int(chosen[index])
        yield index * step
