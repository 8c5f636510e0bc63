"""The plan of a catalogue: reads hashes and rows once, and plans its products."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Final

from topview_pipeline.catalogue import Catalogue, FileHashes, InputFiles, Product
from topview_pipeline.catalogue.references import shown
from topview_pipeline.engine.gate import ReviewRules
from topview_pipeline.ledger import Ledger
from topview_pipeline.plan.forecast import Forecast, forecast
from topview_pipeline.plan.known import load_known
from topview_pipeline.plan.plan import PlannedStage, Planner
from topview_pipeline.settings import Gate, PipelineConfig
from topview_pipeline.stages import BY_KEY, Inputs, Stage, stages_named

PATIENCE_SECONDS: Final = 3.0
_NEW_SECONDS: Final = 30.0
_FIX: Final = "fix or add its row in the catalogue, then run it again"


def plan_catalogue(
    config: PipelineConfig,
    catalogue: Catalogue,
    ledger: Ledger,
    files: InputFiles,
    materialized: Mapping[tuple[str, str], str],
    *,
    products: Sequence[str] = (),
    wanted: Sequence[str] = (),
    force: bool = False,
    patience: float = PATIENCE_SECONDS,
    gate: Gate | None = None,
    canary: int | None = None,
    occasion: str = "",
    failing: Collection[str] = (),
) -> list[PlannedStage]:
    """Return what a run over these products would do.

    A product that is named and has no usable row is planned too: the run says what is wrong.

    Args:
        materialized: data version of the newest materialization, by (product, stage).
        products: ids; none means all of the catalogue.
        wanted: keys of the stages to make; none means all.
        patience: seconds without an answer from any server, after which the files that are left
            are not waited for. Their products are planned; a run finds out what there is to do.
        gate, canary: the run's.
        occasion: see `RunInfo`.
        failing: see `Planner`.

    Raises:
        PipelineError: there is no such stage.
    """
    named = set(products)
    chosen = [
        product
        for product_id, product in catalogue.products.items()
        if not named or product_id in named
    ]
    of_run = stages_named(wanted)
    with _collector_at_rest():
        made = {product_id for product_id, _ in materialized}
        old = {ref for one in chosen if one.product_id in made for ref in one.files}
        new = {ref for one in chosen for ref in one.files} - old
        looks = (
            files.hashes(old, patience=patience),
            # These are made in any case: the first need not wait for a look at all of them.
            files.hashes(new, patience=patience, seconds=_NEW_SECONDS),
        )
        hashes = FileHashes(
            {ref: answer for look in looks for ref, answer in look.answers.items()},
            {ref: guess for look in looks for ref, guess in look.guesses.items()},
        )

        def inputs_of(stage: Stage, product: Product) -> Inputs:
            return stage.inputs(product, hashes.guess)

        def unread_of(stage: Stage, product: Product) -> str | None:
            if not hashes.guesses:
                return None
            refs = stage.sources(product)
            return next((shown(ref) for ref in refs if ref in hashes.guesses), None)

        planner = Planner(
            wanted=of_run,
            known=load_known(ledger, config.prices, materialized),
            inputs_of=inputs_of,
            unread_of=unread_of,
            force=force,
            when_no_face=config.when_no_face,
            rules=ReviewRules.of(config, gate, canary),
            occasion=occasion,
            failing=failing,
        )
        planned = planner.plan(chosen)
    reasons = {problem.product_id: str(problem) for problem in catalogue.problems}
    nowhere = f"it is not in the catalogue {catalogue.source}"
    unusable = [
        PlannedStage(name, stage.key, reasons.get(name, nowhere), 0.0, outcome="failed", fix=_FIX)
        for name in dict.fromkeys(products)
        if name not in catalogue.products
        for stage in of_run
    ]
    return unusable + planned


def first_products(planned: Sequence[PlannedStage], limit: int | None) -> list[PlannedStage]:
    """Cut the plan after the first `limit` products that can make progress; None: the whole plan.

    Products before that point that cannot are kept, and do not use up the limit: else a few that
    were refused would keep all others from being made.
    """
    if limit is None:
        return list(planned)
    moving = list(dict.fromkeys(one.product_id for one in planned if one.moves))
    if len(moving) <= limit:
        return list(planned)
    last = moving[limit - 1]
    end = max(number for number, one in enumerate(planned, 1) if one.product_id == last)
    return list(planned[:end])


def forecast_plan(
    config: PipelineConfig, planned: Sequence[PlannedStage], ledger: Ledger
) -> Forecast:
    """Add up a plan, by the ledger's history and the account's slots."""

    @lru_cache
    def typical(key: str) -> float:
        seen = ledger.history.typical_seconds(key) or config.typical_seconds(BY_KEY[key].kind)
        return seen or BY_KEY[key].typical_seconds

    return forecast(planned, typical=typical, slots=config.slots)


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
