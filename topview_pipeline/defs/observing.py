"""Observing the sources: which products' inputs changed. Spends nothing and needs no key."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import dagster as dg

from topview_pipeline.catalogue import Catalogue, Product
from topview_pipeline.defs.inputs import opened_inputs
from topview_pipeline.defs.partitions import PRODUCTS
from topview_pipeline.defs.sync import tell_of_unreadable
from topview_pipeline.defs.versions import Versions
from topview_pipeline.inputs import InputError, InputFiles
from topview_pipeline.producer.preferring import ChosenByProduct, shape_with_choices
from topview_pipeline.stages import STAGES, Stage
from topview_pipeline.stages.shapes import shape_of


@dataclass
class Looked:
    """What a look at the inputs of products found.

    Attributes:
        versions: data version by (source, product).
        unreadable: by product, why it is not observed; it keeps its last version.
        place: where a look that came to no end stopped, as `start` of the next.
        is_whole: whether it came to its end.
    """

    versions: dict[tuple[str, str], str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    place: int = 0
    is_whole: bool = True


def changed_versions(
    context: dg.OpExecutionContext, catalogue: Catalogue, stage: Stage, chosen: ChosenByProduct
) -> dict[str, str]:
    """The data version of a stage's own inputs, of the registered products where it is new.

    Only those are observed: an event takes Dagster 17 ms, and a catalogue may have 20,000 products
    of which a handful changed. A product with a missing file keeps its last version.
    """
    registered = set(context.instance.get_dynamic_partitions(PRODUCTS))
    with opened_inputs() as inputs:
        inputs.prefetch(_files(catalogue, registered))
        looked = look(catalogue, {stage: registered}, inputs, chosen, is_over=_never)
    tell_of_unreadable(context, looked.unreadable)
    changed = Versions(context.instance).unobserved(looked.versions)
    context.log.info(f"{stage.source}: {len(changed)} of {len(looked.versions)} products changed.")
    return {product_id: version for _, product_id, version in changed}


def changed_of_made(
    instance: dg.DagsterInstance,
    catalogue: Catalogue,
    inputs: InputFiles,
    chosen: ChosenByProduct,
    *,
    start: int = 0,
    is_over: Callable[[], bool] | None = None,
) -> tuple[list[tuple[str, str, str]], Looked]:
    """(source, product, version) of what was made from another version, and the look itself.

    Of what was never made nobody asks whether it is stale; the run that makes it observes what it
    reads.

    Args:
        chosen: people's choices of images.
        start: where an earlier look at the same catalogue stopped.
        is_over: asked before each product; True ends the look early. Without it the files are
            read several at once.
    """
    made = {stage: instance.get_materialized_partitions(dg.AssetKey(stage.key)) for stage in STAGES}
    if is_over is None:
        inputs.prefetch(_files(catalogue, set().union(*made.values())))
    looked = look(catalogue, made, inputs, chosen, start=start, is_over=is_over or _never)
    return Versions(instance).unobserved(looked.versions), looked


def look(
    catalogue: Catalogue,
    products: Mapping[Stage, Collection[str]],
    inputs: InputFiles,
    chosen: ChosenByProduct,
    *,
    start: int = 0,
    is_over: Callable[[], bool],
) -> Looked:
    """The versions of these products' inputs, for each stage."""
    looked = Looked()
    for place, (stage, product) in enumerate(_pairs(catalogue, products)):
        product_id = product.product_id
        if place < start or product_id not in products[stage]:
            continue
        if is_over():
            looked.place, looked.is_whole = place, False
            return looked
        try:
            of_catalogue = shape_of(stage, product, inputs.sha256)
        except InputError as error:
            looked.unreadable[product_id] = str(error)
        else:
            people = chosen.get(product_id, ())
            shape = shape_with_choices(stage, of_catalogue, product, people)
            looked.versions[stage.source, product_id] = shape.version
    return looked


def _pairs(catalogue: Catalogue, stages: Iterable[Stage]) -> Iterator[tuple[Stage, Product]]:
    """In an order that is the same for the same catalogue, whatever was made meanwhile."""
    return ((stage, product) for stage in stages for product in catalogue.products.values())


def _files(catalogue: Catalogue, products: Collection[str]) -> Iterator[str]:
    for product_id, product in catalogue.products.items():
        if product_id in products:
            yield from product.files


def _never() -> bool:
    return False
