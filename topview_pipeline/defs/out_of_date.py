"""The health check `out_of_date`: the plan of the whole catalogue, as the UI shows it.

Planning 20,000 products takes seconds, so the sensor plans only when catalogue or ledger changed,
and while no run is at work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from topview_pipeline.defs.cursor import digest as digest_of
from topview_pipeline.defs.metadata import plan_table
from topview_pipeline.errors import PipelineError
from topview_pipeline.text import counted

if TYPE_CHECKING:
    from topview_pipeline.defs.resources import TopviewResource
    from topview_pipeline.ledger import Ledger
    from topview_pipeline.plan import PlannedStage

OUT_OF_DATE: Final = "out_of_date"
MEANING: Final = (
    "Products that catch_up would make something for: new ones, and those whose inputs changed."
)
_CATALOGUE_SECONDS: Final = 20.0
_MOST_ROWS: Final = 200


def mark_of(topview: TopviewResource, ledger: Ledger) -> str | None:
    """A text that changes whenever the plan may; None while a run is at work."""
    if ledger.workers.alive():
        return None
    return f"{topview.catalogue_version()} {ledger.history.newest()}"


def plan_everything(
    instance: dg.DagsterInstance, topview: TopviewResource, ledger: Ledger
) -> list[PlannedStage]:
    """The new tasks of a run over the whole catalogue, as far as no server need be asked.

    Raises:
        PipelineError: the catalogue cannot be read.
    """
    from topview_pipeline.defs.jobs import CatchUpConfig, plan_run

    catalogue = topview.catalogue(seconds=_CATALOGUE_SECONDS)
    files = topview.files(ledger, offline=True)
    planned, *_ = plan_run(instance, topview, ledger, catalogue, CatchUpConfig(), files=files)
    return [one for one in planned if one.is_made and one.is_read]


def evaluate(
    instance: dg.DagsterInstance, topview: TopviewResource, ledger: Ledger
) -> dict[str, Any]:
    """The check's result, also where the catalogue cannot be read: other checks are evaluated."""
    try:
        return result(topview, plan_everything(instance, topview, ledger))
    except PipelineError as error:
        severity, why = dg.AssetCheckSeverity.WARN, topview.outline.worded(str(error))
        return {"passed": False, "severity": severity, "description": why, "metadata": {}}


def result(topview: TopviewResource, planned: list[PlannedStage]) -> dict[str, Any]:
    """The fields that the check's result and its evaluation have in common."""
    products = len({one.product_id for one in planned})
    known = [one.credits for one in planned if one.submits and one.credits is not None]
    unpriced = sum(one.submits and one.credits is None for one in planned)
    metadata: dict[str, Any] = {"topview/count": products}
    description = "Everything is up to date."
    if planned:
        also = f" and {counted(unpriced, 'task')} without a known price" if unpriced else ""
        description = (
            f"{counted(products, 'product')} to make or remake: "
            f"{counted(len(planned), 'result')}, about {counted(round(sum(known), 2), 'credit')}"
            f"{also}. Launch the job {topview.outline.of('catch_up')} as it is: it makes just that."
        )
        metadata["topview/plan"] = plan_table(planned[:_MOST_ROWS])
        metadata["topview/credits"] = float(sum(known))
    return {
        "passed": not planned,
        "severity": dg.AssetCheckSeverity.WARN,
        "description": description,
        "metadata": metadata,
    }


def digest(planned: list[PlannedStage]) -> str:
    """A text that changes with the plan."""
    return digest_of([(one.product_id, one.stage, one.why, one.credits) for one in planned])
