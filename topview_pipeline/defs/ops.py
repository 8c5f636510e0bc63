"""The ops of the `catch_up` job; they wrap the Topview resource.

A run of a backfill takes neighbouring partitions only; these take any list. What runs do is
imported when one begins: the code location loads without database and HTTP.
"""

import time
from collections.abc import Iterator, Mapping
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
from topview_pipeline.defs.sync import take_in_newest, tell_of_catalogue

LEAST_WAIT_OF_SENSOR_RUNS: Final = 1800.0
"""Seconds: with TOPVIEW_WAIT_SECONDS=0 it is the sensor's runs that wait for the tasks."""
_NOTHING: Final = {"tasks": 0.0, "credits": 0.0, "seconds": 0.0}
"""What a run comes to that finds everything up to date."""


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
    from topview_pipeline.defs import planning, recipes
    from topview_pipeline.defs.reading import read_for_run

    contradiction = config.contradiction()
    if contradiction is not None:
        raise dg.Failure(f"the run's config: {contradiction}", allow_retries=False)
    with plainly():
        found = read_for_run(catalogue, context.log, explicit=config.explicit)
        counts = {} if found is None else tell_of_catalogue(context, found)
        opened = ledger.open()
        try:
            if found is None:
                planned = []
            else:
                if config.explicit:
                    newest, _ = take_in_newest(context, catalogue, found, opened)
                    if newest is not found:
                        found, counts = newest, tell_of_catalogue(context, newest)
                if config.is_of_the_whole_catalogue:
                    recipes.check_recipe(context.instance, opened, found, catalogue)
                planned = planning.planned(config, found, opened, context.instance)
            # What was ordered before was priced then; what is left of it only its rows can tell.
            coming = None if config.goes_on else planning.forecast_of(planned, opened)
        finally:
            opened.close()
    context.add_output_metadata(
        {
            "topview/plan": planning.plan_table(planned),
            "topview/orders": len(planned),
            **({} if coming is None else planning.forecast_metadata(coming)),
            **counts,
        }
    )
    return {
        "force": config.force,
        "explicit": config.explicit,
        "credit_limit": config.credit_limit,
        # To be looked at again where only `produce` is executed again, with a plan that is old.
        "is_of_the_whole_catalogue": config.is_of_the_whole_catalogue,
        "planned": {}
        if coming is None
        else {
            "tasks": coming.tasks,
            "credits": coming.credits,
            "seconds": round(coming.seconds, 1),
        },
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
    if explicit and not plan["orders"]:
        context.log.info("Everything is up to date.")
        yield dg.Output(None, metadata=planned_against_real(plan["planned"], _NOTHING))
        return
    began = time.monotonic()
    with plainly():
        production = Production(
            context,
            Bench(topview, ledger, artifacts, catalogue),
            explicit=explicit,
            least_wait=0.0 if explicit else LEAST_WAIT_OF_SENSOR_RUNS,
            credit_limit=plan["credit_limit"],
            is_of_many=plan["is_of_the_whole_catalogue"],
        )
        yield from production.events(
            [
                Wanted(order["product"], order["stage"], order["reason"], plan["force"])
                for order in plan["orders"]
            ],
            resume=not explicit,
        )
    report = production.report
    context.log.info(
        f"{report.made} made, {report.reused} of them taken from the store; "
        f"{report.credits:g} credits; {len(report.troubles)} not made."
    )
    real = {"tasks": report.made - report.reused, "credits": report.credits}
    against = planned_against_real(plan["planned"], real | {"seconds": time.monotonic() - began})
    if report.troubles:
        mark_failed(context, report.troubles)
        raise failure(report.troubles, made=report.made, metadata=against)
    yield dg.Output(None, metadata=against)


def planned_against_real(
    planned: Mapping[str, float], real: Mapping[str, float]
) -> dict[str, dg.MetadataValue[Any]]:
    """What a run was to come to and what it came to: new tasks, credits, seconds.

    Args:
        planned: empty where nothing was planned: only what is real is told then.
    """
    return {
        f"topview/{name}_{what}": dg.MetadataValue.float(round(float(values[name]), 2))
        for name in _NOTHING
        for what, values in (("planned", planned), ("real", real))
        if name in values
    }
