"""Seeded randomness that does not depend on the order of requests.

A draw is a pure function of its subject. Two clients that send the same work in another order, or
at another speed, get the same durations and the same faults.
"""

import hashlib
import math
from statistics import NormalDist

_STANDARD_NORMAL = NormalDist()


def fingerprint(*parts: object) -> str:
    """A 32-character lowercase hex digest of the parts, in the form of Topview's ids."""
    joined = "\x1f".join(map(str, parts))
    return hashlib.blake2b(joined.encode(), digest_size=16).hexdigest()


def unit(*parts: object) -> float:
    """A number in the open interval (0, 1) that belongs to the parts."""
    # 52 bits: the most for which the half step below one is still a float below one.
    return ((int(fingerprint(*parts)[:16], 16) >> 12) + 0.5) / 2**52


def lognormal(median: float, sigma: float, *parts: object) -> float:
    """A lognormal number of the given median that belongs to the parts."""
    return median * math.exp(sigma * _STANDARD_NORMAL.inv_cdf(unit(*parts)))
