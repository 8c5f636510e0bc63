"""The private parts of Dagster that we rely on, and that they are used in one place only."""

from __future__ import annotations

import ast
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
from dagster._annotations import is_public

import topview_pipeline
from tests.defs.shop import Patch
from topview_pipeline.defs import dagster_private as private

PACKAGE = Path(topview_pipeline.__file__).parent
RUN_ID = "2b0f1d4e-7a55-4a37-9c3e-1f6b1c0a9d11"


def private_uses(source: str) -> Iterator[str]:
    """Imports of Dagster's private modules, and what an instance does not promise to have."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom | ast.Import):
            names = [alias.name for alias in node.names]
            names = [str(node.module)] if isinstance(node, ast.ImportFrom) else names
            yield from (name for name in names if name.startswith("dagster._"))
        elif isinstance(node, ast.Attribute):
            owner = node.value
            name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            method = getattr(dg.DagsterInstance, node.attr, None)
            if name in ("instance", "_instance") and (method is None or not is_public(method)):
                yield f"instance.{node.attr}"


def test_nothing_private_of_dagster_is_used_elsewhere() -> None:
    found = {
        path.name: uses
        for room in ("defs", "cli")
        for path in (PACKAGE / room).glob("*.py")
        if path.name != "dagster_private.py"
        and (uses := list(private_uses(path.read_text(encoding="utf-8"))))
    }
    assert found == {}
    for use in ("from dagster._core import X", "x.instance.get_runs()", "instance.run_storage"):
        assert list(private_uses(use)), "it would be found"


@pytest.mark.parametrize(
    ("owner", "name", "file"),
    [
        (dg.OpDefinition, "with_replaced_properties", "defs/outline.py"),
        (dg.OpExecutionContext, "op_handle", "defs/failures.py"),
        (dg.AssetsDefinition, "is_executable", "defs/pipeline.py"),
        (dg.AssetsDefinition, "specs", "defs/pipeline.py"),
        (dg.Config, "to_fields_dict", "defs/decision_jobs.py"),
        (dg.ResolutionContext, "at_path", "defs/component.py"),
        (dg.ResolutionContext, "scope", "defs/component.py"),
        (dg.ResolutionContext, "source_position_tree", "defs/component.py"),
        (dg.ComponentTree, "get_all_components", "defs/component.py"),
        (dg.Definitions, "resolve_job_def", "cli/catch_up.py"),
    ],
)
def test_methods_of_public_classes_that_dagster_does_not_promise_are_there(
    owner: type, name: str, file: str
) -> None:
    """Dagster marks neither these as public nor others that do the same."""
    assert hasattr(owner, name)
    assert f".{name}" in (PACKAGE / file).read_text(encoding="utf-8"), "take it off this list"


def test_the_tags_are_those_that_stored_events_carry() -> None:
    key = dg.AssetKey("versioned")
    assert private.CODE_VERSION_TAG == "dagster/code_version"
    assert private.get_input_data_version_tag(key) == "dagster/input_data_version/versioned"
    assert private.get_input_event_pointer_tag(key) == "dagster/input_event_pointer/versioned"

    @dg.asset
    def versioned() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(data_version=dg.DataVersion("v1"))

    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([versioned], instance=instance)
        event = instance.get_latest_materialization_event(key)
    assert event is not None
    assert event.asset_materialization is not None
    assert (event.asset_materialization.tags or {})[private.DATA_VERSION_TAG] == "v1"


def begin_run(instance: dg.DagsterInstance, status: str = "STARTED") -> dg.DagsterRun:
    run_id = str(uuid.uuid4())
    run = dg.DagsterRun("catch_up", run_id, status=dg.DagsterRunStatus(status))
    return instance.add_run(run)


def plan_video(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    video = dg.AssetKey("finishedVideo")
    private.report_planned(instance, run, asset=video, partition="mug", step="produce")


def test_a_run_executed_here_is_one_of_the_ui(tmp_path: Path, monkeypatch: Patch) -> None:
    """The UI finds a run's job by its origin, and what an op handed on in the run's own storage."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))

    @dg.op
    def count() -> int:
        return 1

    @dg.op
    def fail(number: int) -> None:
        raise dg.Failure(str(number))

    @dg.job(executor_def=dg.in_process_executor)
    def counting() -> None:
        fail(count())

    with dg.DagsterInstance.get() as instance:
        ended = private.execute_as_launched(
            counting,
            instance,
            module="topview_pipeline.definitions",
            location="topview_pipeline",
            run_config={},
            run_id=RUN_ID,
        )
        run = instance.get_run_by_id(RUN_ID)
    assert run is not None
    assert (ended.success, ended.failures) == (False, ("1",))
    assert run.status is dg.DagsterRunStatus.FAILURE
    assert run.remote_job_origin is not None
    assert run.remote_job_origin.location_name == "topview_pipeline"
    assert run.remote_job_origin.job_name == "counting"
    assert run.tags[".dagster/repository"] == "__repository__@topview_pipeline"
    assert list((tmp_path / "storage" / RUN_ID).rglob("result")), "what the first op handed on"


# The files of the event log.


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        yield instance


def test_the_write_ahead_log_lives_as_long_as_the_run(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    def logs() -> dict[str, int]:
        """Sizes of those that are not empty: some builds of SQLite leave empty ones."""
        sizes = {path.name: path.stat().st_size for path in tmp_path.rglob("*.db-wal")}
        return {name: size for name, size in sizes.items() if size}

    event = dg.AssetObservation("productImage", partition="mug")
    instance.report_runless_asset_event(event)
    assert logs() == {}
    (index, _) = private._event_log_files(instance, RUN_ID)
    before = set(tmp_path.rglob("*.db"))
    with private.event_log_kept_open(instance, RUN_ID):
        instance.report_runless_asset_event(event)
        assert list(logs()) == ["index.db-wal"]
        for _ in range(40):
            with closing(sqlite3.connect(index)) as connection, connection:
                connection.execute("CREATE TABLE IF NOT EXISTS filler (bytes BLOB)")
                connection.execute("INSERT INTO filler VALUES (zeroblob(800000))")
        assert logs()["index.db-wal"] < 3 * 4096 * 1000
        assert set(tmp_path.rglob("*.db")) <= before, "the run has no file of its own yet"
    assert logs() == {}


def test_a_locked_file_of_events_stops_nothing(instance: dg.DagsterInstance) -> None:
    run = begin_run(instance)
    plan_video(instance, run)
    files = private._event_log_files(instance, run.run_id)
    assert len(files) == 2
    for file in files:
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            assert other.execute("SELECT count(*) FROM event_logs").fetchone() == (1,)
            other.execute("PRAGMA locking_mode=EXCLUSIVE")
            other.execute("BEGIN EXCLUSIVE")
            with private.event_log_kept_open(instance, run.run_id):
                pass


# Code locations of a folder.

_MODULE = "load_from: [{python_module: {module_name: shop.definitions%s}}]"


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, {}),
        ({"pyproject.toml": "[project]\nname = 'shop'\n"}, {}),
        (
            {"pyproject.toml": "[tool.dg.project]\nroot_module = 'shop'\n"},
            {"shop.definitions": "shop.definitions"},
        ),
        (
            {
                "pyproject.toml": "[tool.dg.project]\nroot_module = 'shop'\n"
                "code_location_name = 'videos'\ncode_location_target_module = 'shop.all'\n"
            },
            {"shop.all": "videos"},
        ),
        ({"workspace.yaml": _MODULE % ""}, {"shop.definitions": "shop.definitions"}),
        ({"workspace.yaml": _MODULE % ", location_name: videos"}, {"shop.definitions": "videos"}),
        ({"workspace.yaml": "load_from: [{python_file: shop.py}]"}, {}),
        ({"workspace.yaml": "load_from: [{grpc_server: {host: code, port: 4000}}]"}, {}),
    ],
)
def test_a_folder_s_code_locations_have_the_names_that_dagster_dev_gives_them(
    tmp_path: Path, files: dict[str, str], found: dict[str, str]
) -> None:
    """Another name: no link to the job in the UI, and run retries do not find it."""
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert private.locations_in(tmp_path) == found
