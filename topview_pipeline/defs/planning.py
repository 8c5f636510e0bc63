"""What a catch-up run plans: loads what ledger and Dagster know, and shows the plan.

The thinking is in `topview_pipeline.planning`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import dagster as dg

from topview_pipeline.catalogue import Catalogue, Product
from topview_pipeline.defs.versions import materialized_versions
from topview_pipeline.inputs import InputFiles
from topview_pipeline.ledger import Ledger, Task
from topview_pipeline.planning import Known, PlannedOrder, plan
from topview_pipeline.settings import Settings
from topview_pipeline.stages import Stage, stages_named
from topview_pipeline.stages.shapes import shape_of

if TYPE_CHECKING:
    from topview_pipeline.defs.config import CatchUpConfig


def planned(
    config: CatchUpConfig, catalogue: Catalogue, ledger: Ledger, instance: dg.DagsterInstance
) -> list[PlannedOrder]:
    """The orders of a catch-up run.

    A product that is named and has no usable row is planned too: producing tells what is wrong.
    """
    if config.orders or not config.explicit:
        reasons = {
            (order.product_id, order.stage): order.reason for order in ledger.orders.open_orders()
        }
        return [
            PlannedOrder(
                order.product,
                order.stage.value,
                reasons.get((order.product, order.stage.value), "ordered"),
                None,
            )
            for order in config.orders
        ]
    stages = stages_named([stage.value for stage in config.stages])
    found = plan_for(
        catalogue, ledger, instance, products=config.products, stages=stages, force=config.force
    )
    return found + [
        PlannedOrder(name, stage.key, "has no usable row in the catalogue", 0.0)
        for name in dict.fromkeys(config.products)
        if name not in catalogue.products
        for stage in stages
    ]


def plan_for(
    catalogue: Catalogue,
    ledger: Ledger,
    instance: dg.DagsterInstance,
    *,
    products: Sequence[str],
    stages: Sequence[Stage],
    force: bool,
) -> list[PlannedOrder]:
    """What `catch_up` would do for these products (none named: all of the catalogue)."""
    named = set(products)
    chosen: list[Product] = [
        product
        for product_id, product in catalogue.products.items()
        if not named or product_id in named
    ]
    inputs = InputFiles()
    return plan(
        chosen,
        stages,
        known_of(ledger, instance, [product.product_id for product in chosen]),
        shape_of=lambda stage, product: shape_of(stage, product, inputs.sha256),
        force=force,
        when_no_face=Settings.from_environment().when_no_face,
    )


def known_of(ledger: Ledger, instance: dg.DagsterInstance, products: Sequence[str]) -> Known:
    """Everything a plan goes by, in a handful of queries."""
    rows: dict[str, list[Task]] = {}
    for row in ledger.tasks.all():
        rows.setdefault(row.fingerprint, []).append(row)
    return Known(
        account=ledger.account,
        rows=rows,
        generations=ledger.orders.generations(),
        open_orders={(order.product_id, order.stage) for order in ledger.orders.open_orders()},
        choices=ledger.choices.all(),
        materialized=materialized_versions(instance, products),
        last_stored=ledger.tasks.last_stored,
        cost=lru_cache(ledger.history.highest_cost),
    )


def price_of(orders: Sequence[PlannedOrder]) -> dict[str, float | int]:
    """What a plan costs, as metadata: the credits that the ledger can tell, and what it cannot."""
    known = [order.credits for order in orders if order.credits is not None]
    return {
        "topview/credits": float(sum(known)),
        "topview/tasks_of_unknown_price": len(orders) - len(known),
    }


def plan_table(orders: Sequence[PlannedOrder]) -> dg.TableMetadataValue:
    """A plan as the UI shows it."""
    columns = ("product", "stage", "why", "credits")
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "product": order.product_id,
                    "stage": order.stage,
                    "why": order.reason,
                    "credits": "unknown" if order.credits is None else f"{order.credits:g}",
                }
            )
            for order in orders
        ],
        schema=dg.TableSchema(columns=[dg.TableColumn(name, "string") for name in columns]),
    )
