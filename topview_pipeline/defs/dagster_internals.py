"""Everything that this package takes from Dagster's private modules, in one place.

The names of the tags that data versions live in, and the event that plans a materialization: both
are written into Dagster's storage, so they change rarely, but no public name gives them.
`tests/defs/test_dagster_internals.py` says what is relied on.
"""

import dagster as dg
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_TAG,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)
from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent

__all__ = [
    "CODE_VERSION_TAG",
    "DATA_VERSION_TAG",
    "get_input_data_version_tag",
    "get_input_event_pointer_tag",
    "report_planned",
]


def report_planned(
    instance: dg.DagsterInstance,
    run: dg.DagsterRun,
    *,
    asset: str,
    partition: str,
    step: str,
) -> None:
    """Tell Dagster that a run meant to materialize an asset's partition."""
    planned = AssetMaterializationPlannedData(dg.AssetKey(asset), partition=partition)
    event = DagsterEvent.build_asset_materialization_planned_event(run.job_name, step, planned)
    instance.report_dagster_event(event, run.run_id)
