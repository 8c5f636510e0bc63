"""The ops of the `catch_up` job; they wrap the Topview resource.

A run of a backfill takes neighbouring partitions only; these take any list. What runs do is
imported when one begins: the code location loads without database and HTTP.
"""

from collections.abc import Iterator
from typing import Any, Final

import dagster as dg

from topview_pipeline.defs.config import CatchUpConfig
from topview_pipeline.defs.failures import failure, mark_failed, plainly
from topview_pipeline.defs.resources import (
    ArtifactsResource,
    CatalogueResource,
    LedgerResource,
    TopviewResource,
)
from topview_pipeline.defs.sync import register, tell_of_catalogue

LEAST_WAIT_OF_SENSOR_RUNS: Final = 1800.0
"""Seconds: with TOPVIEW_WAIT_SECONDS=0 it is the sensor's runs that wait for the tasks."""


@dg.op(
    description="What is missing, changed, pending or due, with reasons and credits. Spends "
    "nothing and calls nobody; uid and key are needed because the job goes on to produce.",
    out=dg.Out(dict, description="The orders, and how they are to be made."),
)
def plan_catch_up(
    context: dg.OpExecutionContext,
    config: CatchUpConfig,
    ledger: LedgerResource,
    catalogue: CatalogueResource,
) -> dict[str, Any]:
    """Plan the orders of a catch-up run."""
    from topview_pipeline.defs import planning

    contradiction = config.contradiction()
    if contradiction is not None:
        raise dg.Failure(f"the run's config: {contradiction}", allow_retries=False)
    with plainly():
        found = catalogue.read()
        counts = tell_of_catalogue(context, found)
        register(context.instance, found)
        opened = ledger.open()
        try:
            planned = planning.planned(config, found, opened, context.instance)
        finally:
            opened.close()
    context.add_output_metadata(
        {
            "topview/plan": planning.plan_table(planned),
            "topview/orders": len(planned),
            **planning.price_of(planned),
            **counts,
        }
    )
    return {
        "force": config.force,
        "explicit": config.explicit,
        "orders": [
            {"product": order.product_id, "stage": order.stage, "reason": order.reason}
            for order in planned
        ],
    }


@dg.op(
    description="Submits, follows and stores what was planned; every product for itself. Ends "
    "with a table of what failed, is held or was parked.",
    ins={"plan": dg.In(dict)},
    out=dg.Out(dg.Nothing),
)
def produce(
    context: dg.OpExecutionContext,
    plan: dict[str, Any],
    topview: TopviewResource,
    ledger: LedgerResource,
    artifacts: ArtifactsResource,
    catalogue: CatalogueResource,
) -> Iterator[Any]:
    """Produce the planned orders."""
    from topview_pipeline.defs.producing import Bench, Production
    from topview_pipeline.ledger import Wanted

    explicit: bool = plan["explicit"]
    wanted = [
        Wanted(order["product"], order["stage"], order["reason"], plan["force"])
        for order in plan["orders"]
    ]
    if explicit and not wanted:
        context.log.info("Everything is up to date.")
        return
    with plainly():
        production = Production(
            context,
            Bench(topview, ledger, artifacts, catalogue),
            explicit=explicit,
            least_wait=0.0 if explicit else LEAST_WAIT_OF_SENSOR_RUNS,
        )
        yield from production.events(wanted, resume=not explicit)
    report = production.report
    context.log.info(
        f"{report.made} made, {report.reused} of them taken from the store; "
        f"{report.credits:g} credits; {len(report.troubles)} not made."
    )
    if report.troubles:
        mark_failed(context, report.troubles)
        raise failure(report.troubles, made=report.made)
