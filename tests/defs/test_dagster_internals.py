"""What is relied on of Dagster's private modules; a new Dagster that changes it fails here."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest

from topview_pipeline.defs import dagster_internals as internals

RUN_ID = "2b0f1d4e-7a55-4a37-9c3e-1f6b1c0a9d11"


def test_the_tags_are_those_that_stored_events_carry() -> None:
    key = dg.AssetKey("productImage")
    assert internals.DATA_VERSION_TAG == "dagster/data_version"
    assert internals.CODE_VERSION_TAG == "dagster/code_version"
    assert internals.get_input_data_version_tag(key) == "dagster/input_data_version/productImage"
    assert internals.get_input_event_pointer_tag(key) == "dagster/input_event_pointer/productImage"


def test_a_data_version_that_dagster_writes_is_found_under_the_tag() -> None:
    @dg.asset
    def versioned() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(data_version=dg.DataVersion("v1"))

    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([versioned], instance=instance)
        event = instance.get_latest_materialization_event(dg.AssetKey("versioned"))
    assert event is not None
    assert event.asset_materialization is not None
    assert (event.asset_materialization.tags or {})[internals.DATA_VERSION_TAG] == "v1"


def test_a_planned_materialization_comes_back_from_the_storage() -> None:
    run = dg.DagsterRun(job_name="catch_up", run_id=os.urandom(16).hex())
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_run(run)
        internals.report_planned(
            instance, run, asset="finishedVideo", partition="mug", step="produce"
        )
        (entry,) = instance.all_logs(
            run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
        )
    event = entry.get_dagster_event()
    assert event.asset_key == dg.AssetKey("finishedVideo")
    assert event.partition == "mug"
    assert event.step_key == "produce"


def test_an_event_of_a_run_lands_in_the_files_of_the_event_log(tmp_path: Path) -> None:
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        run = dg.DagsterRun(job_name="catch_up", run_id=RUN_ID)
        instance.add_run(run)
        internals.report_planned(
            instance, run, asset="finishedVideo", partition="mug", step="produce"
        )
        files = internals.event_log_files(instance, RUN_ID)
    assert len(files) == 2
    for file in files:
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("SELECT count(*) FROM event_logs").fetchone() == (1,)


def test_a_run_that_is_executed_here_can_be_executed_again_from_the_ui(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
        result = internals.execute_as_launched(counting, instance, run_config={}, run_id=RUN_ID)
        run = instance.get_run_by_id(RUN_ID)
    assert run is not None
    assert (result.success, result.failures) == (False, ("1",))
    assert run.status is dg.DagsterRunStatus.FAILURE
    assert run.remote_job_origin is not None
    assert run.remote_job_origin.location_name == "topview_pipeline"
    assert run.remote_job_origin.job_name == "counting"
    assert run.tags[".dagster/repository"] == "__repository__@topview_pipeline"
    assert list((tmp_path / "storage" / RUN_ID).rglob("result")), "what the first op handed on"
