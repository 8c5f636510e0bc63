"""The code location: what `dagster dev` and `dg` load. Nothing else is here."""

import dagster as dg

from topview_pipeline.defs.assets import SOURCES, product_videos
from topview_pipeline.defs.catalogue_sensor import catalogue_sensor
from topview_pipeline.defs.io import TopviewResults
from topview_pipeline.defs.jobs import catch_up, materialize_products, sync_products
from topview_pipeline.defs.manifest import video_manifest
from topview_pipeline.defs.resources import (
    ArtifactsResource,
    CatalogueResource,
    LedgerResource,
    TopviewResource,
)
from topview_pipeline.defs.schedules import nightly_catch_up
from topview_pipeline.defs.sensors import pending_task_sensor
from topview_pipeline.defs.standing import standing_checks, standing_checks_sensor

_ledger = LedgerResource()
_artifacts = ArtifactsResource()

defs = dg.Definitions(
    assets=[*SOURCES, product_videos, video_manifest],
    jobs=[catch_up, materialize_products, sync_products],
    schedules=[nightly_catch_up],
    asset_checks=[standing_checks],
    sensors=[pending_task_sensor, catalogue_sensor, standing_checks_sensor],
    executor=dg.in_process_executor,
    resources={
        "topview": TopviewResource(
            uid=dg.EnvVar("TOPVIEW_UID"), api_key=dg.EnvVar("TOPVIEW_API_KEY")
        ),
        "ledger": _ledger,
        "artifacts": _artifacts,
        "catalogue": CatalogueResource(),
        "topview_results": TopviewResults(ledger=_ledger, artifacts=_artifacts),
    },
)
