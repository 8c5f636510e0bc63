"""`topview-pipeline ledger`: the store it knows, its tables, and its move to another database."""

from __future__ import annotations

from typing import Final

import click

from topview_pipeline.cli.console import ask, person, say
from topview_pipeline.cli.environment import pipeline
from topview_pipeline.cli.options import yes_option
from topview_pipeline.defs.decisions import adopt_store
from topview_pipeline.settings import PipelineConfig
from topview_pipeline.text import counted

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
    """Pair the ledger with its store, make its tables, copy it to another database."""


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
        is_paired = (found := store.identity()) is not None and found == ledger.store_id()
        if is_paired and ledger.knows_pipeline():
            say("Ledger and store are paired: there is nothing to do.")
            return
        has_results, has_tasks = store.has_results(ledger.account), ledger.has_tasks()
        has = {True: "has", False: "has no"}
        say(f"The ledger {ledger.where} {has[has_tasks]} tasks of this account.")
        say(f"The store {store.location} {has[has_results]} results of this account.")
        if has_tasks and not ledger.knows_pipeline():
            say(f"The ledger has no tasks of the pipeline {ledger.pipeline}.")
        say(_MOVED if has_tasks and not is_paired else _LOST)
        ask("The ledger will remember this store.", yes=yes)
        adopt_store(ledger, store, who=person())
    say("Ledger and store are paired now.")


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
