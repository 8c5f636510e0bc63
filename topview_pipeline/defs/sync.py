"""The catalogue's products as Dagster's partitions, and what is said of the catalogue in a run.

Spends nothing and calls nobody but the catalogue, Dagster, the ledger and the files' own servers.
It needs no key, and a uid only for what the ledger remembers.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from topview_pipeline.defs.failures import plainly
from topview_pipeline.defs.partitions import PRODUCTS
from topview_pipeline.defs.resources import CatalogueResource, LedgerResource
from topview_pipeline.defs.tables import text_table

if TYPE_CHECKING:
    from topview_pipeline.catalogue import Catalogue, RowProblem
    from topview_pipeline.ledger import Ledger
    from topview_pipeline.producer.preferring import ChosenByProduct

_BATCH: Final = 5000
"""Partitions added in one transaction, so that runs write their events in between."""
_SHOWN: Final = 3
_PROBLEM_COLUMNS: Final = ("place", "product", "column", "reason")


@dataclass(frozen=True)
class TakenIn:
    """What a catalogue changed.

    Attributes:
        new: products that became partitions just now.
        left: products that were in the catalogue and are no longer. Their partitions and their
            history stay.
        withdrawn: how many open orders of theirs were withdrawn.
        strangers: names of the account's other catalogues, when this one came for the first time.
    """

    new: tuple[str, ...]
    left: tuple[str, ...] = ()
    withdrawn: int = 0
    strangers: tuple[str, ...] = ()

    @property
    def doubt(self) -> str | None:
        """What a person may have to set right: a catalogue that moved is another one."""
        if not self.strangers:
            return None
        some = ", ".join(self.strangers[:_SHOWN]) + ", ..." * (len(self.strangers) > _SHOWN)
        return (
            f"the ledger knows other catalogues of this account: {some}; if this is the same one, "
            "moved, set TOPVIEW_CATALOGUE_NAME to its name"
        )


def take_in(
    instance: dg.DagsterInstance, catalogue: "Catalogue", ledger: "Ledger | None"
) -> TakenIn:
    """Obey a catalogue: its new products become partitions, those that left are retired.

    Args:
        ledger: of the account; without it nobody is retired, and no change is held.

    Raises:
        CatalogueHeld: it changed so much that a person must say it is meant; nothing was done.
        CatalogueOvertaken: a newer reading may have been obeyed meanwhile; nothing was done.
    """
    from topview_pipeline import syncing

    if ledger is None:
        return TakenIn(register(instance, catalogue.products))
    syncing.admit(ledger, catalogue)
    strangers = syncing.strangers(ledger, catalogue)
    new = register(instance, catalogue.products)
    retired = syncing.obey(ledger, catalogue)
    return TakenIn(new, retired.products, retired.orders, strangers)


def take_in_newest(
    context: dg.OpExecutionContext,
    source: CatalogueResource,
    catalogue: "Catalogue",
    ledger: "Ledger | None",
) -> "tuple[Catalogue, TakenIn]":
    """`take_in` for a run: a reading that another one overtook is read once more.

    Returns:
        The catalogue that was obeyed, and what it changed.
    """
    from topview_pipeline.catalogue import CatalogueOvertaken

    try:
        taken = take_in(context.instance, catalogue, ledger)
    except CatalogueOvertaken as error:
        context.log.info(str(error))
        catalogue = source.read()
        taken = take_in(context.instance, catalogue, ledger)
    if taken.doubt is not None:
        context.log.warning(f"catalogue {catalogue.source}: {taken.doubt}")
    return catalogue, taken


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


def tell_of_catalogue(context: dg.OpExecutionContext, catalogue: "Catalogue") -> dict[str, Any]:
    """Log what is wrong with the catalogue and what was ignored; counts and rows, as metadata."""
    from topview_pipeline.grouping import in_few_lines

    def many(problems: Sequence["RowProblem"]) -> str:
        first = problems[0]
        return f"{len(problems)} rows like {first}"

    problems = in_few_lines(
        catalogue.problems, lambda one: f"{one.column}: {one.reason}", one=str, many=many
    )
    for line in problems:
        context.log.warning(f"catalogue {catalogue.source}, {line}")
    notes = in_few_lines(catalogue.warnings, str, one=str, many=_like_the_first)
    for line in notes:
        context.log.warning(f"catalogue {catalogue.source}: {line}")
    told: dict[str, Any] = {
        "topview/catalogue_problems": len(catalogue.problems),
        "topview/catalogue_warnings": len(catalogue.warnings),
    }
    if catalogue.problems:
        rows = (
            (f"{one.unit} {one.line}", one.product_id or "", one.column or "", one.reason)
            for one in catalogue.problems
        )
        told["topview/catalogue_problem_rows"] = text_table(_PROBLEM_COLUMNS, rows)
    return told


def tell_of_unreadable(context: dg.OpExecutionContext, unreadable: Mapping[str, str]) -> None:
    """Log which products are not observed, and why."""
    from topview_pipeline.grouping import in_few_lines

    def one(of: tuple[str, str]) -> str:
        return f"{of[0]} is not observed: {of[1]}"

    def many(alike: Sequence[tuple[str, str]]) -> str:
        return f"{len(alike)} products are not observed, {one(alike[0])}"

    lines = in_few_lines(unreadable.items(), lambda of: of[1], one=one, many=many)
    for line in lines:
        context.log.warning(line)


def _like_the_first(alike: Sequence[str]) -> str:
    return f"{len(alike)} like: {alike[0]}"


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
            newest, taken = take_in_newest(context, catalogue, found, opened)
            if newest is not found:
                found, counts = newest, tell_of_catalogue(context, newest)
            chosen = choices_of(opened)
        with opened_inputs() as inputs:
            changed, looked = changed_of_made(context.instance, found, inputs, chosen)
        tell_of_unreadable(context, looked.unreadable)
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
