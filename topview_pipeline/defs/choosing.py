"""Tells Dagster at once of a choice: the video of the product is stale from then on.

Not here: the choice itself (`topview_pipeline.choosing`).
"""

from __future__ import annotations

import dagster as dg

from topview_pipeline.catalogue import Product
from topview_pipeline.defs.inputs import opened_inputs
from topview_pipeline.defs.partitions import PRODUCTS
from topview_pipeline.defs.versions import Versions, observation
from topview_pipeline.inputs import InputError
from topview_pipeline.ledger import Ledger
from topview_pipeline.producer.preferring import shape_with_choices
from topview_pipeline.stages import FINISHED_VIDEO
from topview_pipeline.stages.shapes import shape_of


def observe_choice(instance: dg.DagsterInstance, ledger: Ledger, product: Product) -> bool:
    """Observe productScript of a product with the choices that the ledger has of it now.

    A product that is no partition yet, or whose audio cannot be read, is observed when it is.

    Returns:
        Whether its version is new: the video has to be made anew.
    """
    if product.product_id not in instance.get_dynamic_partitions(PRODUCTS):
        return False
    try:
        with opened_inputs() as inputs:
            of_catalogue = shape_of(FINISHED_VIDEO, product, inputs.sha256)
    except InputError:
        return False
    chosen = ledger.choices.scenes(product.product_id).get(product.product_id, ())
    shape = shape_with_choices(FINISHED_VIDEO, of_catalogue, product, chosen)
    key = (FINISHED_VIDEO.source, product.product_id)
    new = Versions(instance).unobserved({key: shape.version})
    for source, product_id, version in new:
        instance.report_runless_asset_event(observation(source, product_id, version))
    return bool(new)
