"""The pending_task_sensor against real runs: what was begun comes home, nothing else begins."""

from __future__ import annotations

import os
from typing import Any

import dagster as dg
import pytest

from tests.defs.shop import Shop, made, troubles_of
from tests.ledger.conftest import reserve
from topview_pipeline.definitions import defs
from topview_pipeline.defs.jobs import CATCH_UP
from topview_pipeline.defs.sensors import pending_task_sensor
from topview_pipeline.ledger import Owner, TaskState, Wanted
from topview_pipeline.producer.lost_answers import LostAnswers


class Daemon:
    """Ticks the sensor as Dagster's daemon does: the cursor is kept, requests become runs."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self.cursor: str | None = None

    def tick(self) -> dg.RunRequest | str:
        """The request, or why there is none."""
        context = dg.build_sensor_context(
            instance=self._shop.instance,
            cursor=self.cursor,
            definitions=defs,
            resources={
                name: (defs.resources or {})[name] for name in ("ledger", "artifacts", "catalogue")
            },
        )
        with context:
            (answer,) = _listed(pending_task_sensor(context))
            self.cursor = context.cursor
        if isinstance(answer, dg.RunRequest):
            return answer
        return str(answer.skip_message)

    def execute(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """Run what the sensor asked for."""
        return self._shop.run_job(CATCH_UP, run_config=request.run_config)


def _listed(answer: Any) -> list[Any]:
    return answer if isinstance(answer, list) else [answer]


@pytest.fixture
def daemon(shop: Shop) -> Daemon:
    return Daemon(shop)


def requested(answer: dg.RunRequest | str) -> dg.RunRequest:
    assert isinstance(answer, dg.RunRequest), answer
    return answer


def leave_behind(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> dg.ExecuteInProcessResult:
    """A run that fills the free slots and ends, as with TOPVIEW_WAIT_SECONDS=0."""
    monkeypatch.setenv("TOPVIEW_WAIT_SECONDS", "0")
    shop.faults(nourl=1.0)  # finished, and its URLs come late: it cannot end within the run
    result = shop.catch_up()
    shop.faults()
    return result


def test_without_an_account_it_skips_with_one_sentence(
    shop: Shop, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOPVIEW_UID")
    assert str(daemon.tick()).startswith("TOPVIEW_UID: it is not set")


def test_without_a_key_it_starts_no_run_that_could_only_fail(
    shop: Shop, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOPVIEW_API_KEY")
    assert str(daemon.tick()).startswith("nothing to take up: 0 open orders due")

    monkeypatch.setenv("TOPVIEW_API_KEY", shop.sandbox.api_key)
    shop.add("mug")
    leave_behind(shop, monkeypatch)
    monkeypatch.delenv("TOPVIEW_API_KEY")
    assert str(daemon.tick()).startswith("TOPVIEW_API_KEY is not set")

    monkeypatch.setenv("TOPVIEW_API_KEY", shop.sandbox.api_key)
    requested(daemon.tick())


def test_another_deployments_orders_start_no_run_here(
    shop: Shop, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two deployments share an account; each has a catalogue and a sensor of its own."""
    shop.add("mug")
    with shop.ledger() as ledger:
        ledger.catalogues.obey("theirs.csv", sha256="1", columns=[], products=["shoe"])
        ledger.orders.place(
            [Wanted("shoe", "bgRemovedImage", "ordered")],
            run_id="theirs",
            root_run_id="theirs",
            owner="dead",
        )
    assert str(daemon.tick()).startswith("nothing to take up: 0 open orders due")

    monkeypatch.delenv("TOPVIEW_CATALOGUE")
    assert requested(daemon.tick()), "without a catalogue nobody's orders can be told apart"


def test_a_ledger_that_cannot_be_opened_is_said_and_breaks_no_tick(
    shop: Shop, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shop.folder / "file").write_text("not a folder")
    monkeypatch.setenv("TOPVIEW_LEDGER_URL", f"sqlite:///{shop.folder}/file/ledger.db")
    assert "ledger" in str(daemon.tick())


def test_what_a_run_left_is_finished_by_one_run_and_nothing_is_paid_twice(
    shop: Shop, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add("mug", "shoe")
    left = leave_behind(shop, monkeypatch)

    request = requested(daemon.tick())
    result = daemon.execute(request)

    assert {row["outcome"] for row in troubles_of(left)} == {"parked"}
    orders = request.run_config["ops"]["plan_catch_up"]["config"]["orders"]
    assert {order["product"] for order in orders} == {"mug", "shoe"}
    assert request.run_config["ops"]["plan_catch_up"]["config"]["explicit"] is False
    assert result.success
    assert shop.materialized("finishedVideo") == {"mug", "shoe"}
    everything = made(left) + made(result)
    assert len(everything) == len(set(everything)) == 6
    assert set(shop.accepted().values()) == {2}
    assert str(daemon.tick()).startswith("nothing to take up")


def test_it_never_begins_what_nobody_ordered(shop: Shop, daemon: Daemon) -> None:
    shop.add("mug")
    shop.write()
    shop.register()
    assert str(daemon.tick()).startswith("nothing to take up")
    assert shop.accepted() == {}


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED])
def test_it_waits_while_a_catch_up_is_queued_or_at_work(
    shop: Shop, daemon: Daemon, monkeypatch: pytest.MonkeyPatch, status: dg.DagsterRunStatus
) -> None:
    shop.add("mug")
    leave_behind(shop, monkeypatch)
    run = begin_run(shop, status)
    assert daemon.tick() == f"catch_up run {run.run_id} is queued or at work"


def test_two_ticks_never_start_the_same_work_twice(
    shop: Shop, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second tick comes before the first one's run exists, or after it died at once."""
    shop.add("mug")
    leave_behind(shop, monkeypatch)
    requested(daemon.tick())
    assert "next in 1" in str(daemon.tick())


def test_a_run_killed_by_kill_9_is_reported_failed_and_its_orders_are_taken_up(
    shop: Shop, daemon: Daemon
) -> None:
    shop.add("mug")
    shop.write()
    run = begin_run(shop, dg.DagsterRunStatus.STARTED)
    order_of_a_dead_producer(shop, run.run_id)

    request = requested(daemon.tick())

    ended = shop.instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status is dg.DagsterRunStatus.FAILURE
    assert daemon.execute(request).success
    assert shop.materialized("bgRemovedImage") == {"mug"}


def test_a_run_killed_while_it_was_being_stopped_is_cancelled_and_its_orders_withdrawn(
    shop: Shop, daemon: Daemon
) -> None:
    shop.add("mug")
    shop.write()
    run = begin_run(shop, dg.DagsterRunStatus.CANCELING)
    order_of_a_dead_producer(shop, run.run_id)

    answer = daemon.tick()

    ended = shop.instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status is dg.DagsterRunStatus.CANCELED
    assert str(answer).startswith("nothing to take up")
    with shop.ledger() as ledger:
        assert ledger.orders.open_orders() == []


def test_a_dead_run_of_a_backfill_frees_its_place_in_the_queue_too(
    shop: Shop, daemon: Daemon
) -> None:
    run = begin_run(shop, dg.DagsterRunStatus.STARTED, job="__ASSET_JOB")
    order_of_a_dead_producer(shop, run.run_id)
    daemon.tick()
    ended = shop.instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status is dg.DagsterRunStatus.FAILURE


def test_other_peoples_runs_are_left_alone(shop: Shop, daemon: Daemon) -> None:
    run = begin_run(shop, dg.DagsterRunStatus.STARTED, job="theirs")
    daemon.tick()
    theirs = shop.instance.get_run_by_id(run.run_id)
    assert theirs is not None
    assert theirs.status is dg.DagsterRunStatus.STARTED


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED])
def test_a_run_that_was_never_launched_or_killed_while_it_planned_does_not_block_for_ever(
    shop: Shop, daemon: Daemon, monkeypatch: pytest.MonkeyPatch, status: dg.DagsterRunStatus
) -> None:
    shop.add("mug")
    shop.write()
    leave_behind(shop, monkeypatch)
    run = begin_run(shop, status)
    assert "is queued or at work" in str(daemon.tick())

    monkeypatch.setattr("topview_pipeline.defs.runs.LONGEST_SILENCE_SECONDS", -60.0)

    requested(daemon.tick())
    ended = shop.instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status is dg.DagsterRunStatus.FAILURE


def test_the_orders_of_a_cancelled_run_are_withdrawn(shop: Shop, daemon: Daemon) -> None:
    shop.add("mug")
    shop.write()
    run = begin_run(shop, dg.DagsterRunStatus.CANCELED)
    order_of_a_dead_producer(shop, run.run_id)
    assert str(daemon.tick()).startswith("nothing to take up")
    with shop.ledger() as ledger:
        assert ledger.orders.open_orders() == []


def begin_run(shop: Shop, status: dg.DagsterRunStatus, *, job: str = CATCH_UP) -> dg.DagsterRun:
    """A run in this state, of which no process is left."""
    return shop.instance.add_run(
        dg.DagsterRun(job_name=job, run_id=os.urandom(16).hex(), status=status)
    )


def order_of_a_dead_producer(shop: Shop, run_id: str) -> None:
    """What a producer leaves that was killed: an open order, and itself as if at work."""
    dead = Owner(pid=2**22 + 1)
    with shop.ledger() as ledger:
        ledger.producers.start(dead, run_id=run_id)
        ledger.orders.place(
            [Wanted("mug", "bgRemovedImage", "ordered")],
            run_id=run_id,
            root_run_id=run_id,
            owner=dead.id,
        )


def test_an_answer_lost_by_a_run_is_found_by_the_sensor_and_its_video_comes_home(
    shop: Shop, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPVIEW_ACCOUNT_EXCLUSIVE", "true")
    shop.add("mug")
    shop.catch_up(stages=["bgRemovedImage"])
    shop.faults(drop_submit=1.0)
    with monkeypatch.context() as looks:
        # Else the run finds it by itself when a second of Topview's clock passes meanwhile.
        looks.setattr(LostAnswers, "_unknown", lambda _: frozenset())
        shop.catch_up()
    shop.faults()
    with shop.ledger() as ledger:
        (row,) = ledger.tasks.in_state((TaskState.UNKNOWN,))
        # Ten minutes later, for the sensor.
        monkeypatch.setattr(type(ledger.unknowns), "is_due", lambda *_: True)

    for _ in range(5):
        answer = daemon.tick()
        if isinstance(answer, dg.RunRequest):
            daemon.execute(answer)

    with shop.ledger() as ledger:
        assert ledger.tasks.get(row.id).state is TaskState.STORED
    assert shop.materialized("finishedVideo") == {"mug"}
    assert shop.counters()["duplicate_tasks"] == shop.counters()["orphan_tasks"] == []


def test_a_row_of_a_dead_producer_that_nobody_orders_any_more_is_named_unknown(
    shop: Shop, daemon: Daemon
) -> None:
    shop.add("mug")
    shop.catch_up(stages=["bgRemovedImage"])
    dead = Owner(pid=2**22 + 1)
    with shop.ledger() as ledger:
        ledger.producers.start(dead, run_id="dead")
        wanted = [Wanted("mug", "replacedImages", "ordered")]
        placed = ledger.orders.place(wanted, run_id="dead", root_run_id="dead", owner=dead.id)
        row = reserve(ledger, placed.orders["mug", "replacedImages"], owner=dead.id)
        ledger.orders.withdraw_runs(["dead"], who="a person")

    daemon.tick()

    with shop.ledger() as ledger:
        assert ledger.tasks.get(row.id).state is TaskState.UNKNOWN


def test_no_run_is_started_for_a_store_that_is_not_mounted(shop: Shop, daemon: Daemon) -> None:
    shop.add("mug")
    shop.catch_up(stages=["bgRemovedImage"])
    with shop.ledger() as ledger:
        wanted = [Wanted("mug", "replacedImages", "ordered")]
        ledger.orders.place(wanted, run_id="gone", root_run_id="gone", owner="nobody")
    store = shop.folder / "home" / "artifacts"
    store.rename(store.with_name("unmounted"))

    assert "this is not the store" in str(daemon.tick())
    assert not store.exists()

    store.with_name("unmounted").rename(store)
    requested(daemon.tick())
