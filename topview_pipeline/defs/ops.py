"""The ops of the `catch_up` job; they wrap the Topview resource.

A backfill needs contiguous products (Dagster fact 4); these take any list. What runs do is
imported when one begins: the code location loads without database and HTTP.
"""

from collections.abc import Iterator
from typing import Any, Final

import dagster as dg
from pydantic import Field

from topview_pipeline.defs.failures import failure, mark_failed, plainly
from topview_pipeline.defs.resources import (
    ArtifactsResource,
    CatalogueResource,
    LedgerResource,
    TopviewResource,
)

LEAST_WAIT_OF_SENSOR_RUNS: Final = 1800.0
"""Seconds: with TOPVIEW_WAIT_SECONDS=0 it is the sensor's runs that wait for the tasks."""


class OrderConfig(dg.Config):
    """One order: a product's stage."""

    product: str = Field(description="Product id, as in the catalogue.")
    stage: str = Field(description="bgRemovedImage, replacedImages or finishedVideo.")


class CatchUpConfig(dg.Config):
    """What to catch up. Without anything: all products of the catalogue, all stages."""

    products: list[str] = Field(
        default=[], description="Product ids; none means the whole catalogue."
    )
    stages: list[str] = Field(
        default=[], description="Asset keys; none means all three. Nothing else is made."
    )
    orders: list[OrderConfig] = Field(
        default=[],
        description="An explicit list of (product, stage), as the sensor gives; it goes over "
        "products and stages.",
    )
    force: bool = Field(
        default=False,
        description="Make it anew though it is there: Topview is paid again, once per run.",
    )
    explicit: bool = Field(
        default=True,
        description="False for the sensor's runs: failed work is tried again only when it is "
        "due, and every task that nobody watches is brought home.",
    )


@dg.op(
    description="What is missing, changed, pending or due, with reasons and credits. Spends "
    "nothing and needs no key, only TOPVIEW_UID, which names the account.",
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

    with plainly():
        found = catalogue.read()
        planning.register(context.instance, found)
        for problem in found.problems:
            context.log.warning(f"catalogue {found.source}, {problem}")
        opened = ledger.open()
        try:
            planned = planning.planned(config, found, opened, context.instance)
        finally:
            opened.close()
    context.add_output_metadata(
        {
            "topview/plan": planning.plan_table(planned),
            "topview/orders": len(planned),
            "topview/credits": planning.credits_of(planned),
            "topview/catalogue_problems": len(found.problems),
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
