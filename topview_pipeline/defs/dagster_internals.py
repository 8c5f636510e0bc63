"""Everything that this package takes from Dagster's private modules, in one place.

The names of the tags that data versions live in, the event that plans a materialization, where a
run comes from and in which files SQLite keeps its events: all are written into Dagster's storage,
so they change rarely, but no public name gives them. `tests/defs/test_dagster_internals.py` says
what is relied on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import dagster as dg
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_TAG,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent
from dagster._core.execution.api import execute_run_iterator
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

__all__ = [
    "CODE_VERSION_TAG",
    "DATA_VERSION_TAG",
    "Ended",
    "event_log_files",
    "execute_as_launched",
    "get_input_data_version_tag",
    "get_input_event_pointer_tag",
    "report_planned",
]


_LOCATION: Final = "topview_pipeline"
_REPOSITORY: Final = "__repository__"
"""The name of the one repository that Dagster makes of Definitions."""
_INDEX_SHARD: Final = "index"
"""Where SQLite has the events of all assets, beside the file of each run."""


@dataclass(frozen=True)
class Ended:
    """A run that was executed here.

    Attributes:
        success: whether Dagster calls it a success.
        failures: why steps failed, in the words that Dagster was told.
    """

    success: bool
    failures: tuple[str, ...]


def execute_as_launched(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    *,
    run_config: Mapping[str, object],
    run_id: str,
) -> Ended:
    """Execute a job of this code location here, as a run that the UI could have launched.

    `execute_in_process` says of no run where its job is found: the UI then shows it without a link
    to the job, and cannot execute it again. It also keeps what ops hand on in memory, and an
    execution again from the failed op would look for it in vain. And it keeps every event: 10,000
    products have 90,000. Here only failures are kept.
    """
    origin = RemoteJobOrigin(
        RemoteRepositoryOrigin(
            ManagedGrpcPythonEnvCodeLocationOrigin(
                LoadableTargetOrigin(module_name=f"{_LOCATION}.definitions"), _LOCATION
            ),
            _REPOSITORY,
        ),
        job.name,
    )
    tags: dict[str, Any] = {**job.run_tags, ".dagster/repository": f"{_REPOSITORY}@{_LOCATION}"}
    run = instance.create_run_for_job(
        job_def=job, run_id=run_id, run_config=run_config, tags=tags, remote_job_origin=origin
    )
    success, failures = False, []
    for event in execute_run_iterator(InMemoryJob(job), run, instance):
        success = success or event.is_job_success
        if event.is_step_failure:
            failures.append(_reason(event))
    return Ended(success, tuple(failures))


def _reason(event: DagsterEvent) -> str:
    failure = event.step_failure_data
    told = failure.user_failure_data
    return (told and told.description) or failure.error_display_string


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


def event_log_files(instance: dg.DagsterInstance, run_id: str) -> tuple[Path, ...]:
    """The SQLite files that a run's events go to; none where they go to another kind of storage."""
    path_for_shard = getattr(instance.event_log_storage, "path_for_shard", None)
    if path_for_shard is None:
        return ()
    return tuple(Path(path_for_shard(shard)) for shard in (_INDEX_SHARD, run_id))
