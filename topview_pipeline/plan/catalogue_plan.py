"""The plan of a catalogue: reads hashes and rows once, and plans its products."""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from typing import Final

from topview_pipeline.catalogue import Catalogue, FileHashes, InputFiles, Product
from topview_pipeline.catalogue.references import shown
from topview_pipeline.engine.context import Estimator
from topview_pipeline.engine.gate import ReviewRules
from topview_pipeline.ledger import Ledger, Tried
from topview_pipeline.plan.plan import Known, PlannedStage, Planner
from topview_pipeline.prices import PriceList
from topview_pipeline.settings import Gate, PipelineConfig
from topview_pipeline.stages import STAGES, Inputs, Stage, stages_named

PATIENCE_SECONDS: Final = 3.0
_NEW_SECONDS: Final = 30.0
_FIX: Final = "fix or add its row in the catalogue, then run it again"


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Without the garbage collector: a plan over 20,000 products makes a million objects that all
    live to its end, and searching them for cycles is a sixth of its time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@collector_at_rest()
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
    made = {product_id for product_id, _ in materialized}
    old = {ref for one in chosen if one.product_id in made for ref in one.files}
    new = {ref for one in chosen if one.product_id not in made for ref in one.files} - old
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


def load_known(
    ledger: Ledger, prices: PriceList, materialized: Mapping[tuple[str, str], str]
) -> Known:
    """Load what the ledger knows; `materialized` comes from Dagster."""
    read = [stage.upstream for stage in STAGES if stage.reads_upstream_result and stage.upstream]
    before = [stage.upstream for stage in STAGES if stage.upstream]
    # With their inputs they take long: all at once, and only when the first one is asked for.
    last_made = cache(lambda: ledger.tasks.last_made_all(results_of=read, verdicts_of=before))

    @cache
    def by_canary_group() -> Mapping[str, Sequence[Tried]]:
        found: defaultdict[str, list[Tried]] = defaultdict(list)
        for row in ledger.history.tried():
            found[row.canary_group].append(row)
        return found

    return Known(
        account=ledger.account,
        pipeline=ledger.pipeline,
        now=ledger.now(),
        rows_of=partial(ledger.tasks.glances, results_of=read, verdicts_of=before),
        alive=frozenset(ledger.workers.alive()),
        reviews=ledger.reviews.all(),
        materialized=materialized,
        last_made_ids=ledger.tasks.last_made_ids(),
        last_made=lambda product_id, stage: last_made().get((product_id, stage)),
        estimate=Estimator(ledger, prices),
        tried=lambda canary_group: by_canary_group().get(canary_group, ()),
    )
