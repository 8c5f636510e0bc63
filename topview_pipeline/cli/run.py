"""`topview-pipeline run`: brings the catalogue up to date by the job catch_up, in this process.

Dagster takes a second to load: that is left to `catch_up`, after the first word.
"""

from __future__ import annotations

from typing import Any, Final

import click

from topview_pipeline.cli.console import ask, sign
from topview_pipeline.cli.options import Credits, complete_stage, products_option, web_address
from topview_pipeline.settings import GATES
from topview_pipeline.stop import stop

_LEVELS: Final = ("debug", "info", "warning", "error", "critical")


@click.command()
@products_option
@click.option(
    "--stage",
    "stages",
    multiple=True,
    metavar="ASSET_KEY",
    shell_complete=complete_stage,
    help="Only this stage. Repeatable.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), help="Stop after this many products that need work."
)
@click.option("--force", is_flag=True, help="Remake what exists, and pay for it again.")
@click.option(
    "--credit-limit",
    type=Credits(),
    metavar="CREDITS",
    help="Most credits that this run may spend; the rest is held for another run.",
)
@click.option(
    "--gate",
    type=click.Choice(GATES),
    help="What waits for a person before its video is paid. Overrides TOPVIEW_GATE and the rows.",
)
@click.option(
    "--canary",
    type=click.IntRange(min=0),
    metavar="N",
    help="N products of each look go first; the others wait until these passed.",
)
@click.option(
    "--accept-change",
    is_flag=True,
    help="Accept that much of the catalogue is gone, or would be remade.",
)
@click.option("--yes", is_flag=True, help="Do not ask before the whole catalogue is forced.")
@click.option("--json", "as_json", is_flag=True, help="Print events as JSON lines, then a summary.")
@click.option("-q", "--quiet", is_flag=True, help="Print only what needs a person.")
@click.option(
    "-v", "--verbose", is_flag=True, help="As --log-level info; with --dry-run every row."
)
@click.option(
    "--log-level",
    type=click.Choice(_LEVELS, case_sensitive=False),
    help="Show Dagster's log from this level on, on standard error.",
)
@click.option(
    "--launch",
    callback=web_address,
    is_flag=False,
    flag_value="http://127.0.0.1:3000",
    metavar="[URL]",
    help="Let the Dagster whose UI is at URL do it, and end. Default: http://127.0.0.1:3000.",
)
@click.option("--dry-run", is_flag=True, help="Send nothing: only show the `plan`.")
@click.pass_context
def run(
    context: click.Context,
    /,
    products: tuple[str, ...],
    stages: tuple[str, ...],
    force: bool,
    yes: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    log_level: str | None,
    launch: str | None,
    dry_run: bool,
    **options: Any,
) -> None:
    """Bring the catalogue (TOPVIEW_CATALOGUE) up to date; what exists costs nothing.

    Ctrl-C sends nothing more, and says what is on its way; a second one ends at once.

    Exit codes: 0 all done (with --launch: it is in Dagster's queue), 1 some failed (bad catalogue
    rows included), 2 nothing could start, 3 some still pending or held, 130 stopped by Ctrl-C,
    143 by SIGTERM.
    """
    if dry_run:
        from topview_pipeline.cli.plan import plan

        options |= {"force": force, "as_json": as_json, "quiet": quiet, "show_all": verbose}
        context.invoke(plan, products=products, stages=stages, **options)
    if force and not products:
        what = "--force without --product remakes the whole catalogue, and pays for all of it."
        ask(what, yes=yes)
    wanted = {"products": list(products), "stages": list(stages), "force": force, **options}
    wanted["everything"] = force and not products
    if quiet:
        sign.end()
    else:
        click.echo("Reading the catalogue ...", err=as_json)
        sign.spoken()

    from topview_pipeline.cli.catch_up import catch_up, submit

    if launch is not None:
        submit(launch, wanted, as_json=as_json)
        context.exit(stop.code or 0)
    level = log_level or ("info" if verbose else None)
    context.exit(catch_up(wanted, as_json=as_json, quiet=quiet, log_level=level))
