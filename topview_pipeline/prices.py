"""A price list: credits of a task by its kind and mode. Reading one, and asking it.

Topview publishes no prices of these endpoints; the default of TOPVIEW_PRICES is its points rules
and the prices by the second of its photo avatars. Not here: what was really charged (`ledger`), and
which of both counts (`stages.estimates`).
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
    r"(?P<kind>[a-z0-9_]+)(?:/(?P<mode>\w+))?=(?P<credits>\d+(?:\.\d+)?)(?P<a_second>/s)?"
)


@dataclass(frozen=True)
class Price:
    """Credits of one task, or of one started second of its speech."""

    credits: float
    a_second: bool = False


@dataclass(frozen=True)
class PriceList:
    """Prices by kind of task, or kind/mode, and where they come from."""

    prices: Mapping[str, Price]
    source: str

    @classmethod
    def parse(cls, text: str, source: str) -> PriceList:
        """Read `image_replace=1, image2video/avatar2=0.4/s`.

        Raises:
            ValueError: an entry cannot be read; the message quotes it.
        """
        prices = {}
        for entry in filter(None, (part.strip() for part in text.split(","))):
            match = _ENTRY.fullmatch(entry)
            if match is None:
                raise ValueError(entry)
            name = "/".join(filter(None, (match["kind"], match["mode"])))
            prices[name] = Price(float(match["credits"]), match["a_second"] is not None)
        return cls(prices, source)

    def of(self, kind: str, mode: str | None, seconds: float | None) -> float | None:
        """Credits of a task; None when the list does not say.

        By the second and without seconds, the longest recording that the mode takes counts.
        """
        price = self.prices.get(f"{kind}/{mode}", self.prices.get(kind))
        if price is None:
            return None
        if not price.a_second:
            return price.credits
        longest = LONGEST_RECORDING_SECONDS.get(mode or "") if seconds is None else seconds
        return None if longest is None else price.credits * math.ceil(longest)
