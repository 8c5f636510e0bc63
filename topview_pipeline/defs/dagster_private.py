"""Everything that this package takes from Dagster's private modules, in one place.

No public name gives what its functions and the four names of `__all__` give. Nearly all of it is
written into Dagster's storage, so it changes rarely.
`tests/defs/test_dagster_private.py` pins what is relied on, and finds what is used elsewhere.
"""

import contextlib
import sqlite3
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.definitions.asset_selection import KeysAssetSelection
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_TAG,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent
from dagster._core.execution.api import execute_run_iterator
from dagster._core.instance.ref import InstanceRef
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.autodiscovery import loadable_targets_from_loaded_module
from dagster.components.definitions import LazyDefinitions

__all__ = [
    "CODE_VERSION_TAG",
    "DATA_VERSION_TAG",
    "get_input_data_version_tag",
    "get_input_event_pointer_tag",
]
_REPOSITORY: Final = "__repository__"
"""The name of the one repository that Dagster makes of Definitions."""
_DAEMON_SECONDS: Final = 60.0
"""A daemon writes a heartbeat every 30 s."""


@dataclass(frozen=True)
class Ended:
    """A run that was executed here; `failures` say why steps failed, as Dagster shows it."""

    success: bool
    failures: tuple[str, ...]


def definitions_in(module: str) -> dg.Definitions:
    """The definitions of a module, as Dagster finds and loads them."""
    here = str(Path.cwd())  # as Dagster's own commands do
    if here not in sys.path:
        sys.path.insert(0, here)
    target = loadable_targets_from_loaded_module(import_module(module))[0].target_definition
    found = target() if isinstance(target, LazyDefinitions) else target
    if not isinstance(found, dg.Definitions):
        raise TypeError(f"it has a {type(found).__name__} and no Definitions")
    return found


def locations_in(folder: Path) -> dict[str, str]:
    """The code locations that `dagster dev` loads in a folder: each one's name, by its module."""
    pyproject, workspace = folder / "pyproject.toml", folder / "workspace.yaml"
    origins: Sequence[Any] = ()
    if pyproject.is_file() or workspace.is_file():
        # It takes as long to load as all definitions.
        from dagster._core.remote_origin import GrpcServerCodeLocationOrigin
        from dagster._core.workspace.load_target import PyProjectFileTarget, WorkspaceFileTarget

        if pyproject.is_file():
            origins = PyProjectFileTarget(str(pyproject)).create_origins()
        if not origins and workspace.is_file():
            origins = WorkspaceFileTarget([str(workspace)]).create_origins()
        # A server's module is not in the file, and asking for it is an error.
        origins = [one for one in origins if not isinstance(one, GrpcServerCodeLocationOrigin)]
    targets = [(one.location_name, getattr(one, "loadable_target_origin", None)) for one in origins]
    return {
        target.module_name: name
        for name, target in targets
        if target is not None and target.module_name
    }


def looking_selection(
    keys: Sequence[dg.AssetKey], look: Callable[[Sequence[dg.AssetsDefinition]], None]
) -> dg.AssetSelection:
    """A selection of these assets that looks at all of its code location when it is resolved.

    For an asset job that is when Dagster loads the location: nothing else sees all of it.

    Args:
        look: gets the definitions of all assets; what it raises stops the load.
    """

    class LookingSelection(KeysAssetSelection):
        def resolve_inner(self, asset_graph: Any, allow_missing: bool) -> Any:
            nodes = map(asset_graph.get, asset_graph.get_all_asset_keys())
            look(list({id(node.assets_def): node.assets_def for node in nodes}.values()))
            return super().resolve_inner(asset_graph, allow_missing)

        def to_serializable_asset_selection(self, _graph: Any) -> dg.AssetSelection:
            return dg.AssetSelection.assets(*keys)

    return LookingSelection(selected_keys=list(keys))


def execute_as_launched(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    *,
    module: str,
    location: str,
    run_config: Mapping[str, object],
    run_id: str,
    user: str = "",
) -> Ended:
    """Execute a job of a module here, as a run that the UI could have launched.

    `execute_in_process` gives a run no origin, so the UI shows it without a link to the job and
    cannot execute it again. It keeps op outputs in memory, so re-execution from failure would not
    find them. And it keeps every event: 10,000 products have 90,000. Here only failures are kept.
    """
    origin = RemoteJobOrigin(
        RemoteRepositoryOrigin(
            ManagedGrpcPythonEnvCodeLocationOrigin(
                LoadableTargetOrigin(module_name=module), location
            ),
            _REPOSITORY,
        ),
        job.name,
    )
    tags: dict[str, Any] = {**job.run_tags, ".dagster/repository": f"{_REPOSITORY}@{location}"}
    tags |= {"user": user} if user else {}  # the UI's "Launched by"
    run = instance.create_run_for_job(
        job_def=job, run_id=run_id, run_config=run_config, tags=tags, remote_job_origin=origin
    )
    success, failures = False, []
    for event in execute_run_iterator(InMemoryJob(job), run, instance):
        success = success or event.is_job_success
        if event.is_step_failure:
            failure = event.step_failure_data
            said = failure.user_failure_data
            failures.append((said and said.description) or failure.error_display_string)
    return Ended(success, tuple(failures))


def report_planned(
    instance: dg.DagsterInstance,
    run: dg.DagsterRun,
    *,
    asset: dg.AssetKey,
    partition: str,
    step: str,
) -> None:
    """Report that a run meant to materialize an asset's partition."""
    planned = AssetMaterializationPlannedData(asset, partition=partition)
    event = DagsterEvent.build_asset_materialization_planned_event(run.job_name, step, planned)
    instance.report_dagster_event(event, run.run_id)


def checked_materialization(
    record: dg.EventLogRecord,
) -> AssetCheckEvaluationTargetMaterializationData:
    """The tie of a check's result to the materialization that was checked."""
    return AssetCheckEvaluationTargetMaterializationData(
        storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
    )


def tag_run(instance: dg.DagsterInstance, run_id: str, tags: Mapping[str, str]) -> None:
    instance.add_run_tags(run_id, tags)


def report_died(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Report that a run's process died: Dagster's run retries start it again.

    A run that a person was stopping counts as cancelled.
    """
    if run.status is dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, "its process died while it was being stopped")
    else:
        instance.report_run_failed(run, "its process died")


def report_stopping(instance: dg.DagsterInstance, run_id: str) -> None:
    """Report that a person is stopping a run: it ends as cancelled.

    One that ends in any other way counts as failed, and Dagster's run retries may start it again.
    """
    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished:
        instance.report_run_canceling(run)


def report_stopped(instance: dg.DagsterInstance, run_id: str) -> None:
    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished:
        instance.report_run_canceled(run)


def home_of(instance: dg.DagsterInstance) -> str | None:
    """The folder of the instance's dagster.yaml; None for an ephemeral instance."""
    return None if instance.is_ephemeral else instance.root_directory


def launches_elsewhere(instance: dg.DagsterInstance) -> bool:
    """Return True if runs are started by another launcher than Dagster's own: pods, containers."""
    return not type(instance.run_launcher).__module__.startswith("dagster.")


def limits_backfills(instance: dg.DagsterInstance) -> bool:
    queue = instance.get_concurrency_config().run_queue_config
    limits = (queue.tag_concurrency_limits if queue else None) or []
    return any(limit.get("key") == "dagster/backfill" for limit in limits)


def retries_crashes(instance: dg.DagsterInstance) -> bool:
    """Return True if a run whose process died is started again, and one whose op failed is not."""
    return instance.run_retries_enabled and not instance.run_retries_retry_on_asset_or_op_failure


def has_daemon(instance: dg.DagsterInstance) -> bool:
    """Return True while a Dagster daemon evaluates sensors on this instance."""
    beat = instance.get_daemon_heartbeats().get("SENSOR")
    return beat is not None and time.time() - beat.timestamp < _DAEMON_SECONDS


def locations_ticking(
    instance: dg.DagsterInstance, sensor: str, *, beside: str, seconds: float
) -> set[str]:
    """The code locations whose sensor of this name ticked in the last so many seconds.

    Args:
        beside: another sensor of theirs. A location that never had it has another project's sensor.
    """
    # It loads 0.2 s of Dagster that a code location has no other use for.
    from dagster._core.scheduler.instigation import InstigatorType

    if instance.schedule_storage is None:  # an ephemeral instance
        return set()
    since = time.time() - seconds
    states = instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
    found: dict[str, set[str]] = {sensor: set(), beside: set()}
    for state in states:
        ticked_at = getattr(state.instigator_data, "last_tick_timestamp", None) or 0.0
        if state.instigator_name == beside or (
            state.instigator_name == sensor and ticked_at > since
        ):
            of = state.origin.repository_origin.code_location_origin.location_name
            found[state.instigator_name].add(of)
    return found[sensor] & found[beside]


def open_without_compute_logs(home: str) -> dg.DagsterInstance:
    """Open the instance of a DAGSTER_HOME for runs whose standard output stays what it is.

    To capture it, Dagster points the file descriptors at a file while a step runs: a terminal is
    none any more. It also starts processes that Ctrl-C ends with tracebacks of their own.
    """
    manager = NoOpComputeLogManager
    compute_logs = {"module": manager.__module__, "class": manager.__name__}
    ref = InstanceRef.from_dir(home, overrides={"compute_logs": compute_logs})
    return dg.DagsterInstance.from_ref(ref)


def materialized_partitions(instance: dg.DagsterInstance, asset: dg.AssetKey) -> set[str]:
    """The partitions that were ever materialized."""
    return instance.get_materialized_partitions(asset)


def latest_tags(
    instance: dg.DagsterInstance,
    asset: dg.AssetKey,
    event_type: dg.DagsterEventType,
    tag: str,
    partitions: Collection[str] | None,
) -> dict[str, str]:
    """The tag's value on the newest event of each partition (None: of all), where it has one."""
    found = instance.event_log_storage.get_latest_tags_by_partition(
        asset, event_type, [tag], None if partitions is None else list(partitions)
    )
    return {partition: tags[tag] for partition, tags in found.items() if tag in tags}


def latest_storage_ids(
    instance: dg.DagsterInstance,
    asset: dg.AssetKey,
    event_type: dg.DagsterEventType,
    partitions: Collection[str],
) -> Mapping[str, int]:
    return instance.get_latest_storage_id_by_partition(asset, event_type, set(partitions))


def _event_log_files(instance: dg.DagsterInstance, run_id: str) -> tuple[Path, ...]:
    """The SQLite files of all assets' events and of a run's; none where another storage is used."""
    path_for_shard = getattr(instance.event_log_storage, "path_for_shard", None)
    if path_for_shard is None:
        return ()
    return tuple(Path(path_for_shard(shard)) for shard in ("index", run_id))


@contextmanager
def event_log_kept_open(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """While this lasts, SQLite does not checkpoint after each event of the run.

    Dagster opens and closes its files for each statement. Closing the last connection writes all of
    the write-ahead log back and deletes it, some 25 times a product; while an idle connection is
    open, SQLite does so every 1,000 pages (https://sqlite.org/wal.html#ckpt). Other storages, and
    files that cannot be opened, are left alone.
    """
    with ExitStack() as connections:
        for path in _event_log_files(instance, run_id):
            with contextlib.suppress(sqlite3.Error):
                connection = sqlite3.connect(
                    f"{path.as_uri()}?mode=rw", uri=True, timeout=0, check_same_thread=False
                )
                connections.enter_context(closing(connection))
                # SQLite opens a file when it first reads. To the end: a statement that stands
                # half read would keep the log from ever being written back.
                connection.execute("SELECT name FROM sqlite_master").fetchall()
        yield
