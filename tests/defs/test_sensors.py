"""The sensors: what was begun is finished, the catalogue is followed, and nothing else begins."""

from __future__ import annotations

import sys
import threading
import time
import types
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pytest

from tests.defs.shop import CUT_OUT, OUTLINE, PRODUCTS, Patch, Shop, made
from tests.ledger.conftest import reserve
from topview_pipeline.defs import sensors
from topview_pipeline.defs.jobs import CATCH_UP, RESUME_TASKS, SYNC_PRODUCTS
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.defs.sensors import (
    Backoff,
    catalogue_sensor,
    pending_task_sensor,
    read_cursor,
    running_jobs,
    written,
)
from topview_pipeline.engine.reconcile import RunReconciler
from topview_pipeline.ledger import TaskState

NOW = 1_000_000.0
NOTHING = "there is nothing to finish"


# Backoff: work that does not move is tried ever more rarely.


def test_the_same_work_again_waits_twice_as_long_each_time_up_to_an_hour() -> None:
    backoff, now, waits = Backoff(), NOW, []
    for _ in range(9):
        backoff = backoff.after("work", now=now)
        waits.append(backoff.wait("work", now=now))
        now += waits[-1]
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]


def test_other_work_is_begun_at_once_and_so_is_all_after_the_clock_was_set_back() -> None:
    backoff = Backoff().after("work", now=NOW).after("work", now=NOW)
    assert backoff.wait("other work", now=NOW) == 0
    assert backoff.after("other work", now=NOW).times == 1
    assert backoff.wait("work", now=NOW - 31_536_000) == 0


# pending_task_sensor.


class Daemon:
    """Ticks the sensor as Dagster's daemon does: the cursor is kept, requests become runs."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self.cursor: str | None = None

    def tick(self, *, after_seconds: float = 60.0) -> dg.RunRequest | str:
        """The request, or why there is none."""
        context = dg.build_sensor_context(instance=self._shop.instance, cursor=self.cursor)
        context._last_tick_completion_time = time.time() - after_seconds
        with context:
            answer: Any = pending_task_sensor(self._shop.topview())(context)
            self.cursor = context.cursor
        return answer if isinstance(answer, dg.RunRequest) else str(answer.skip_message)

    def tick_and_run(self) -> dg.ExecuteInProcessResult:
        """Tick, and execute what is asked for."""
        request = self.tick()
        assert isinstance(request, dg.RunRequest), request
        return self._shop.run_job(RESUME_TASKS, run_config=request.run_config)


@pytest.fixture
def daemon(shop: Shop) -> Daemon:
    return Daemon(shop)


def test_what_a_run_left_is_finished_by_one_run(shop: Shop, daemon: Daemon) -> None:
    shop.add("mug", "shoe")
    assert daemon.tick() == NOTHING
    shop.leave_pending(products=["mug"])

    home = daemon.tick_and_run()

    assert home.success
    assert made(home) == [("bgRemovedImage", "mug")]
    assert shop.accepted() == {"remove_background": 1}, "nothing new is begun"
    assert daemon.tick() == NOTHING
    assert shop.catch_up(products=["mug"]).success
    assert shop.accepted() == dict.fromkeys(shop.accepted(), 1)


def test_two_ticks_never_start_the_same_work_twice(shop: Shop, daemon: Daemon) -> None:
    """The second tick comes before the first one's run exists, or after it died at once."""
    shop.add("mug")
    shop.leave_pending()
    first = daemon.tick()
    assert isinstance(first, dg.RunRequest)
    said = str(daemon.tick())
    assert said.startswith("the last run changed nothing; next in ")
    assert said.endswith("1 task to collect, 0 to try again")
    backoff = read_cursor(Backoff, daemon.cursor)
    assert backoff is not None
    daemon.cursor = written(Backoff(backoff.work, backoff.times, backoff.at - 60.0))
    second = daemon.tick()
    assert isinstance(second, dg.RunRequest)
    assert first.run_key != second.run_key, "a run key is spent for ever"


def test_it_waits_for_its_own_run_only(shop: Shop, daemon: Daemon) -> None:
    shop.add("mug")
    shop.leave_pending()
    for ended in ("SUCCESS", "FAILURE", "CANCELED"):
        shop.begin_run(ended, RESUME_TASKS)
    waiting = ("NOT_STARTED", "STARTED", "SUSPENDED")
    for status in waiting:
        shop.begin_run(status, CATCH_UP)
        shop.begin_run(status, RESUME_TASKS, pipeline="a stranger")
    assert isinstance(daemon.tick(), dg.RunRequest)
    assert running_jobs(shop.instance, OUTLINE, RESUME_TASKS, most=1) == []
    for status in waiting:
        run = shop.begin_run(status, RESUME_TASKS)
        assert daemon.tick() == f"run {run.run_id} works on it: 1 task to collect, 0 to try again"
        shop.instance.delete_run(run.run_id)


def test_a_failed_task_is_tried_again_when_it_is_due_for_the_run_that_paid_first(
    shop: Shop, daemon: Daemon
) -> None:
    shop.add("mug")
    shop.control.set_faults(fail=1.0)
    shop.catch_up(stages=CUT_OUT, credit_limit=5.0)
    shop.control.set_faults()
    assert daemon.tick() == NOTHING
    shop.make_retries_due()

    assert daemon.tick_and_run().success

    assert shop.materialized("bgRemovedImage") == {"mug"}
    assert shop.failed("bgRemovedImage") == set()
    assert daemon.tick() == NOTHING
    first, second = shop.rows_in()
    assert (first.state, second.state) == (TaskState.FAILED, TaskState.STORED)
    assert (second.root_run_id, second.credit_limit) == (first.root_run_id, 5.0)
    assert second.attempt == 2


def test_a_run_whose_process_died_is_reported_so_that_dagster_starts_it_again(
    shop: Shop, daemon: Daemon
) -> None:
    becomes = {"STARTED": "FAILURE", "CANCELING": "CANCELED", "SUSPENDED": "SUSPENDED"}
    dead = {status: shop.begin_run(status) for status in becomes}
    for run in dead.values():
        shop.kill_worker_of(run.run_id)
    living = shop.begin_run("STARTED", "__ASSET_JOB")
    with shop.ledger() as ledger:
        ledger.workers.start("alive", run_id=living.run_id)
    theirs = shop.begin_run("STARTED", "theirs")
    daemon.tick()
    assert {status: shop.status_of(run) for status, run in dead.items()} == becomes
    assert shop.status_of(living) == shop.status_of(theirs) == "STARTED"


def test_a_run_without_a_worker_keeps_the_others_waiting_for_half_an_hour_at_most(
    shop: Shop, daemon: Daemon, monkeypatch: Patch
) -> None:
    """Its machine was cut off before it had one: paid results waited until Topview threw them away.

    Another project's run may take longer.
    """
    shop.add("mug")
    shop.leave_pending()
    runs = [shop.begin_run("NOT_STARTED", job) for job in (RESUME_TASKS, "theirs")]
    for run in runs:
        started = dg.DagsterEvent(event_type_value="PIPELINE_START", job_name=run.job_name)
        shop.instance.report_dagster_event(started, run.run_id)
    assert "works on it" in str(daemon.tick())

    late = time.time() + 2000.0
    monkeypatch.setattr(sensors.time, "time", lambda: late)
    assert isinstance(daemon.tick(), dg.RunRequest)
    assert [shop.status_of(run) for run in runs] == ["FAILURE", "STARTED"]


def test_a_run_on_a_laptop_that_slept_is_not_started_a_second_time(
    shop: Shop, daemon: Daemon
) -> None:
    """After the night heartbeats are old, and the sensor may tick before the run beats again."""
    run = shop.begin_run("STARTED")
    shop.kill_worker_of(run.run_id)
    daemon.tick(after_seconds=3600.0)
    assert shop.status_of(run) == "STARTED"
    daemon.tick(after_seconds=60.0)
    assert shop.status_of(run) == "FAILURE"


def test_a_submit_that_died_with_its_worker_is_named_unknown(shop: Shop, daemon: Daemon) -> None:
    """A killed run may have paid for it: it is never resent automatically."""
    shop.add("mug")
    shop.catch_up(stages=CUT_OUT)
    worker = shop.kill_worker_of("killed")
    with shop.ledger() as ledger:
        reserve(ledger, worker=worker)
    daemon.tick()
    assert len(shop.rows_in(TaskState.UNKNOWN)) == 1


async def _nothing_found(*_: object) -> tuple[()]:
    return ()


def test_an_idle_sensor_says_first_what_to_do_about_a_lost_ledger(
    shop: Shop, daemon: Daemon
) -> None:
    """A lost ledger has nothing to finish, and no run would say it before the next one."""
    shop.add("mug")
    shop.catch_up(stages=CUT_OUT)
    assert daemon.tick() == NOTHING
    for file in (shop.folder / "home").glob("ledger.db*"):
        file.unlink()
    said = str(daemon.tick())
    assert said.startswith("If the ledger is elsewhere, let TOPVIEW_LEDGER_URL name it.")
    assert "`topview-pipeline ledger adopt`" in said
    assert "the store has results of this account" in said


def test_a_lost_answer_is_found(shop: Shop, daemon: Daemon, monkeypatch: Patch) -> None:
    shop.settings["TOPVIEW_ACCOUNT_EXCLUSIVE"] = "true"
    shop.add("mug")
    shop.catch_up(stages=CUT_OUT)
    shop.control.set_faults(drop_submit=1.0)
    with monkeypatch.context() as looks:  # else the run may find it by itself
        looks.setattr(RunReconciler, "begin", _nothing_found)
        looks.setattr(RunReconciler, "is_settled", _nothing_found)
        looks.setattr(RunReconciler, "look_again", _nothing_found)
        shop.catch_up(stages=["replacedImages"])
    shop.control.set_faults()
    (row,) = shop.rows_in(TaskState.UNKNOWN)
    with shop.ledger() as ledger:
        monkeypatch.setattr(type(ledger.unknowns), "is_due", lambda *_: True)

    assert daemon.tick_and_run().success

    assert row.id in [stored.id for stored in shop.rows_in(TaskState.STORED)]
    assert shop.materialized("replacedImages") == {"mug"}
    assert shop.accepted()["image_replace"] == 1


def test_no_run_is_started_that_could_only_fail(shop: Shop, daemon: Daemon) -> None:
    shop.add("mug")
    shop.leave_pending()
    key = shop.settings.pop("TOPVIEW_API_KEY")
    assert str(daemon.tick()).endswith("TOPVIEW_API_KEY: it is not set")
    shop.settings["TOPVIEW_API_KEY"] = key
    away = shop.store.rename(shop.store.with_name("unmounted"))
    assert "this is not the store" in str(daemon.tick())
    assert not shop.store.exists()
    away.rename(shop.store)
    assert isinstance(daemon.tick(), dg.RunRequest)


@pytest.mark.parametrize(
    ("variable", "value", "pending", "catalogue"),
    [
        ("TOPVIEW_UID", "", "TOPVIEW_UID: it is not set", "no product is retired: TOPVIEW_UID: it"),
        ("TOPVIEW_LEDGER_URL", "sqlite:////proc/no/ledger.db", "ledger", "ledger"),
        ("TOPVIEW_SLOTS", "many", "TOPVIEW_SLOTS", "TOPVIEW_SLOTS"),
        ("TOPVIEW_CATALOGUE", "", NOTHING, "TOPVIEW_CATALOGUE: it is not set"),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_sentence_in_the_tick(
    shop: Shop, daemon: Daemon, variable: str, value: str, pending: str, catalogue: str
) -> None:
    shop.add("mug")
    shop.write()
    shop.settings[variable] = value
    assert pending in str(daemon.tick())
    assert catalogue in tick(shop).said


# catalogue_sensor.


@dataclass
class Tick:
    """One tick: its message, its observations, its cursor."""

    said: str
    observed: list[tuple[str, str | None]]
    cursor: str | None


def tick(shop: Shop, cursor: str | None = None) -> Tick:
    """One tick of the catalogue_sensor, and what the daemon does with what it returns."""
    context = dg.build_sensor_context(shop.instance, cursor=cursor)
    result: Any = catalogue_sensor(shop.topview())(context)
    if isinstance(result, dg.SkipReason):
        return Tick(result.skip_message or "", [], context.cursor)
    observed = []
    for event in result.asset_events:
        shop.instance.report_runless_asset_event(event)
        if isinstance(event, dg.AssetObservation):
            observed.append((event.asset_key.to_user_string(), event.partition))
    return Tick(result.skip_reason.skip_message, observed, result.cursor)


def forbid_reading(monkeypatch: Patch) -> None:
    monkeypatch.setattr(TopviewResource, "catalogue", lambda *_, **__: pytest.fail("read"))


def test_an_unchanged_catalogue_is_not_read_again(shop: Shop, monkeypatch: Patch) -> None:
    shop.add("mug", "shoe")
    shop.write()

    first = tick(shop)
    assert shop.instance.get_dynamic_partitions(PRODUCTS) == ["mug", "shoe"]
    assert first.said.startswith("2 products, 0 problems in rows; 2 new")

    with monkeypatch.context() as patch:
        forbid_reading(patch)
        assert tick(shop, first.cursor).said == "the catalogue has not changed"
    shop.remove("mug")
    shop.add("new")
    shop.write()
    uid = shop.settings.pop("TOPVIEW_UID")
    assert "1 new, 0 left" in tick(shop).said, "without a uid there is no ledger"
    shop.settings["TOPVIEW_UID"] = uid
    assert "0 new, 1 left" in tick(shop).said


def test_a_change_of_what_was_made_is_observed(shop: Shop, monkeypatch: Patch) -> None:
    shop.add("mug", "shoe")
    shop.catch_up(products=["mug"])
    for row in shop.rows.values():
        row["script"] = "Another one."
    shop.write()

    first = tick(shop)
    assert first.observed == [("productScript", "mug")]
    assert shop.stale("mug") == {"finishedVideo": ["has a new dependency data version"]}
    assert tick(shop).observed == []

    shop.picture("photo1.png", (9, 9, 9))  # a photo that changes alone, at the next look
    assert tick(shop, first.cursor).observed == []
    monkeypatch.setattr(sensors, "_LOOK_AGAIN_SECONDS", 0.0)
    assert tick(shop, first.cursor).observed == [("productImage", "mug")]


def test_what_is_too_much_for_one_tick_is_left_to_the_next(shop: Shop, monkeypatch: Patch) -> None:
    monkeypatch.setattr(sensors, "_MOST_OBSERVATIONS", 2)
    shop.add("a", "b", "c")
    shop.catch_up(stages=CUT_OUT)
    for number, row in enumerate(shop.rows.values()):
        row["image"] = shop.picture(f"new{number}.png", (9, 9, number))
    shop.write()

    first = tick(shop)
    second = tick(shop, first.cursor)
    third = tick(shop, second.cursor)

    assert [len(one.observed) for one in (first, second, third)] == [2, 1, 0]
    assert "more in the next tick" in first.said


def test_half_a_catalogue_is_held_until_it_is_another_one(shop: Shop, monkeypatch: Patch) -> None:
    shop.add(*(f"p{number}" for number in range(12)))
    shop.write()
    before = tick(shop)
    whole = shop.path.read_bytes()
    shop.path.write_bytes(whole[: len(whole) // 2])

    held = tick(shop, before.cursor)

    assert "of its 12 products are gone" in held.said
    assert "--accept-change" in held.said
    assert shop.held_catalogue()
    with monkeypatch.context() as patch:
        forbid_reading(patch)
        assert tick(shop, held.cursor).said == held.said
    shop.path.write_bytes(whole)
    back = tick(shop, held.cursor)
    assert back.said.startswith("12 products")
    assert not shop.held_catalogue()

    away = shop.path.rename(shop.folder / "away.csv")
    gone = tick(shop, back.cursor)
    assert "no such file" in gone.said
    assert shop.held_catalogue()
    away.rename(shop.path)
    tick(shop, gone.cursor)
    assert not shop.held_catalogue(), "at once, though it is the catalogue of before"


def test_an_emptied_catalogue_retires_nobody(shop: Shop) -> None:
    """The guard of a fifth does not protect a shop of fewer than five products."""
    shop.add("mug", "hat", "box")
    shop.write()
    before = tick(shop)
    shop.rows.clear()
    shop.write()

    assert "it has no products" in tick(shop, before.cursor).said
    assert shop.held_catalogue()
    assert not shop.run_job(SYNC_PRODUCTS).success
    assert not shop.catch_up().success
    with shop.ledger() as ledger:
        assert ledger.catalogue.products() == {"mug", "hat", "box"}
        assert ledger.catalogue.retired() == set()


def test_a_catalogue_that_hangs_is_a_sentence_in_the_tick(shop: Shop, monkeypatch: Patch) -> None:
    released = threading.Event()
    source = types.SimpleNamespace(
        where="shop database", version=lambda: None, rows=lambda: [released.wait(60)]
    )
    module = types.ModuleType("hanging_shop")
    module.__dict__["source"] = source
    monkeypatch.setitem(sys.modules, "hanging_shop", module)
    monkeypatch.setattr(sensors, "_READ_SECONDS", 0.05)
    shop.settings["TOPVIEW_CATALOGUE"] = "python:hanging_shop:source"
    try:
        assert "it did not answer within 0.05 s" in tick(shop).said
        assert "an earlier attempt to read it still hangs" in tick(shop).said, (
            "looks do not pile up"
        )
        assert shop.held_catalogue()
    finally:
        released.set()
