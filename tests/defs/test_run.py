"""Every producing run: its ledger and store, its order, its events."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from tests.defs.shop import ASSETS, CUT_OUT, Patch, Shop, failure_of
from topview_pipeline import catalogue
from topview_pipeline.defs.dagster_private import _event_log_files
from topview_pipeline.defs.data_versions import Versions
from topview_pipeline.defs.events import Planned
from topview_pipeline.defs.jobs import RESUME_TASKS, SYNC_PRODUCTS
from topview_pipeline.defs.outline import MANIFEST
from topview_pipeline.defs.run import Production
from topview_pipeline.engine import EngineThread, Made, ProductWork
from topview_pipeline.ledger import TaskState
from topview_pipeline.store import Store

Run = Callable[[Shop], dg.ExecuteInProcessResult]
RUNS: dict[str, Run] = {
    "catch_up": lambda shop: shop.catch_up(),
    "materialize": lambda shop: shop.materialize("mug"),
    "resume": lambda shop: shop.run_job(RESUME_TASKS),
    "manifest": lambda shop: shop.materialize(None, assets=[MANIFEST]),
    "sync": lambda shop: shop.run_job(SYNC_PRODUCTS),
}
MAKERS, READERS = {"catch_up", "materialize", "resume"}, {"catch_up", "materialize", "sync"}
CHECKED = [*sorted(MAKERS), "manifest"]
"""They need a ledger that is the store's."""


@pytest.fixture
def finished(shop: Shop) -> Shop:
    """A shop whose one product is finished."""
    shop.add("mug")
    assert shop.catch_up().success
    return shop


# Ledger and store belong together.


def refused(result: dg.ExecuteInProcessResult) -> str:
    said = failure_of(result)
    assert "Traceback" not in said
    return said


def test_a_lost_ledger_stops_every_run_until_it_is_adopted(finished: Shop) -> None:
    accepted = finished.accepted()
    for file in (finished.folder / "home").glob("ledger.db*"):
        file.unlink()
    for name in CHECKED:
        assert "the store has results of this account" in refused(RUNS[name](finished))
    assert finished.accepted() == accepted
    assert finished.rows_in() == []

    with finished.ledger() as ledger:  # as `topview-pipeline ledger adopt` does
        identity = Store(finished.config.store).identity(create=True)
        ledger.remember_store(str(identity), who="a person")

    assert finished.catch_up().success
    assert finished.accepted() == accepted
    assert {row.state for row in finished.rows_in()} == {TaskState.STORED}
    assert finished.stale("mug") == {}


def test_an_unmounted_store_or_a_new_home_stops_every_run_and_stays_empty(finished: Shop) -> None:
    accepted, rows = finished.accepted(), finished.rows_in()
    finished.store.rename(finished.store.with_name("the disk"))
    finished.store.mkdir()
    finished.rows["mug"]["script"] = "Something else."
    for name in CHECKED:
        assert "Is it mounted" in refused(RUNS[name](finished)), name
    assert [path for path in finished.store.rglob("*") if path.is_file()] == []
    assert finished.rows_in() == rows

    # A container without a mount: ledger and store are gone together.
    finished.settings["TOPVIEW_HOME"] = str(finished.folder / "another home")
    assert "Dagster has materializations of this account" in refused(finished.catch_up())
    assert finished.accepted() == accepted
    finished.settings["TOPVIEW_UID"] = "anotherUid"
    assert "Dagster has materializations" not in refused(finished.catch_up())


# Its order, and what it reports.


@pytest.mark.parametrize("ends", [dg.DagsterExecutionInterruptedError, RuntimeError])
def test_a_run_that_is_terminated_says_what_it_spent(
    shop: Shop, monkeypatch: Patch, ends: type[BaseException]
) -> None:
    """The runs that somebody has to stop are those whose spend is asked for."""

    def interrupted(_: Production, event: object) -> None:
        if isinstance(event, Made):
            raise ends

    monkeypatch.setattr(Production, "_notify", interrupted)
    shop.add("mug")
    with suppress(dg.DagsterExecutionInterruptedError):
        shop.catch_up(stages=CUT_OUT)
    (record,) = shop.instance.get_run_records()
    assert record.dagster_run.tags["topview/result"] == "1 made"
    assert record.dagster_run.tags["topview/credits"] == "0.00"


def test_what_runs_already_begins_first(shop: Shop, monkeypatch: Patch) -> None:
    """It is paid for, and thousands of others take minutes to begin."""
    begun: list[str] = []
    put = EngineThread.put

    def noting(thread: EngineThread, work: ProductWork) -> None:
        begun.append(work.product.product_id)
        put(thread, work)

    shop.add(*(f"p{number}" for number in range(6)))
    shop.leave_pending(products=["p3"], stages=CUT_OUT)
    monkeypatch.setattr(EngineThread, "put", noting)

    shop.catch_up(stages=CUT_OUT)

    assert begun == ["p3", *(name for name in shop.rows if name != "p3")]


def test_listeners_hear_all_and_catalogue_and_store_are_looked_at_once(
    shop: Shop, monkeypatch: Patch
) -> None:
    """The command line shows progress by them."""
    heard: list[object] = []
    readings: list[object] = []
    tries: list[str] = []
    read = catalogue.read_catalogue

    def counted(*given: Any) -> Any:
        readings.append(given)
        return read(*given)

    monkeypatch.setattr(catalogue, "read_catalogue", counted)
    monkeypatch.setattr(Store, "check_writable", lambda _, account: tries.append(account))
    shop.add("mug")
    shop.write()
    topview = shop.topview()
    topview.listeners.append(heard.append)
    job = shop.definitions(topview).resolve_job_def("catch_up")

    assert job.execute_in_process(instance=shop.instance).success

    assert isinstance(heard[0], Planned)
    assert [event.stage for event in heard if isinstance(event, Made)] == [*ASSETS]
    assert (len(readings), len(tries)) == (1, 1)
    assert job.execute_in_process(instance=shop.instance).success
    assert (len(readings), len(tries)) == (2, 2), "another run in the same process"


@pytest.mark.parametrize("is_cut_off", [False, True])
def test_a_run_that_ends_leaves_nothing_behind(
    shop: Shop, tmp_path: Path, monkeypatch: Patch, is_cut_off: bool
) -> None:
    """While it runs, SQLite does not tidy up after each event."""
    note, open_logs = Versions.note, set()

    def logs() -> set[str]:
        files = (tmp_path / "dagster").rglob("*.db-wal")
        return {path.name for path in files if path.stat().st_size}

    def looked_at(self: Versions, versions: Any) -> None:
        open_logs.update(logs())
        if is_cut_off:
            raise KeyboardInterrupt
        note(self, versions)

    monkeypatch.setattr(Versions, "note", looked_at)
    shop.add("mug")
    (tmp_path / "dagster").mkdir()
    with dg.instance_for_test(temp_dir=str(tmp_path / "dagster")) as instance:
        shop.instance = instance
        try:
            run_id = shop.catch_up(stages=CUT_OUT).run_id
        except KeyboardInterrupt:
            (run_id,) = (run.run_id for run in instance.get_runs())
        assert open_logs == {f"{path.name}-wal" for path in _event_log_files(instance, run_id)}
        assert logs() == set()
    with shop.ledger() as ledger:
        assert ledger.workers.alive() == set()


# What keeps a whole run from its work: a sentence that says how to fix it, and nothing sent.


def test_a_wrong_key_fails_the_run_however_many_products_there_are(shop: Shop) -> None:
    """The engine ends while products are still being fed to it."""
    shop.settings["TOPVIEW_API_KEY"] = "wrong"
    shop.add(*(f"p{number}" for number in range(40)))

    result = shop.catch_up()

    assert "401" in failure_of(result)
    assert shop.rows_in() == []
    assert shop.accepted() == {}


FILE = "a file is in the way"


def test_a_bad_setting_is_one_sentence(shop: Shop) -> None:
    (shop.folder / FILE).write_text("not a folder")
    shop.add("mug")
    good = dict(shop.settings)
    for variable, value, said, runs in (
        ("TOPVIEW_UID", "", "TOPVIEW_UID: it is not set", MAKERS),
        ("TOPVIEW_API_KEY", "", "TOPVIEW_API_KEY: it is not set", {"catch_up", "materialize"}),
        ("TOPVIEW_CATALOGUE", "", "TOPVIEW_CATALOGUE: it is not set", READERS),
        ("TOPVIEW_CATALOGUE", "/no/where.csv", "where.csv", READERS),
        ("TOPVIEW_LEDGER_URL", f"sqlite:///{FILE}/ledger.db", "ledger", {*MAKERS, "sync"}),
        ("TOPVIEW_STORE", f"{FILE}/store", FILE, MAKERS),
        ("TOPVIEW_SLOTS", "many", "TOPVIEW_SLOTS", {*MAKERS, "sync"}),
    ):
        shop.settings = good | {variable: value.replace(FILE, str(shop.folder / FILE))}
        for name in sorted(runs):
            assert said in refused(RUNS[name](shop)), (variable, value, name)
    shop.settings = good
    assert shop.accepted() == {}
