"""The six assets: three observable sources that describe a product, and the three that are made.

    productImage ---> bgRemovedImage ---> replacedImages ---> finishedVideo
                      productScene ------^                    ^
                      productScript --------------------------'

Three sources, because one would mark a product's cut-out stale when only its script changed.
What runs do is imported when one begins: the code location loads without database and HTTP.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import dagster as dg

from topview_pipeline.defs.checks import check_specs
from topview_pipeline.defs.config import MakeConfig
from topview_pipeline.defs.failures import failure, plainly
from topview_pipeline.defs.partitions import products
from topview_pipeline.defs.resources import (
    ArtifactsResource,
    CatalogueResource,
    LedgerResource,
    TopviewResource,
)
from topview_pipeline.defs.texts import DESCRIPTIONS
from topview_pipeline.stages import BY_KEY, STAGES, Stage

GROUP: Final = "topview"
OWNERS: Final = ["team:content"]
"""Of what is made: a placeholder for whoever answers for the videos. Write `team:name` or an e-mail
address; to leave this file alone, use `defs.map_asset_specs` in your own definitions. Dagster takes
no owners of observable sources."""
RUN_OF_MOST_PRODUCTS: Final = 200
"""Products of a backfill that share a run, so that waiting takes few processes."""
_BACKFILL_TAG: Final = "dagster/backfill"
"""Of the runs of a backfill: of scattered products each has its own."""
_KINDS: Final = {
    "bgRemovedImage": {"topview", "image"},
    "replacedImages": {"topview", "image"},
    "finishedVideo": {"topview", "video"},
}
_SOURCE_KINDS: Final = {
    "productImage": "image",
    "productScene": "config",
    "productScript": "text",
}


@contextmanager
def _beta_is_meant() -> Iterator[None]:
    """Observable sources are in beta; nothing else gives each partition its version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        yield


def _source_of(stage: Stage) -> dg.SourceAsset:
    """The observable source that describes a stage's own inputs."""

    def observe(
        context: dg.OpExecutionContext, catalogue: CatalogueResource, ledger: LedgerResource
    ) -> dg.DataVersionsByPartition:
        from topview_pipeline import syncing
        from topview_pipeline.defs.observing import changed_versions
        from topview_pipeline.defs.sync import choices_of, ledger_of_account

        with plainly():
            found = catalogue.read()
            with ledger_of_account(ledger) as opened:
                if opened is not None:
                    syncing.check(opened, found)
                chosen = choices_of(opened)
            changed = changed_versions(context, found, stage, chosen)
        with _beta_is_meant():
            return dg.DataVersionsByPartition(changed)

    with _beta_is_meant():
        return dg.observable_source_asset(
            name=stage.source,
            partitions_def=products,
            group_name=GROUP,
            description=DESCRIPTIONS[stage.source],
            # It takes no `kinds`; this tag is what they are stored as.
            tags={f"dagster/kind/{_SOURCE_KINDS[stage.source]}": ""},
        )(observe)


SOURCES: Final = [_source_of(stage) for stage in STAGES]

SPECS: Final = [
    dg.AssetSpec(
        key=stage.key,
        deps=[stage.source, *([stage.upstream] if stage.upstream else [])],
        description=DESCRIPTIONS[stage.key],
        group_name=GROUP,
        owners=OWNERS,
        kinds=_KINDS[stage.key],
        code_version=stage.version,
        skippable=True,
        metadata={"topview/task_kind": stage.kind},
    ).with_io_manager_key("topview_results")
    for stage in STAGES
]


@dg.multi_asset(
    name="product_videos",
    specs=SPECS,
    check_specs=check_specs(),
    partitions_def=products,
    can_subset=True,
    backfill_policy=dg.BackfillPolicy.multi_run(RUN_OF_MOST_PRODUCTS),
)
def product_videos(
    context: dg.AssetExecutionContext,
    config: MakeConfig,
    topview: TopviewResource,
    ledger: LedgerResource,
    artifacts: ArtifactsResource,
    catalogue: CatalogueResource,
) -> Iterator[Any]:
    """Bring the selected stages of the run's products up to date.

    One op for all three stages and any number of products: of three steps, the failure of one
    product would skip the next step for all of them. It submits nothing for what the store
    already has.
    """
    from topview_pipeline.defs.producing import Bench, Production
    from topview_pipeline.ledger import Wanted

    selected = {key.to_user_string() for key in context.selected_asset_keys}
    product_ids = list(context.partition_keys)
    wanted = [
        Wanted(product_id, stage, "materialized in Dagster")
        for product_id in product_ids
        for stage in BY_KEY
        if stage in selected
    ]
    with plainly():
        production = Production(
            context,
            Bench(topview, ledger, artifacts, catalogue),
            credit_limit=config.credit_limit,
            result_for=product_ids[0] if len(product_ids) == 1 else None,
            is_of_many=len(product_ids) > 1 or _BACKFILL_TAG in context.run.tags,
        )
        yield from production.events(wanted)
    if production.report.troubles:
        raise failure(production.report.troubles, made=production.report.made)
