"""`topview-pipeline ledger`: which store the ledger's results are kept in."""

from __future__ import annotations

from typing import Final

import click

from topview_pipeline.cli.console import ask, person, say
from topview_pipeline.cli.environment import pipeline

_LOST: Final = (
    "Tasks that were in flight when an earlier ledger was lost are unknown to this one: their work "
    "is sent, and paid, again."
)
_MOVED: Final = (
    "Is this store mounted? Results that are not in it are downloaded again, free, as long as "
    "Topview has them (7 days). Older ones are held: only force makes, and pays, them again."
)


@click.group()
def ledger() -> None:
    """Let ledger and store know each other again."""


@ledger.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def adopt(yes: bool) -> None:
    """Make the ledger (TOPVIEW_LEDGER_URL) keep its results in this store (TOPVIEW_STORE).

    For a ledger that was lost, and for a store that was moved or is new. Nothing is sent, and it
    needs no key. What the store has is taken over by the runs that want it, free.

    Exit codes: 0 they know each other, 2 nothing was done.
    """
    topview = pipeline()
    store = topview.store
    with topview.ledger() as ledger:
        if (found := store.identity()) is not None and found == ledger.store_id():
            say("Ledger and store know each other: there is nothing to do.")
            return
        has_results, has_tasks = store.has_results(ledger.account), ledger.has_tasks()
        has = {True: "has", False: "has no"}
        say(f"The ledger {ledger.where} {has[has_tasks]} tasks of this account.")
        say(f"The store {store.location} {has[has_results]} results of this account.")
        say(_MOVED if has_tasks else _LOST)
        ask("The ledger will remember this store.", yes=yes)
        identity = store.identity(create=True)
        if identity is not None:
            ledger.remember_store(identity, who=person())
    say("Ledger and store know each other now.")
