"""The facts a plan goes by beside the catalogue: loaded in few queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial

from topview_pipeline.engine.context import Estimator
from topview_pipeline.ledger import Ledger, Review, TaskGlance, Tried
from topview_pipeline.prices import Estimate, PriceList
from topview_pipeline.stages import STAGES


@dataclass(frozen=True)
class Known:
    """Facts of the ledger and of Dagster.

    Attributes:
        pipeline: whose products are planned.
        now: seconds since the epoch, by the ledger's clock.
        rows_of: the account's task rows of some works, by work, the oldest first.
        alive: ids of living workers.
        reviews: people's decisions, by (product, fingerprint of the result).
        materialized: data version of the newest materialization, by (product, stage).
        last_made_ids: the number of the row that each product's stage stands on.
        last_made: that row, whatever the product's inputs are now.
        estimate: see `Estimator`.
        tried: the tasks of a recipe.
    """

    account: str
    pipeline: str
    now: float
    rows_of: Callable[[Collection[str]], Mapping[str, Sequence[TaskGlance]]]
    alive: frozenset[str]
    reviews: Mapping[tuple[str, str], Review]
    materialized: Mapping[tuple[str, str], str]
    last_made_ids: Mapping[tuple[str, str], int]
    last_made: Callable[[str, str], TaskGlance | None]
    estimate: Callable[..., Estimate]
    tried: Callable[[str], Sequence[Tried]] = lambda _: ()


def load_known(
    ledger: Ledger, prices: PriceList, materialized: Mapping[tuple[str, str], str]
) -> Known:
    """Load what the ledger knows; `materialized` comes from Dagster."""
    read = [stage.upstream for stage in STAGES if stage.reads_upstream_result and stage.upstream]
    before = [stage.upstream for stage in STAGES if stage.upstream]
    # With their inputs they take long: all at once, and only when the first one is asked for.
    last_made = cache(lambda: ledger.tasks.last_made_all(results_of=read, verdicts_of=before))

    @cache
    def by_recipe() -> Mapping[str, Sequence[Tried]]:
        found: defaultdict[str, list[Tried]] = defaultdict(list)
        for row in ledger.history.tried():
            found[row.recipe].append(row)
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
        tried=lambda recipe: by_recipe().get(recipe, ()),
    )
