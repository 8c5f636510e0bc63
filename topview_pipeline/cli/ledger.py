"""`topview-pipeline ledger`, `metrics` and `purge`: what is done with the ledger as a whole."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Final

import click

from topview_pipeline.cli.console import CannotStart, ask, person, say
from topview_pipeline.cli.environment import open_instance, pipeline
from topview_pipeline.cli.options import yes_option
from topview_pipeline.defs.catalogue_sync import forget, forgettable
from topview_pipeline.defs.decisions import adopt_store
from topview_pipeline.settings import PipelineConfig
from topview_pipeline.text import counted

_LEAST_DAYS: Final = 7
"""So long Topview keeps results, and a day's limit counts tasks."""
_LOST: Final = (
    "Tasks that were in flight when an earlier ledger was lost are unknown to this one: their work "
    "is sent, and paid, again."
)
_MOVED: Final = (
    "Is this store mounted? Results that are not in it are downloaded again, free, as long as "
    "Topview has them (7 days). Older ones are held: only --force remakes them, and pays again."
)


@click.group()
def ledger() -> None:
    """Make the ledger know its store, make its tables, copy it to another database."""


@ledger.command()
@yes_option
def adopt(yes: bool) -> None:
    """Make the ledger (TOPVIEW_LEDGER_URL) keep its results in this store (TOPVIEW_STORE).

    For a ledger that was lost, and for a store that was moved or is new. Nothing is sent, and it
    needs no key. What the store has is taken over by the runs that want it, free.
    """
    topview = pipeline()
    store = topview.store
    with topview.ledger() as ledger:
        is_known = (found := store.identity()) is not None and found == ledger.store_id()
        if is_known and ledger.knows_pipeline():
            say("The ledger knows this store: there is nothing to do.")
            return
        has_results, has_tasks = store.has_results(ledger.account), ledger.has_tasks()
        has = {True: "has", False: "has no"}
        say(f"The ledger {ledger.where} {has[has_tasks]} tasks of this account.")
        say(f"The store {store.location} {has[has_results]} results of this account.")
        if has_tasks and not ledger.knows_pipeline():
            say(f"The ledger has no tasks of the pipeline {ledger.pipeline}.")
        say(_MOVED if has_tasks and not is_known else _LOST)
        ask("The ledger will remember this store.", yes=yes)
        adopt_store(ledger, store, who=person())
    say("The ledger knows this store now.")


@ledger.command()
def upgrade() -> None:
    """Make the ledger's tables (TOPVIEW_LEDGER_URL), for runs with TOPVIEW_MIGRATE=false.

    Before an upgrade, as a role that may make tables: a Helm pre-upgrade hook. It sends nothing,
    needs no account, and changes nothing in a ledger that has them.
    """
    from topview_pipeline.ledger.database import Database
    from topview_pipeline.ledger.schema import VERSION

    database = Database(pipeline().config.ledger_url)
    database.close()
    say(f"The ledger {database.where} has the tables of version {VERSION}.")


@ledger.command(name="copy")
@click.argument("source")
@click.argument("target")
def copy_(source: str, target: str) -> None:
    """Copy the ledger SOURCE into the empty one TARGET, from SQLite to PostgreSQL or back.

    Both are URLs as TOPVIEW_LEDGER_URL takes them; PGPASSWORD keeps a password out of them. It is
    refused while a run is at work.
    """
    from topview_pipeline.ledger.transfer import copy_ledger

    urls = [
        PipelineConfig.model_validate({"ledger_url": url}).ledger_url for url in (source, target)
    ]
    where, counts = copy_ledger(*urls)
    rows = ", ".join(f"{count} in {name}" for name, count in counts.items() if count)
    say(f"Copied {counted(sum(counts.values()), 'row')} ({rows or 'none'}) to {where}.")
    say("Let TOPVIEW_LEDGER_URL name it in every process, and stop using the old one.")


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Serve them on this port at /metrics.")
@click.option("--host", default="0.0.0.0", show_default=True, help="Address to serve on.")  # noqa: S104 - a pod is scraped from outside
@click.option(
    "--file",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write them to this file, for a node exporter, whole or not at all.",
)
def metrics(port: int | None, host: str, file: Path | None) -> None:
    """Print the numbers of the account in OpenMetrics: credits, slots, tasks, health.

    They come from the ledger. It spends nothing and needs no key.
    """
    try:
        from prometheus_client import CollectorRegistry, start_http_server, write_to_textfile
        from prometheus_client.openmetrics.exposition import generate_latest

        from topview_pipeline.export.ledger_metrics import LedgerMetrics
    except ModuleNotFoundError as error:
        fix = "Run: pip install 'topview-pipeline[metrics]'"
        raise CannotStart("prometheus_client is not installed", fix=fix) from error
    topview = pipeline()
    registry = CollectorRegistry()
    registry.register(LedgerMetrics(topview.config, topview.ledger))
    # Also: it can be read at all.
    text: bytes = generate_latest(registry)  # type: ignore[no-untyped-call]
    if file is not None:
        try:
            write_to_textfile(str(file), registry)
        except OSError as error:
            raise CannotStart(f"it cannot be written ({error.strerror})", str(file)) from error
    if port is not None:
        try:
            start_http_server(port, addr=host, registry=registry)
        except OSError as error:
            where = f"port {port}"
            raise CannotStart(f"it cannot be used ({error.strerror})", where) from error
        say(f"Serving http://{host}:{port}/metrics")
        threading.Event().wait()
    elif file is None:
        click.echo(text.decode(), nl=False)


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
@yes_option
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
