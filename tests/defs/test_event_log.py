"""A run writes thousands of events: SQLite must not tidy up after each of them."""

from __future__ import annotations

import uuid
from pathlib import Path

import dagster as dg

from topview_pipeline.defs.event_log import event_log_kept_open


def _event(number: int) -> dg.AssetObservation:
    return dg.AssetObservation(asset_key="productImage", partition=f"p{number}")


def _logs(home: Path) -> set[str]:
    return {path.name for path in home.rglob("*.db-wal")}


def test_the_write_ahead_log_lives_as_long_as_the_run_and_is_tidied_up_after_it(
    tmp_path: Path,
) -> None:
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        instance.report_runless_asset_event(_event(0))
        assert _logs(tmp_path) == set()
        with event_log_kept_open(instance, str(uuid.uuid4())):
            instance.report_runless_asset_event(_event(1))
            assert _logs(tmp_path) == {"index.db-wal"}
        assert _logs(tmp_path) == set()
        key = dg.AssetKey("productImage")
        assert len(instance.fetch_observations(key, limit=10).records) == 2


def test_a_run_without_a_file_of_its_own_yet_gets_none_of_another_make(tmp_path: Path) -> None:
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        before = set(tmp_path.rglob("*"))
        with event_log_kept_open(instance, str(uuid.uuid4())):
            assert set(tmp_path.rglob("*.db")) <= before


def test_events_that_are_kept_elsewhere_are_let_be() -> None:
    with (
        dg.DagsterInstance.ephemeral() as instance,
        event_log_kept_open(instance, str(uuid.uuid4())),
    ):
        instance.report_runless_asset_event(_event(0))
