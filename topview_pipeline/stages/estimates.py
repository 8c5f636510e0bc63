"""What a task may cost before Topview says so: what such tasks cost, else a price list. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from topview_pipeline.catalogue import Product
from topview_pipeline.prices import PriceList
from topview_pipeline.stages import FINISHED_VIDEO, Stage

_LETTERS_A_SECOND: Final = 12.0
_IDEOGRAPHS_A_SECOND: Final = 4.0
"""Slow speech, so that an estimate is rather too high: English is read at 14 letters a second."""
_IDEOGRAPH: Final = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")


@dataclass(frozen=True)
class Estimate:
    """The most that a task may cost, as far as is known; `credits` is None when nothing says."""

    credits: float | None
    source: str


def estimate_of(
    stage: Stage,
    mode: str | None,
    seconds: float | None,
    *,
    seen: float | None,
    prices: PriceList,
) -> Estimate:
    """What a task may cost.

    Args:
        seconds: of speech; None when unknown or when it has none.
        seen: the highest that such tasks cost so far.
    """
    if stage.free:
        return Estimate(0.0, "it is free")
    if seen is not None:
        return Estimate(seen, "the most that such tasks cost so far")
    listed = prices.of(stage.kind, mode, seconds)
    if listed is not None:
        return Estimate(listed, prices.source)
    return Estimate(None, "nothing says what it costs")


def speech_seconds(stage: Stage, product: Product) -> float | None:
    """About how long a product's script takes to speak; None for what has none.

    Recordings are as long as they are: whoever reads them can tell.
    """
    if stage is not FINISHED_VIDEO or product.script is None:
        return None
    ideographs = len(_IDEOGRAPH.findall(product.script))
    letters = len(product.script) - ideographs
    return max(ideographs / _IDEOGRAPHS_A_SECOND + letters / _LETTERS_A_SECOND, 1.0)
