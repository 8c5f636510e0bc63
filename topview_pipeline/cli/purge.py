"""`topview-pipeline purge`: products that left the catalogue long ago are forgotten."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click

from topview_pipeline.cli.console import ask, person, say
from topview_pipeline.cli.environment import open_instance, pipeline
from topview_pipeline.defs.run import pair
from topview_pipeline.store import StoreError
from topview_pipeline.text import counted

if TYPE_CHECKING:
    from topview_pipeline.ledger import Ledger, Task

_DAY_SECONDS: Final = 86_400.0
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
    help="Products that left the catalogue at least so long ago, such as 180d.",
)
@click.option("--media", is_flag=True, help="Delete their files and tasks too, for good.")
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge(days: int, media: bool, dry_run: bool, yes: bool) -> None:
    """Forget products that left the catalogue long ago.

    Their partitions go, and the decisions about them. With --media also their files in the store
    and their tasks in the ledger, with scripts, requests and ids of uploads: a product that comes
    back is paid again. What another product shares is kept, and so are Dagster's events.
    """
    topview = pipeline()
    with open_instance() as instance, topview.ledger() as ledger:
        pair(instance, ledger, topview, write=False)
        going, staying = _sorted(ledger, ledger.retired.before(days * _DAY_SECONDS), media=media)
        for product, rows in going.items():
            also = f", {counted(len(rows), 'task')} and their files" if media else ""
            say(f"{product}: partition{also}")
        for product in staying:
            say(f"{product}: stays, a task of it is on its way", style="yellow")
        if dry_run or not going:
            say(f"{counted(len(going), 'product')} would be forgotten.")
            return
        ask(f"{counted(len(going), 'product')} will be forgotten.", yes=yes)
        for product, rows in going.items():
            for row in rows:
                _remove_files(topview.config.store, ledger.account, row)
            # The rows name the files: they go last, so that what was cut off is found again.
            ledger.retired.forget(product, rows, who=person())
            instance.delete_dynamic_partition(topview.outline.partition_set, product)
    say(f"{counted(len(going), 'product')} forgotten.")


def _sorted(
    ledger: Ledger, products: list[str], *, media: bool
) -> tuple[dict[str, list[Task]], list[str]]:
    """The products that go, each with the rows that go with it, and those that stay."""
    from topview_pipeline.ledger.retired import is_on_its_way

    going: dict[str, list[Task]] = {}
    staying: list[str] = []
    for product in products:
        rows = ledger.retired.tasks(product)
        if any(map(is_on_its_way, rows)):
            staying.append(product)
            continue
        shared = ledger.retired.shared(product, rows) if media else set()
        going[product] = [row for row in rows if media and row.id not in shared]
    return going, staying


def _remove_files(store: str, account: str, row: Task) -> None:
    """Remove a row's files, its record and its index entry from the store."""
    from upath import UPath

    root = UPath(store)
    try:
        for key in _keys(account, row):
            (root / key).unlink(missing_ok=True)
        with contextlib.suppress(OSError, NotImplementedError):
            for key in {key.rpartition("/")[0] for key in _keys(account, row)}:
                (root / key).rmdir()  # of a disk; it refuses where files are left
    except Exception as error:  # fsspec's file systems raise what their vendors' libraries raise
        fix = "Let this role delete there, then purge again."
        what = f"a file of {row.product_id} cannot be deleted ({type(error).__name__})"
        raise StoreError(what, fix=fix) from error


def _keys(account: str, row: Task) -> Iterator[str]:
    for artifact in row.artifacts or ():
        yield artifact["path"]
    yield f"{account}/index/{row.fingerprint}.json"
