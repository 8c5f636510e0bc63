"""Runs under a real `dagster dev` that die, are stopped, or end early; and what goes on by itself.

Videos last for ever, until the test moves the sandbox's clock.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from tests.defs.shop import Shop
from tests.scenarios.conftest import SLOTS, MakeShop
from tests.scenarios.dagster_processes import (
    EXECUTE,
    DagsterDev,
    assert_paid_once,
    both_slots_make_videos,
    dagster_dev,
    process_of,
    time_passing,
)
from topview_pipeline.defs.jobs import CATCH_UP, RESUME_TASKS
from topview_pipeline.defs.sensors import pending_task_sensor
from topview_pipeline.ledger import TaskState

PRODUCTS = ("mug", "shoe", "bag")
_A_VIDEO_LASTS = 600.0
_MEDIANS = {"remove_background": 0.05, "image_replace": 0.05, "image2Video": _A_VIDEO_LASTS}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture
def shop(make_shop: MakeShop) -> Shop:
    """One product more than slots: its video is not yet submitted when both slots are taken."""
    shop = make_shop(medians=_MEDIANS)
    shop.add(*PRODUCTS)
    shop.write()
    return shop


@pytest.fixture
def dev(shop: Shop) -> Iterator[DagsterDev]:
    with dagster_dev(shop) as dev:
        yield dev


def runs_of(shop: Shop, job: str) -> list[dg.DagsterRun]:
    """All runs of a job, the first one first."""
    records = shop.instance.get_run_records(dg.RunsFilter(job_name=job), ascending=True)
    return [record.dagster_run for record in records]


def launched(shop: Shop, dev: DagsterDev) -> str:
    """A catch_up, at the moment when both slots make videos."""
    run_id = dev.launch()
    dev.until(lambda: both_slots_make_videos(shop))
    return run_id


def assert_started_again_and_all_made(shop: Shop, dev: DagsterDev, run_id: str) -> None:
    """Also what was not submitted yet, by one run that Dagster started from the kept plan."""
    with time_passing(shop, 2 * _A_VIDEO_LASTS):
        dev.until(lambda: shop.materialized("finishedVideo") == set(PRODUCTS))
        dev.until(lambda: all(run.is_finished for run in runs_of(shop, CATCH_UP)))
    assert dev.run(run_id).status is dg.DagsterRunStatus.FAILURE
    first, again = runs_of(shop, CATCH_UP)
    assert (first.run_id, again.root_run_id) == (run_id, run_id)
    assert again.step_keys_to_execute == ["produce"]
    assert again.status is dg.DagsterRunStatus.SUCCESS
    dev.until(lambda: all(run.is_finished for run in runs_of(shop, RESUME_TASKS)))
    assert_paid_once(shop)


def test_a_run_killed_by_kill_9_is_started_again_by_dagster(shop: Shop, dev: DagsterDev) -> None:
    run_id = launched(shop, dev)

    dev.kill_run(run_id)

    assert_started_again_and_all_made(shop, dev, run_id)


def test_after_the_machine_was_cut_off_the_new_daemon_goes_on_by_itself(
    shop: Shop, dev: DagsterDev
) -> None:
    """Code server, daemon, web server and run die at once; DAGSTER_HOME and the ledger stay."""
    run_id = launched(shop, dev)
    dev.end(signal.SIGKILL)
    assert dev.run(run_id).status is dg.DagsterRunStatus.STARTED

    dev.start()

    assert_started_again_and_all_made(shop, dev, run_id)


def test_after_a_shutdown_the_new_daemon_goes_on_by_itself(shop: Shop, dev: DagsterDev) -> None:
    """SIGTERM for every process, as systemd or a container's end sends it; no person stopped it."""
    run_id = launched(shop, dev)
    dev.end(signal.SIGTERM)

    dev.start()

    assert_started_again_and_all_made(shop, dev, run_id)


def test_terminate_in_the_ui_sends_nothing_new_and_the_daemon_brings_home_what_was_sent(
    shop: Shop, dev: DagsterDev
) -> None:
    run_id = launched(shop, dev)
    dev.terminate(run_id)
    dev.until(lambda: dev.run(run_id).status is dg.DagsterRunStatus.CANCELED)
    sent = shop.accepted()
    assert sent["image2Video"] == SLOTS

    shop.control.advance_clock(10 * _A_VIDEO_LASTS)
    dev.until(lambda: len(shop.materialized("finishedVideo")) == SLOTS)

    assert shop.rows_in(TaskState.RESERVED, TaskState.UNKNOWN) == []
    assert shop.accepted() == sent
    assert len(runs_of(shop, CATCH_UP)) == 1, "what a person stopped is not started again"
    assert shop.control.counters()["orphans"] == 0

    with time_passing(shop, 2 * _A_VIDEO_LASTS):
        again = dev.launch()
        dev.until(lambda: dev.run(again).is_finished)
    assert_paid_once(shop)


def test_what_a_run_left_is_brought_home_by_the_sensors_run_and_the_next_run_does_the_rest(
    shop: Shop, tmp_path: Path
) -> None:
    """TOPVIEW_WAIT_SECONDS=0 fills the free slots and ends; the sensor's run waits."""
    shop.settings["TOPVIEW_WAIT_SECONDS"] = "0"
    with process_of(shop, tmp_path / "short.log", EXECUTE, CATCH_UP) as process:
        assert process.wait(60) == 1
    sent = shop.accepted()

    context = dg.build_sensor_context(shop.instance)
    assert isinstance(pending_task_sensor(shop.topview())(context), dg.RunRequest)
    log = tmp_path / "sensor.log"
    with time_passing(shop, 2 * _A_VIDEO_LASTS):
        with process_of(shop, log, EXECUTE, RESUME_TASKS) as process:
            assert process.wait(60) == 0, log.read_text()
        assert shop.accepted() == sent
        with shop.ledger() as ledger:
            assert ledger.orphans.all() == []

        shop.settings["TOPVIEW_WAIT_SECONDS"] = "20"
        assert shop.catch_up().success
    assert_paid_once(shop)
