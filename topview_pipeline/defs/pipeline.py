"""A pipeline's definitions, made from its configuration."""

from __future__ import annotations

import dagster as dg

from topview_pipeline.defs.apart import Claim, of_location
from topview_pipeline.defs.assets import product_videos, source_specs, video_manifest
from topview_pipeline.defs.health_checks import health_checks, health_checks_sensor
from topview_pipeline.defs.io_manager import TopviewResults
from topview_pipeline.defs.jobs import jobs
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.defs.schedules import nightly_catch_up
from topview_pipeline.defs.sensors import catalogue_sensor, pending_task_sensor
from topview_pipeline.settings import PipelineConfig


def build_definitions(config: PipelineConfig) -> dg.Definitions:
    """Return the definitions of one pipeline: assets, checks, jobs, schedule and sensors.

    Merge them with those of other pipelines and with your own by `Definitions.merge`. A pipeline
    whose `name` is not the default one has names of its own for all of them.

    Two that cannot go together, such as with one account and two ledgers, stop Dagster from loading
    the location.
    """
    topview = TopviewResource(config)
    topview.claim = Claim.of(config)
    return definitions_of(topview)


def definitions_of(topview: TopviewResource) -> dg.Definitions:
    """Return the definitions of the pipeline that a resource stands for."""
    outline, videos = topview.outline, product_videos(topview)
    return dg.Definitions(
        assets=[*source_specs(outline), videos, video_manifest(topview)],
        asset_checks=[health_checks(topview)],
        jobs=jobs(topview, of_location(topview, videos)),
        schedules=[nightly_catch_up(topview)],
        sensors=[
            pending_task_sensor(topview),
            catalogue_sensor(topview),
            health_checks_sensor(topview),
        ],
        resources={
            outline.of("topview"): topview,
            outline.of("topview_results"): TopviewResults(topview),
        },
    )
