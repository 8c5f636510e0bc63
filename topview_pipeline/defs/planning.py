"""What a catch-up run plans: loads what ledger and Dagster know, and shows the plan.

The thinking is in `topview_pipeline.planning`.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from topview_pipeline.catalogue import Catalogue, Product
from topview_pipeline.defs.inputs import opened_inputs
from topview_pipeline.defs.tables import text_table
from topview_pipeline.defs.versions import materialized_versions
from topview_pipeline.forecast import Forecast, forecast
from topview_pipeline.ledger import Ledger, TaskGlance
from topview_pipeline.planning import Known, PlannedOrder, first_products, plan
from topview_pipeline.producer.preferring import shape_with_choices
from topview_pipeline.settings import Settings
from topview_pipeline.stages import BY_KEY, REPLACED_IMAGES, Stage, stages_named
from topview_pipeline.stages.estimates import estimate_of
from topview_pipeline.stages.shapes import Shape, shape_of

if TYPE_CHECKING:
    from topview_pipeline.defs.config import CatchUpConfig

_RESULTS: Final = (REPLACED_IMAGES.key,)
"""The stages whose results decide what the next one is made from: the images to choose from."""


def planned(
    config: CatchUpConfig, catalogue: Catalogue, ledger: Ledger, instance: dg.DagsterInstance
) -> list[PlannedOrder]:
    """The orders of a catch-up run.

    A product that is named and has no usable row is planned too: producing tells what is wrong.
    """
    if config.goes_on:
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
    found = first_products(found, config.limit)
    return found + [
        PlannedOrder(name, stage.key, "has no usable row in the catalogue", 0.0, moves=False)
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
    hashes: Mapping[str, str] = MappingProxyType({}),
) -> list[PlannedOrder]:
    """What `catch_up` would do for these products (none named: all of the catalogue).

    Args:
        hashes: sha256 of files that are not looked at, by path or URL.
    """
    named = set(products)
    chosen: list[Product] = [
        product
        for product_id, product in catalogue.products.items()
        if not named or product_id in named
    ]
    choices = ledger.choices.scenes()
    with _collector_at_rest(), opened_inputs() as inputs:
        known = inputs.prefetch(ref for product in chosen for ref in product.files)

        @cache  # thousands of products share a template
        def hash_of(ref: str) -> str:
            return hashes.get(ref) or known.get(ref) or inputs.sha256(ref)

        def shape(stage: Stage, product: Product) -> Shape:
            of_catalogue = shape_of(stage, product, hash_of)
            people = choices.get(product.product_id, ())
            return shape_with_choices(stage, of_catalogue, product, people)

        return plan(
            chosen,
            stages,
            known_of(ledger, instance, [product.product_id for product in chosen]),
            shape_of=shape,
            force=force,
            when_no_face=Settings.from_environment().when_no_face,
        )


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Without Python's search for reference cycles: a plan over 20,000 products makes a million
    objects that all live to its end, and the search through them is a sixth of its time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def known_of(ledger: Ledger, instance: dg.DagsterInstance, products: Sequence[str]) -> Known:
    """Everything a plan goes by, in a handful of queries."""
    return Known(
        account=ledger.account,
        rows=ledger.overview.rows(results_of=_RESULTS),
        generations=ledger.orders.generations(),
        open_orders={(order.product_id, order.stage) for order in ledger.orders.open_orders()},
        choices=ledger.choices.all(),
        materialized=materialized_versions(instance, products),
        last_stored=_last_stored_of(ledger),
        cost=_prices_of(ledger),
    )


def _last_stored_of(ledger: Ledger) -> Callable[[str, str], TaskGlance | None]:
    """What a product last stored of a stage: asked for all at once, and only when one is asked."""
    found = cache(lambda: ledger.overview.last_stored(results_of=_RESULTS))
    return lambda product_id, stage: found().get((product_id, stage))


def _prices_of(ledger: Ledger) -> Callable[[Stage, str | None, float | None], float | None]:
    prices = Settings.from_environment().prices
    seen = lru_cache(ledger.history.cost_seen)

    def cost(stage: Stage, mode: str | None, seconds: float | None) -> float | None:
        known = seen(stage.key, mode).of(seconds)
        return estimate_of(stage, mode, seconds, seen=known, prices=prices).credits

    return cost


def forecast_of(orders: Sequence[PlannedOrder], ledger: Ledger) -> Forecast:
    """What a plan comes to, by the ledger's history and the account's slots."""

    def typical(stage: str) -> float:
        return ledger.history.typical_seconds(stage) or BY_KEY[stage].typical_seconds

    slots = Settings.from_environment().max_concurrent_tasks
    return forecast(orders, typical=lru_cache(typical), slots=slots)


def forecast_metadata(coming: Forecast) -> dict[str, Any]:
    """What a plan comes to, as metadata: numbers that the UI plots, and a table of the stages."""
    columns = {"stage": "string", "products": "int", "new tasks": "int", "credits": "float"}
    return {
        "topview/tasks": coming.tasks,
        "topview/credits": coming.credits,
        "topview/tasks_of_unknown_price": coming.unpriced,
        "topview/seconds": coming.seconds,
        "topview/stages": dg.MetadataValue.table(
            [
                dg.TableRecord(
                    {
                        "stage": stage.stage,
                        "products": stage.orders,
                        "new tasks": stage.tasks,
                        "credits": stage.credits,
                    }
                )
                for stage in coming.stages
            ],
            schema=dg.TableSchema(
                columns=[dg.TableColumn(name, type_) for name, type_ in columns.items()]
            ),
        ),
    }


def plan_table(orders: Sequence[PlannedOrder]) -> dg.TableMetadataValue:
    """A plan as the UI shows it."""
    return text_table(
        ("product", "stage", "why", "credits"),
        (
            (
                order.product_id,
                order.stage,
                order.why,
                "unknown" if order.credits is None else f"{order.credits:g}",
            )
            for order in orders
        ),
    )
