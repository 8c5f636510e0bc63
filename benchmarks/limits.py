"""The least lag that any times of asking could have, beside ours and a fixed interval's. No runs.

All know how long tasks take on average and how widely that varies, and a query takes no time. A
task that is asked at t1 < t2 < ..., and lasts longer than t with the chance S(t), costs
S(0) + S(t1) + S(t2) + ... queries and is seen, on average, t1 S(0) + (t2 - t1) S(t1) + ... seconds
after its submit. So the best times for a given price of a query are found from the last back to the
first (dynamic programming), and the price is raised until they cost as many queries as ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist
from typing import Final

import numpy as np

from benchmarks.interval import longer_than, matching_interval, queries_at
from benchmarks.load import MEDIAN_SECONDS, POLL_SECONDS, SIGMA
from topview_pipeline.producer.polling import PollPlan

_MEDIANS: Final = tuple(MEDIAN_SECONDS.values())
_SAMPLES: Final = 4_000
_STEPS: Final = 250
"""Of a median: how finely the best times are sought."""
_NEGLIGIBLE: Final = 1e-7
_BISECTIONS: Final = 14


@dataclass(frozen=True)
class Asking:
    """One way of asking, of a product's three tasks together, on average.

    Attributes:
        queries: how many.
        lag: seconds between a task's end and the query that sees it, mean of the tasks.
    """

    queries: float
    lag: float


@dataclass(frozen=True)
class Limits:
    """Three ways that cost as many queries."""

    ours: Asking
    best: Asking
    fixed: Asking


def limits() -> Limits:
    """Of the slot bench's tasks, at its shortest interval."""
    ours = _all(_of_plan)
    at_shortest = sum(queries_at(POLL_SECONDS, median, SIGMA) for median in _MEDIANS)
    interval = matching_interval(
        ours.queries,
        at_shortest=at_shortest,
        shortest=POLL_SECONDS,
        medians=_MEDIANS,
        sigma=SIGMA,
    )
    return Limits(ours, _best(ours.queries), _all(partial(_at_interval, interval=interval)))


def _best(queries: float) -> Asking:
    """The best times that cost no more than so many queries."""
    cheap, dear = 1e-6, 1.0
    for _ in range(_BISECTIONS):
        price = math.sqrt(cheap * dear)
        costs_more = _all(partial(_of_price, price=price)).queries > queries
        cheap, dear = (price, dear) if costs_more else (cheap, price)
    return _all(partial(_of_price, price=dear))


def _all(times_of: Callable[[float], Iterator[float]]) -> Asking:
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
    plan = PollPlan(known, shortest=POLL_SECONDS)
    time = 0.0
    while _lasts(time, median) > _NEGLIGIBLE:
        time += plan.delay(time)
        yield time


def _at_interval(median: float, interval: float) -> Iterator[float]:
    time = 0.0
    while _lasts(time, median) > _NEGLIGIBLE:
        time += interval
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


def _lasts(seconds: float, median: float) -> float:
    return longer_than(seconds, median, SIGMA) if seconds > 0 else 1.0
