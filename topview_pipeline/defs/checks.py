"""The check of each product's results, as Dagster has it: one for each asset and partition.

It is evaluated by whichever run tells of the result, right after the materialization. What is
measured is in `quality`, and remembered by `inspection`. Checks over the whole account are in
`standing.py`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Final

import dagster as dg

from topview_pipeline.defs.partitions import products
from topview_pipeline.quality import Outcome, Verdict
from topview_pipeline.stages import STAGES

CHECK: Final = "quality"
_DESCRIPTIONS: Final[Mapping[str, str]] = {
    "bgRemovedImage": "The cut-out is neither empty nor the whole photo.",
    "replacedImages": (
        "There is a face where Topview says so, and the product is where it was put (when the row "
        "has a `location`)."
    ),
    "finishedVideo": (
        "The video opens and is whole, has its mode's size and a length that fits what is said, is "
        "heard for most of it, and is neither black nor frozen for long."
    ),
}
_WHAT_FOLLOWS: Final = (
    "\n\n*Error*: it is not exported. *Warning*: somebody should look; it is exported. What could "
    "not be measured passes, and says so. TOPVIEW_CHECKS=false switches it off."
)


def check_specs() -> list[dg.AssetCheckSpec]:
    """A check of each asset, by product."""
    with warnings.catch_warnings():
        # Partitions of checks are in preview; without them the last product's result would stand
        # for all.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                CHECK,
                asset=stage.key,
                description=_DESCRIPTIONS[stage.key] + _WHAT_FOLLOWS,
                partitions_def=products,
            )
            for stage in STAGES
        ]


def evaluation(stage: str, product_id: str, verdict: Verdict) -> dg.AssetCheckEvaluation:
    """A verdict as the result of a product's check."""
    values: dict[str, Any] = {"topview/outcome": verdict.outcome.value}
    if verdict.mend:
        values["topview/what_to_do"] = verdict.mend
    if verdict.not_measured:
        values["topview/not_measured"] = "; ".join(verdict.not_measured)
    values |= {f"topview/{name}": float(value) for name, value in verdict.numbers.items()}
    is_doubt = verdict.outcome is Outcome.DOUBTFUL
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(stage),
        check_name=CHECK,
        passed=verdict.outcome in (Outcome.PASSED, Outcome.UNMEASURED),
        severity=dg.AssetCheckSeverity.WARN if is_doubt else dg.AssetCheckSeverity.ERROR,
        description=f"{verdict.why} {verdict.mend}".strip(),
        metadata=values,
        partition=product_id,
    )
