"""`topview-pipeline plan`: what a run would make and why, what it costs and how long it takes.

Spends nothing, asks nobody at Topview and needs no key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click
from rich.console import Console

from topview_pipeline.catalogue import ChangeNotAccepted, check_gone, check_made_again
from topview_pipeline.cli.completion import complete_product, complete_stage
from topview_pipeline.cli.console import in_credits, say, say_rows, span
from topview_pipeline.cli.environment import (
    open_instance,
    pipeline,
    say_problems,
    usable_catalogue,
)
from topview_pipeline.defs.data_versions import materialized_versions
from topview_pipeline.plan import (
    Forecast,
    PlannedStage,
    StageForecast,
    forecast_plan,
    plan_catalogue,
)
from topview_pipeline.stages import stages_named

_SHOWN: Final = 20


@click.command()
@click.option(
    "--product",
    "products",
    multiple=True,
    metavar="ID",
    shell_complete=complete_product,
    help="Only this product.",
)
@click.option(
    "--stage",
    "stages",
    multiple=True,
    metavar="ASSET_KEY",
    shell_complete=complete_stage,
    help="Only this stage.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), help="Stop after this many products that need work."
)
@click.option("--force", is_flag=True, help="As if all of it were made again.")
@click.option("--all", "show_all", is_flag=True, help="Show every row, not the first ones.")
def plan(
    products: tuple[str, ...],
    stages: tuple[str, ...],
    limit: int | None,
    force: bool,
    show_all: bool,
) -> None:
    """Show what `run` would do with the same options."""
    console = Console()
    stages_named(stages)
    topview = pipeline()
    catalogue = usable_catalogue(topview, products)
    with topview.ledger() as ledger, open_instance() as instance:
        say_problems(console, catalogue, products)
        materialized = materialized_versions(instance, catalogue.products)
        planned = plan_catalogue(
            topview.config,
            catalogue,
            ledger,
            topview.files(ledger),
            materialized,
            products=products,
            wanted=stages,
            limit=limit,
            force=force,
        )
        say_plan(console, planned, forecast_plan(topview.config, planned, ledger), show_all)
        known = ledger.catalogue.products()
    try:
        check_gone(known, catalogue.product_ids, accept_change=False, where=catalogue.source)
        if not (products or force):
            made = len({product for product, _ in materialized})
            again = {one.product_id for one in planned if one.again}
            check_made_again(made, again, accept_change=False, where=catalogue.source)
    except ChangeNotAccepted as error:
        say(f"On hold: {error}", console, style="yellow")


def say_plan(
    console: Console, planned: Sequence[PlannedStage], coming: Forecast, show_all: bool
) -> None:
    """Print a plan: what it has for each product, then the sums of each stage."""
    if not planned:
        say("Everything is up to date: there is nothing to make.", console)
        return
    shown = planned if show_all else planned[:_SHOWN]
    say_rows(
        console,
        ("product", "stage", "why", "credits"),
        [(one.product_id, one.stage, one.why, _price(one)) for one in shown],
        right=["credits"],
    )
    if len(shown) < len(planned):
        say(f"... and {len(planned) - len(shown)} more (--all shows them)\n", console)
    columns = ("stage", "products", "new tasks", "credits", "why")
    say_rows(console, columns, map(_stage_row, coming.stages), right=columns[1:4])
    tasks = "1 new task" if coming.tasks == 1 else f"{coming.tasks} new tasks"
    unpriced = f" and {coming.unpriced} of unknown price" if coming.unpriced else ""
    cost = f"about {in_credits(coming.credits)}{unpriced}"
    say(f"{tasks}, {cost}, about {span(coming.seconds)} at the account's slots.", console)


def _price(planned: PlannedStage) -> str:
    if not planned.submits:
        return "-"
    return "unknown" if planned.credits is None else f"{planned.credits:g}"


def _stage_row(stage: StageForecast) -> tuple[str, str, str, str, str]:
    unpriced = f" + {stage.unpriced} unknown" if stage.unpriced else ""
    why = ", ".join(f"{count} {reason}" for reason, count in stage.reasons.items())
    price = f"{stage.credits:g}{unpriced}"
    return stage.stage, str(stage.products), str(stage.tasks), price, why
