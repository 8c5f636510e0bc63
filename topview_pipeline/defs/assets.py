"""The assets: three sources that describe a product, three that are made, and the manifest.

    productImage ---> bgRemovedImage ---> replacedImages ---> finishedVideo ---> videoManifest
                      productScene ------^                    ^
                      productScript --------------------------'

Three sources, because one would mark a product's cut-out stale when only its script changed. They
are external assets: catalogue sensor, `sync_products` and every run report their observations.
"""

import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import dagster as dg
from pydantic import Field

from topview_pipeline.defs.checks import measured, product_check_specs
from topview_pipeline.defs.failures import failure, plain_errors
from topview_pipeline.defs.metadata import text_table
from topview_pipeline.defs.outline import MANIFEST, Outline
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.errors import PipelineError
from topview_pipeline.stages import STAGES

PRODUCTS_A_RUN: Final = 200
"""Products of a backfill that share a run, so that waiting takes few processes."""

CREDIT_LIMIT: Any = Field(
    default=None,
    description="The most credits that this run may cost, retries by the sensor included. What is "
    "over it is held until another run. Empty: no such limit; the account's limit for the day "
    "counts in any case. `topview-pipeline plan` says what a run would cost and what the account "
    "has; the op plan_catch_up shows the estimate in its output's metadata.",
)


def check_credit_limit(amount: float | None) -> None:
    """Refuse a limit that is none. A constraint of the field would end in a traceback."""
    if amount is not None and not 0 <= amount < math.inf:
        raise PipelineError(
            f"{amount} is not an amount of credits",
            "credit_limit in the run's config",
            "Give a number from 0, or leave it out for no limit.",
        )


_OF_SOURCES: Final = (
    "Read from the catalogue, never materialized: a product's observations say what it stands for, "
    "and what changed."
)
_CONDITION: Any = dg.AutomationCondition
_HOURLY: Final[dg.AutomationCondition[dg.AssetKey]] = (
    _CONDITION.any_deps_updated().since_last_handled()
    & _CONDITION.cron_tick_passed("@hourly").since_last_handled()
    & ~_CONDITION.in_progress()
)
"""After new videos, at most once an hour."""
_NUMBERS: Final = {
    "video_bytes": "int",
    "duration_seconds": "float",
    "width": "int",
    "height": "int",
    "credits": "float",
}
"""Columns of the manifest that are not text."""


class MaterializeConfig(dg.Config):
    """Configuration of a run that materializes the assets."""

    credit_limit: float | None = CREDIT_LIMIT


def _resource(context: dg.AssetExecutionContext, outline: Outline) -> TopviewResource:
    """The pipeline's resource, or what a test put in its place."""
    found: TopviewResource = getattr(context.resources, outline.of("topview"))
    return found


def source_specs(outline: Outline) -> list[dg.AssetSpec]:
    """The sources: one for each stage's own inputs."""
    return [
        dg.AssetSpec(
            outline.key(stage.source),
            partitions_def=outline.products,
            group_name=outline.of("catalogue"),
            owners=outline.owners,
            kinds={"source", stage.source_kind},
            # The catalog shows the first paragraph, as plain text.
            description="\n\n".join([*stage.source_description.split(". ", 1), _OF_SOURCES]),
            metadata=outline.code(type(stage)),
        )
        for stage in STAGES
    ]


def stage_specs(outline: Outline) -> list[dg.AssetSpec]:
    """The assets that are made: one for each stage."""
    return [
        dg.AssetSpec(
            outline.key(stage.key),
            deps=[outline.key(name) for name in (stage.source, stage.upstream) if name],
            group_name=outline.of("videos"),
            owners=outline.owners,
            kinds=set(stage.kinds),
            code_version=stage.version,
            skippable=True,
            description=outline.worded(stage.description),
            metadata={"topview/task_kind": stage.kind, **outline.code(type(stage))},
        ).with_io_manager_key(outline.of("topview_results"))
        for stage in STAGES
    ]


def product_videos(outline: Outline) -> dg.AssetsDefinition:
    """The assets that are made, as one multi_asset.

    One op for all stages and any number of products: of a step for each stage, the failure of one
    product would skip the next step for all of them.
    """

    @dg.multi_asset(
        name=outline.of("product_videos"),
        specs=stage_specs(outline),
        check_specs=product_check_specs(outline),
        partitions_def=outline.products,
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.multi_run(PRODUCTS_A_RUN),
        required_resource_keys={outline.of("topview")},
    )
    def make(context: dg.AssetExecutionContext, config: MaterializeConfig) -> Iterator[Any]:
        from topview_pipeline.defs.catalogue_sync import check_catalogue
        from topview_pipeline.defs.run import Production

        topview = _resource(context, outline)
        selected = {key.path[-1] for key in context.selected_asset_keys}
        keys = [stage.key for stage in STAGES if stage.key in selected]
        is_partitioned = context.has_partition_key or context.has_partition_key_range
        product_ids = list(context.partition_keys) if is_partitioned else []
        if not keys:
            checked = {key.asset_key.path[-1] for key in context.selected_asset_check_keys}
            chosen = [stage for stage in STAGES if stage.key in checked]
            with plain_errors(outline):
                yield from measured(context, topview, chosen, product_ids or None)
            return
        with plain_errors(outline):
            check_credit_limit(config.credit_limit)
            production = Production(
                context,
                topview,
                credit_limit=config.credit_limit,
                result_for=product_ids[0] if len(product_ids) == 1 else None,
            )
            catalogue = topview.catalogue(run_id=context.run.run_id)
            check_catalogue(topview, catalogue)
            yield from production.make(dict.fromkeys(product_ids, keys), catalogue)
        outcome = production.outcome
        if outcome.troubles:
            raise failure(outcome.troubles, outline=outline, made=outcome.made)

    return make


def video_manifest(outline: Outline) -> dg.AssetsDefinition:
    videos = outline.key(STAGES[-1].key)

    @dg.asset(
        key=outline.key(MANIFEST),
        required_resource_keys={outline.of("topview")},
        deps=[dg.AssetDep(videos, partition_mapping=dg.AllPartitionMapping())],
        group_name=outline.of("published"),
        owners=outline.owners,
        kinds={"csv", "json"},
        metadata=outline.code(video_manifest),
        # Nothing is spent by it. Both are only looked at where a daemon does, and its sensor is on.
        automation_condition=_HOURLY,
        freshness_policy=dg.FreshnessPolicy.time_window(
            fail_window=timedelta(days=14), warn_window=timedelta(days=3)
        ),
        description=(
            "The list of finished videos for a shop to import: CSV and JSON Lines of all finished "
            "and checked videos, with poster, scene, cut-out, duration, size, sha256, credits and "
            "when each was made.\n\n"
            "It lists what is in the store; it makes nothing, spends nothing and needs no key. "
            "Unchecked results are checked first, where checks are on. A product whose row cannot "
            "be used stays, as `outdated`. With the automation sensor on it is published hourly, "
            "after new videos.\n\n"
            "**A product is missing?** The table `why_left_out` of the event says why. **It "
            "fails?** Too much of the catalogue is gone, or the store is not the ledger's; what "
            "was published stays."
        ),
    )
    def publish(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        from topview_pipeline.defs.catalogue_sync import check_catalogue
        from topview_pipeline.defs.run import check_ready
        from topview_pipeline.engine.check import verdict_of
        from topview_pipeline.export import build_report, publish_manifest
        from topview_pipeline.export.manifest import COLUMNS

        topview = _resource(context, outline)
        with plain_errors(outline), topview.ledger() as ledger:
            store, config = topview.store, topview.config
            catalogue = topview.catalogue()
            # Half a catalogue and an unmounted store both look like a shop that is to be emptied.
            check_catalogue(topview, catalogue)
            check_ready(context.instance, ledger, topview)
            report = build_report(catalogue, ledger, STAGES)
            if config.checks:
                unmeasured = report.unmeasured()
                for stage, task in unmeasured:
                    verdict_of(stage, task, ledger, store)
                if unmeasured:
                    context.log.info(f"Measured {len(unmeasured)} results that had no verdict.")
                    report = build_report(catalogue, ledger, STAGES)
            published = publish_manifest(
                report, store, ledger.account, pipeline=ledger.pipeline, media_url=config.media_url
            )
        columns = [dg.TableColumn(name, _NUMBERS.get(name, "string")) for name in COLUMNS]
        why = {}
        if published.left_out:
            left_out = [(name, outline.worded(why)) for name, why in published.left_out.items()]
            why["topview/why_left_out"] = text_table(("product", "why"), left_out)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(published.version),
            metadata={
                "dagster/row_count": published.videos,
                "dagster/column_schema": dg.TableSchema(columns=columns),
                "topview/left_out": len(published.left_out),
                **why,
                **{f"topview/{name}": address for name, address in published.addresses.items()},
            },
        )

    return publish
