"""A run writes thousands of events: SQLite must not tidy up after each of them."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from tests.defs.shop import Shop
from topview_pipeline.defs.dagster_internals import event_log_files
from topview_pipeline.defs.event_log import event_log_kept_open
from topview_pipeline.defs.versions import Versions


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        yield instance


def _event(number: int) -> dg.AssetObservation:
    return dg.AssetObservation(asset_key="productImage", partition=f"p{number}")


def _logs(folder: Path) -> set[str]:
    """The write-ahead logs that are not empty: some builds of SQLite leave empty ones."""
    return {path.name for path in folder.rglob("*.db-wal") if path.stat().st_size}


def test_the_write_ahead_log_lives_as_long_as_the_run_and_is_tidied_up_after_it(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    instance.report_runless_asset_event(_event(0))
    assert _logs(tmp_path) == set()
    with event_log_kept_open(instance, str(uuid.uuid4())):
        instance.report_runless_asset_event(_event(1))
        assert _logs(tmp_path) == {"index.db-wal"}
    assert _logs(tmp_path) == set()
    assert len(instance.fetch_observations(dg.AssetKey("productImage"), limit=10).records) == 2


@pytest.mark.parametrize("is_cut_off", [False, True])
def test_a_run_keeps_both_its_files_open_until_it_ends_or_is_cut_off(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_cut_off: bool
) -> None:
    note, open_logs = Versions.note, set()

    def looked_at(self: Versions, versions: Any) -> None:
        open_logs.update(_logs(tmp_path / "dagster"))
        if is_cut_off:
            raise KeyboardInterrupt
        note(self, versions)

    monkeypatch.setattr(Versions, "note", looked_at)
    shop.add("mug")
    (tmp_path / "dagster").mkdir()
    with dg.instance_for_test(temp_dir=str(tmp_path / "dagster")) as instance:
        shop.instance = instance
        try:
            run_id = shop.catch_up().run_id
        except KeyboardInterrupt:
            (run_id,) = (run.run_id for run in instance.get_runs())
        assert open_logs == {f"{path.name}-wal" for path in event_log_files(instance, run_id)}
        assert _logs(tmp_path / "dagster") == set()


def test_the_write_ahead_log_of_a_long_run_does_not_grow_without_end(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    run_id = str(uuid.uuid4())
    (index, _) = event_log_files(instance, run_id)
    with event_log_kept_open(instance, run_id):
        for _ in range(100):
            with closing(sqlite3.connect(index)) as connection, connection:
                connection.execute("CREATE TABLE IF NOT EXISTS filler (bytes BLOB)")
                connection.execute("INSERT INTO filler VALUES (zeroblob(400000))")
        (log,) = tmp_path.rglob("index.db-wal")
        assert log.stat().st_size < 3 * 4096 * 1000


def test_a_run_without_a_file_of_its_own_yet_gets_none_of_another_make(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    before = set(tmp_path.rglob("*"))
    with event_log_kept_open(instance, str(uuid.uuid4())):
        assert set(tmp_path.rglob("*.db")) <= before


def test_a_file_that_somebody_holds_locked_stops_nothing(instance: dg.DagsterInstance) -> None:
    run_id = str(uuid.uuid4())
    (index, _) = event_log_files(instance, run_id)
    with closing(sqlite3.connect(index, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with event_log_kept_open(instance, run_id):
            pass


def test_events_that_are_kept_elsewhere_are_let_be() -> None:
    with (
        dg.DagsterInstance.ephemeral() as instance,
        event_log_kept_open(instance, str(uuid.uuid4())),
    ):
        instance.report_runless_asset_event(_event(0))
