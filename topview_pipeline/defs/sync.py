"""The catalogue's products as Dagster's partitions, and what is said of the catalogue in a run.

Spends nothing and calls nobody but the catalogue, Dagster, the ledger and the files' own servers.
It needs no key, and a uid only for what the ledger remembers.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from topview_pipeline.defs.failures import plainly
from topview_pipeline.defs.partitions import PRODUCTS
from topview_pipeline.defs.resources import CatalogueResource, LedgerResource

if TYPE_CHECKING:
    from topview_pipeline.catalogue import Catalogue
    from topview_pipeline.ledger import Ledger
    from topview_pipeline.producer.preferring import ChosenByProduct

_BATCH: Final = 5000
"""Partitions added in one transaction, so that runs write their events in between."""


@dataclass(frozen=True)
class TakenIn:
    """What a catalogue changed.

    Attributes:
        new: products that became partitions just now.
        left: products that were in the catalogue and are no longer. Their partitions and their
            history stay.
        withdrawn: how many open orders of theirs were withdrawn.
    """

    new: tuple[str, ...]
    left: tuple[str, ...] = ()
    withdrawn: int = 0


def take_in(
    instance: dg.DagsterInstance, catalogue: "Catalogue", ledger: "Ledger | None"
) -> TakenIn:
    """Obey a catalogue: its new products become partitions, those that left are retired.

    Args:
        ledger: of the account; without it nobody is retired, and no change is held.

    Raises:
        CatalogueHeld: it changed so much that a person must say it is meant; nothing was done.
    """
    from topview_pipeline import syncing

    if ledger is None:
        return TakenIn(register(instance, catalogue.products))
    syncing.check(ledger, catalogue)
    new = register(instance, catalogue.products)
    retired = syncing.obey(ledger, catalogue)
    return TakenIn(new, retired.products, retired.orders)


def register(instance: dg.DagsterInstance, product_ids: Iterable[str]) -> tuple[str, ...]:
    """Make products partitions, so that their events have a home; those that were none yet."""
    known = set(instance.get_dynamic_partitions(PRODUCTS))
    new = tuple(product_id for product_id in product_ids if product_id not in known)
    rest = iter(new)
    while batch := list(islice(rest, _BATCH)):
        instance.add_dynamic_partitions(PRODUCTS, batch)
    return new


@contextmanager
def ledger_of_account(resource: LedgerResource) -> "Iterator[Ledger | None]":
    """The ledger of TOPVIEW_UID, None where that is not set: then nothing was ordered from here."""
    from topview_pipeline.settings import Settings

    if Settings.from_environment().uid is None:
        yield None
        return
    opened = resource.open()
    try:
        yield opened
    finally:
        opened.close()


def choices_of(ledger: "Ledger | None") -> "ChosenByProduct":
    """People's choices of images; without an account nothing was chosen from here."""
    return {} if ledger is None else ledger.choices.scenes()


def tell_of_catalogue(context: dg.OpExecutionContext, catalogue: "Catalogue") -> dict[str, int]:
    """Log what is wrong with the catalogue and what was ignored; the counts, as metadata."""
    for problem in catalogue.problems:
        context.log.warning(f"catalogue {catalogue.source}, {problem}")
    for note in catalogue.warnings:
        context.log.warning(f"catalogue {catalogue.source}: {note}")
    return {
        "topview/catalogue_problems": len(catalogue.problems),
        "topview/catalogue_warnings": len(catalogue.warnings),
    }


@dg.op(
    description="Makes the catalogue's new products partitions, observes what changed of "
    "productImage, productScene and productScript of products already made, and retires products "
    "that left: they stay partitions with their history, and are no longer made. Spends nothing "
    "and needs no key.",
    out=dg.Out(dg.Nothing),
)
def sync_with_catalogue(
    context: dg.OpExecutionContext, catalogue: CatalogueResource, ledger: LedgerResource
) -> Iterator[Any]:
    """Take the catalogue in, then observe."""
    from topview_pipeline.defs.inputs import opened_inputs
    from topview_pipeline.defs.observing import changed_of_made
    from topview_pipeline.defs.versions import observation

    with plainly():
        found = catalogue.read()
        counts = tell_of_catalogue(context, found)
        with ledger_of_account(ledger) as opened:
            taken = take_in(context.instance, found, opened)
            chosen = choices_of(opened)
        with opened_inputs() as inputs:
            changed, looked = changed_of_made(context.instance, found, inputs, chosen)
        for reason in looked.unreadable:
            context.log.warning(reason)
        for source, product_id, version in changed:
            yield observation(source, product_id, version)
    yield dg.Output(
        None,
        metadata={
            "topview/products": len(found.products),
            "topview/new_products": len(taken.new),
            "topview/products_that_left": len(taken.left),
            "topview/withdrawn_orders": taken.withdrawn,
            "topview/observed_changes": len(changed),
            **counts,
        },
    )
