"""The plan of a catalogue: reads hashes and rows once, and plans its products."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache

from topview_pipeline.catalogue import Catalogue, InputFiles, Product
from topview_pipeline.ledger import Ledger
from topview_pipeline.plan.forecast import Forecast, forecast
from topview_pipeline.plan.known import load_known
from topview_pipeline.plan.plan import PlannedStage, first_products, plan
from topview_pipeline.settings import PipelineConfig
from topview_pipeline.stages import STAGES, Inputs, Stage, stages_named


def plan_catalogue(
    config: PipelineConfig,
    catalogue: Catalogue,
    ledger: Ledger,
    files: InputFiles,
    materialized: Mapping[tuple[str, str], str],
    *,
    products: Sequence[str] = (),
    wanted: Sequence[str] = (),
    limit: int | None = None,
    force: bool = False,
    stages: Sequence[Stage] = STAGES,
) -> list[PlannedStage]:
    """Return what a run over these products would do.

    A product that is named and has no usable row is planned too: the run says what is wrong.

    Args:
        materialized: data version of the newest materialization, by (product, stage).
        products: ids; none means all of the catalogue.
        wanted: keys of the stages to make; none means all.
        limit: at most so many products that can make progress.

    Raises:
        PipelineError: there is no such stage.
    """
    named = set(products)
    chosen = [
        product
        for product_id, product in catalogue.products.items()
        if not named or product_id in named
    ]
    of_run = stages_named(wanted, stages)
    with _collector_at_rest():
        hashes = files.hashes({ref for product in chosen for ref in product.files})

        def inputs_of(stage: Stage, product: Product) -> Inputs:
            return stage.inputs(product, hashes.sha256)

        planned = plan(
            chosen,
            stages,
            of_run,
            load_known(ledger, stages, config.prices, materialized),
            inputs_of=inputs_of,
            force=force,
            when_no_face=config.when_no_face,
        )
    return first_products(planned, limit) + [
        PlannedStage(name, stage.key, "has no usable row in the catalogue", 0.0, moves=False)
        for name in dict.fromkeys(products)
        if name not in catalogue.products
        for stage in of_run
    ]


def forecast_plan(
    config: PipelineConfig,
    planned: Sequence[PlannedStage],
    ledger: Ledger,
    stages: Sequence[Stage] = STAGES,
) -> Forecast:
    """Add up a plan, by the ledger's history and the account's slots."""
    by_key = {stage.key: stage for stage in stages}

    @lru_cache
    def typical(stage: str) -> float:
        return ledger.history.typical_seconds(stage) or by_key[stage].typical_seconds

    return forecast(planned, stages, typical=typical, slots=config.slots)


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Without the garbage collector: a plan over 20,000 products makes a million objects that all
    live to its end, and searching them for cycles is a sixth of its time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
