"""The fixed polling interval that costs a given number of queries. Pure.

A task of duration D that is queried every T seconds takes ceil(D / T) queries; of log-normal
durations the mean of that is the sum of the chances that a task lasts longer than 0, T, 2 T, ...
"""

from __future__ import annotations

import math
from collections.abc import Collection

_BISECTIONS = 60
_NEGLIGIBLE = 1e-9


def matching_interval(
    queries: float, *, at_shortest: float, shortest: float, medians: Collection[float], sigma: float
) -> float:
    """The interval at which as many queries are made as somebody else made.

    A query's own time adds to the interval; how much is seen by how many queries the shortest
    interval really came to.

    Args:
        queries: a product, of whoever is to be matched; no more than `at_shortest`.
        at_shortest: a product, measured at the shortest interval.
        shortest: that interval in seconds.
        medians: of the durations of a product's tasks, in seconds.
        sigma: of the logarithms of the durations.
    """

    def apart(wanted: float) -> float:
        low, high = shortest / 10, 10 * sum(medians)
        for _ in range(_BISECTIONS):
            middle = math.sqrt(low * high)
            more = _queries(middle, medians, sigma) > wanted
            low, high = (middle, high) if more else (low, middle)
        return low

    return apart(queries) - (apart(at_shortest) - shortest)


def _queries(interval: float, medians: Collection[float], sigma: float) -> float:
    """Of one product, on average."""
    return sum(queries_at(interval, median, sigma) for median in medians)


def queries_at(interval: float, median: float, sigma: float) -> float:
    """Of one task with this median, on average."""
    total, number = 1.0, 1
    while (lasts := longer_than(number * interval, median, sigma)) > _NEGLIGIBLE:
        total += lasts
        number += 1
    return total


def longer_than(seconds: float, median: float, sigma: float) -> float:
    """The chance that a task lasts longer than so many seconds, above 0."""
    return math.erfc(math.log(seconds / median) / (sigma * math.sqrt(2.0))) / 2.0
