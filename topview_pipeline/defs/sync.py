"""The catalogue's products as Dagster's partitions, and what is said of the catalogue in a run.

Spends nothing and needs neither uid nor key: it asks the catalogue and Dagster, nobody else.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from topview_pipeline.defs.failures import plainly
from topview_pipeline.defs.partitions import PRODUCTS
from topview_pipeline.defs.resources import CatalogueResource
from topview_pipeline.stages import STAGES

if TYPE_CHECKING:
    from topview_pipeline.catalogue import Catalogue


@dataclass(frozen=True)
class Registered:
    """What became of the partitions.

    Attributes:
        new: products that became partitions just now.
        left: partitions whose product has no row any more. They stay: their history is theirs.
    """

    new: tuple[str, ...]
    left: tuple[str, ...]


def register(instance: dg.DagsterInstance, catalogue: "Catalogue") -> Registered:
    """Make every product of the catalogue a partition, so that its events have a home."""
    known = instance.get_dynamic_partitions(PRODUCTS)
    before = set(known)
    new = tuple(product_id for product_id in catalogue.products if product_id not in before)
    if new:
        instance.add_dynamic_partitions(PRODUCTS, new)
    in_bad_rows = {problem.product_id for problem in catalogue.problems}
    left = tuple(
        product_id
        for product_id in known
        if product_id not in catalogue.products and product_id not in in_bad_rows
    )
    return Registered(new, left)


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
    description="Makes the catalogue's new products partitions and observes what changed of "
    "productImage, productScene and productScript. Spends nothing and needs no account. Products "
    "that left the catalogue stay partitions.",
    out=dg.Out(dg.Nothing),
)
def sync_with_catalogue(
    context: dg.OpExecutionContext, catalogue: CatalogueResource
) -> Iterator[Any]:
    """Register, then observe."""
    from topview_pipeline.defs.observing import changed_versions
    from topview_pipeline.defs.versions import observation

    with plainly():
        found = catalogue.read()
        counts = tell_of_catalogue(context, found)
        registered = register(context.instance, found)
        observed = 0
        for stage in STAGES:
            for product_id, version in changed_versions(context, found, stage).items():
                yield observation(stage.source, product_id, version)
                observed += 1
    yield dg.Output(
        None,
        metadata={
            "topview/products": len(found.products),
            "topview/new_products": len(registered.new),
            "topview/products_that_left": len(registered.left),
            "topview/observed_changes": observed,
            **counts,
        },
    )
