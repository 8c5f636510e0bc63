"""The price list of TOPVIEW_PRICES, and the estimate of a task's credits before it is submitted.

Topview publishes no prices of these endpoints. Not here: credits that were charged (`ledger`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

LONGEST_RECORDING_SECONDS: Final[Mapping[str, float]] = {
    "avatar2": 28.0,
    "avatar4": 120.0,
    "avatar4Fast": 120.0,
}
"""docs: pa2_image2video_submit_task. The other modes have no documented limit."""

_ENTRY: Final = re.compile(
    r"(?P<name>[a-z0-9_]+(?:/\w+)?)=(?P<credits>\d+(?:\.\d+)?)(?P<a_second>/s)?", re.ASCII
)


@dataclass(frozen=True)
class Price:
    """Credits of one task, or of each started second of its speech."""

    credits: float
    a_second: bool


@dataclass(frozen=True)
class PriceList:
    """Prices by kind of task, or kind/mode, and where they come from."""

    prices: Mapping[str, Price]
    source: str

    @classmethod
    def parse(cls, text: str, source: str) -> PriceList:
        """Read `image_replace=1, image2video/avatar2=0.4/s`.

        A ValueError's arguments are what is wrong, and how to fix it.
        """
        prices = {}
        for entry in filter(None, (part.strip() for part in text.split(","))):
            match = _ENTRY.fullmatch(entry)
            if match is None:
                fix = "Use image_replace=1, image2video/avatar2=0.4/s, for example."
                raise ValueError(f"{entry!r} is no price", fix)
            prices[match["name"]] = Price(float(match["credits"]), match["a_second"] is not None)
        return cls(prices, source)

    def __str__(self) -> str:
        """Text that `parse` reads as the same prices."""
        return ", ".join(
            f"{name}={price.credits:g}{'/s' if price.a_second else ''}"
            for name, price in self.prices.items()
        )

    def of(self, kind: str, mode: str | None, seconds: float | None) -> float | None:
        """Return the credits of a task; None when the list has no price for it.

        Without `seconds` a price by the second counts the longest recording that the mode takes.
        """
        price = self.prices.get(f"{kind}/{mode}", self.prices.get(kind))
        if price is None:
            return None
        if not price.a_second:
            return price.credits
        longest = LONGEST_RECORDING_SECONDS.get(mode or "") if seconds is None else seconds
        return None if longest is None else price.credits * math.ceil(longest)


@dataclass(frozen=True)
class Estimate:
    """The most that a task may cost, as far as is known; `credits` is None when nothing is."""

    credits: float | None
    source: str


def estimate(
    kind: str,
    mode: str | None,
    seconds: float | None,
    *,
    free: bool,
    seen: float | None,
    prices: PriceList,
) -> Estimate:
    """Estimate a task: free, else the most that such tasks cost so far, else the price list.

    Args:
        seconds: Length of the speech; None when unknown or when there is none.
        seen: The most that such tasks cost so far; None before the first.
    """
    if free:
        return Estimate(0.0, "it is free")
    if seen is not None:
        return Estimate(seen, "the most that such tasks cost so far")
    listed = prices.of(kind, mode, seconds)
    return Estimate(listed, "no price is known" if listed is None else prices.source)
