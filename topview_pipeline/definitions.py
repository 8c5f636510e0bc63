"""The code location: the pipeline that the environment describes."""

import dagster as dg

from topview_pipeline.defs.assets import product_videos, source_specs, video_manifest
from topview_pipeline.defs.checks import health_checks, health_checks_sensor
from topview_pipeline.defs.io_manager import KeptPlans, TopviewResults
from topview_pipeline.defs.jobs import catch_up, materialize_products, resume_tasks, sync_products
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.defs.schedules import nightly_catch_up
from topview_pipeline.defs.sensors import catalogue_sensor, pending_task_sensor
from topview_pipeline.settings import PipelineConfig, warn_of_unknown_variables

warn_of_unknown_variables()
topview = TopviewResource(PipelineConfig.from_environment)

defs = dg.Definitions(
    assets=[*source_specs(), product_videos(), video_manifest],
    asset_checks=[health_checks],
    jobs=[catch_up, resume_tasks, materialize_products, sync_products],
    schedules=[nightly_catch_up],
    sensors=[pending_task_sensor, catalogue_sensor, health_checks_sensor],
    resources={
        "topview": topview,
        "topview_results": TopviewResults(topview),
        "topview_plans": KeptPlans(topview),
    },
)
