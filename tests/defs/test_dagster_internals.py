"""What is relied on of Dagster's private modules; a new Dagster that changes it fails here."""

from __future__ import annotations

import os

import dagster as dg

from topview_pipeline.defs import dagster_internals as internals


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
