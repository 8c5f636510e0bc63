"""`topview-pipeline purge`: products that left the catalogue long ago are forgotten."""

from __future__ import annotations

import re
from typing import Final

import click

from topview_pipeline.cli.console import ask, person, say
from topview_pipeline.cli.environment import open_instance, pipeline
from topview_pipeline.defs.catalogue_sync import forget, forgettable
from topview_pipeline.text import counted

_LEAST_DAYS: Final = 7
"""So long Topview keeps results, and a day's limit counts tasks."""


def _days(_: click.Context, __: click.Parameter, given: str) -> int:
    found = re.fullmatch(r"(\d{1,5})d", given)
    if found is None or int(found[1]) < _LEAST_DAYS:
        what = f"{given!r} is no number of days such as 180d, at least {_LEAST_DAYS}d."
        raise click.BadParameter(what)
    return int(found[1])


@click.command()
@click.option(
    "--retired-for",
    "days",
    callback=_days,
    required=True,
    metavar="DAYS",
    help="Products that left the catalogue at least this long ago, such as 180d.",
)
@click.option("--media", is_flag=True, help="Delete their files and tasks too, for good.")
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge(days: int, media: bool, dry_run: bool, yes: bool) -> None:
    """Forget products that left the catalogue long ago.

    It deletes their partitions and the decisions about them. With --media also their files in the
    store and their tasks in the ledger, with scripts, requests and ids of uploads: a product that
    comes back is then paid for again. What another product shares is kept, and so are Dagster's
    events.
    """
    topview = pipeline()
    with open_instance() as instance, topview.ledger() as ledger:
        going, staying = forgettable(instance, topview, ledger, days=days, media=media)
        for product, rows in going.items():
            also = f", {counted(len(rows), 'task')} and their files" if media else ""
            say(f"{product}: partition{also}")
        for product in staying:
            say(f"{product}: stays, a task of it is on its way", style="yellow")
        if dry_run or not going:
            say(f"{counted(len(going), 'product')} would be forgotten.")
            return
        ask(f"{counted(len(going), 'product')} will be forgotten.", yes=yes)
        forget(instance, topview, ledger, going, who=person())
    say(f"{counted(len(going), 'product')} forgotten.")
