"""Tells Dagster at once of a choice, and the person what the next run does because of it.

Not here: the choice itself (`topview_pipeline.choosing`).
"""

from __future__ import annotations

import dagster as dg

from topview_pipeline.catalogue import Catalogue, Product
from topview_pipeline.defs.inputs import opened_inputs
from topview_pipeline.defs.partitions import PRODUCTS
from topview_pipeline.defs.planning import plan_for
from topview_pipeline.defs.versions import Versions, observation
from topview_pipeline.inputs import InputError
from topview_pipeline.ledger import Ledger
from topview_pipeline.planning import PlannedOrder
from topview_pipeline.producer.preferring import shape_with_choices
from topview_pipeline.stages import FINISHED_VIDEO
from topview_pipeline.stages.shapes import shape_of


def planned_video(
    instance: dg.DagsterInstance, ledger: Ledger, catalogue: Catalogue, product_id: str
) -> PlannedOrder | None:
    """What the next run does about a product's video; None: it is there as it is wanted.

    Whether the choice is new to Dagster says nothing of that: of two choices the second may take
    back the first, and a new DAGSTER_HOME has observed neither.
    """
    stages = [FINISHED_VIDEO]
    orders = plan_for(
        catalogue, ledger, instance, products=[product_id], stages=stages, force=False
    )
    return orders[0] if orders else None


def observe_choice(instance: dg.DagsterInstance, ledger: Ledger, product: Product) -> None:
    """Observe productScript of a product with the choices that the ledger has of it now.

    A product that is no partition yet, or whose audio cannot be read, is observed when it is.
    """
    if product.product_id not in instance.get_dynamic_partitions(PRODUCTS):
        return
    try:
        with opened_inputs() as inputs:
            of_catalogue = shape_of(FINISHED_VIDEO, product, inputs.sha256)
    except InputError:
        return
    chosen = ledger.choices.scenes(product.product_id).get(product.product_id, ())
    shape = shape_with_choices(FINISHED_VIDEO, of_catalogue, product, chosen)
    key = (FINISHED_VIDEO.source, product.product_id)
    for source, product_id, version in Versions(instance).unobserved({key: shape.version}):
        instance.report_runless_asset_event(observation(source, product_id, version))
