"""`topview-pipeline plan`: what a run would make and why, what it costs and how long it takes.

Spends nothing, asks nobody at Topview and needs no key.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from topview_pipeline.cli.changes import doubts
from topview_pipeline.cli.checks import problems_of, tell_problems, usable_catalogue
from topview_pipeline.cli.errors import starting
from topview_pipeline.cli.telling import in_credits, tell, tell_rows

if TYPE_CHECKING:
    from rich.console import Console

    from topview_pipeline.forecast import Forecast, StageForecast
    from topview_pipeline.planning import PlannedOrder

_SHOWN_ORDERS = 20


@click.command()
@click.option("--product", "products", multiple=True, metavar="ID", help="Only this product.")
@click.option("--stage", "stages", multiple=True, metavar="ASSET_KEY", help="Only this stage.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many products.")
@click.option("--force", is_flag=True, help="As if all were made anew.")
@click.option("--all", "show_all", is_flag=True, help="Name every order, not the first ones.")
def plan(
    products: tuple[str, ...],
    stages: tuple[str, ...],
    limit: int | None,
    force: bool,
    show_all: bool,
) -> None:
    """Show what `run` would do with the same options."""
    from rich.console import Console

    from topview_pipeline.defs.resources import LedgerResource
    from topview_pipeline.stages import stages_named

    console = Console()
    with starting():
        catalogue = usable_catalogue(products, stages)
        wanted = stages_named(stages)
        ledger = LedgerResource().open()
    tell_problems(console, catalogue.warnings, problems_of(catalogue, products))
    import dagster as dg

    warnings.simplefilter("ignore", dg.BetaWarning)
    from topview_pipeline.cli.instance import open_instance, prepare_home
    from topview_pipeline.defs.planning import forecast_of, plan_for
    from topview_pipeline.planning import first_products

    prepare_home()
    try:
        with open_instance() as instance, starting():
            orders = plan_for(
                catalogue, ledger, instance, products=products, stages=wanted, force=force
            )
            whole = not (products or force)
            held_for = list(doubts(instance, ledger, catalogue, whole=whole))
        orders = first_products(orders, limit)
        tell_plan(console, orders, forecast_of(orders, ledger), show_all=show_all)
        for doubt in held_for:
            accept = "`topview-pipeline run --accept-change` lets it go on"
            tell(console, f"Held: {doubt}. {accept}.", style="yellow")
    finally:
        ledger.close()


def tell_plan(
    console: Console, orders: Sequence[PlannedOrder], coming: Forecast, *, show_all: bool
) -> None:
    """Print a plan: its orders, then what each stage comes to."""
    if not orders:
        tell(console, "Everything is up to date: there is nothing to make.")
        return
    shown = orders if show_all else orders[:_SHOWN_ORDERS]
    tell_rows(
        console,
        ("product", "stage", "why", "credits"),
        [(order.product_id, order.stage, order.why, _price(order)) for order in shown],
        right=["credits"],
    )
    if len(shown) < len(orders):
        tell(console, f"... and {len(orders) - len(shown)} more (--all shows them)\n")
    tell_rows(
        console,
        ("stage", "products", "new tasks", "credits", "why"),
        map(_stage_row, coming.stages),
        right=["products", "new tasks", "credits"],
    )
    console.print(_summary(coming), highlight=False, soft_wrap=not console.is_terminal)


def _price(order: PlannedOrder) -> str:
    if not order.submits:
        return "-"
    return "unknown" if order.credits is None else f"{order.credits:g}"


def _stage_row(stage: StageForecast) -> tuple[str, str, str, str, str]:
    unpriced = f" + {stage.unpriced} unknown" if stage.unpriced else ""
    why = ", ".join(f"{count} {reason}" for reason, count in stage.reasons.items())
    priced = f"{stage.credits:g}{unpriced}"
    return stage.stage, str(stage.orders), str(stage.tasks), priced, why


def _summary(coming: Forecast) -> str:
    unpriced = f" and {coming.unpriced} of unknown price" if coming.unpriced else ""
    return (
        f"{coming.tasks} new tasks, about {in_credits(coming.credits)}{unpriced}, "
        f"about {_span(coming.seconds)} at the account's slots."
    )


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
