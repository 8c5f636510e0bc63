"""A run in a process of its own that ends early: terminated, interrupted, or its wait is over.

Videos last for ever, until the test moves the sandbox's clock.
"""

from __future__ import annotations

import signal
from pathlib import Path

import dagster as dg
import pytest

from tests.defs.shop import Shop
from tests.scenarios.conftest import SLOTS, MakeShop
from tests.scenarios.dagster_processes import (
    EXECUTE,
    assert_paid_once,
    both_slots_make_videos,
    process_of,
    time_passing,
    until,
)
from topview_pipeline.defs.jobs import CATCH_UP, RESUME_TASKS
from topview_pipeline.defs.sensors import pending_task_sensor
from topview_pipeline.ledger import TaskState

pytestmark = pytest.mark.slow

PRODUCTS = ("mug", "shoe", "bag")
_A_VIDEO_LASTS = 600.0
_MEDIANS = {"remove_background": 0.05, "image_replace": 0.05, "image2Video": _A_VIDEO_LASTS}
_CLI = "from topview_pipeline.__main__ import main; main()"

TERMINATED_WHILE_DAGSTER_STORES_AN_EVENT = """
import os, signal
from dagster import DagsterInstance
handle = DagsterInstance.handle_new_event
def handle_and_be_terminated(instance, event, **options):
    handle(instance, event, **options)
    if event.is_dagster_event and event.dagster_event.is_step_materialization:
        DagsterInstance.handle_new_event = handle
        instance.report_run_canceling(instance.get_run_by_id(event.run_id))
        os.kill(os.getpid(), signal.SIGTERM)
DagsterInstance.handle_new_event = handle_and_be_terminated
"""


@pytest.fixture
def shop(make_shop: MakeShop) -> Shop:
    """One product more than slots: its video is not yet submitted when both slots are taken."""
    shop = make_shop(medians=_MEDIANS)
    shop.add(*PRODUCTS)
    shop.write()
    return shop


def only_run(shop: Shop) -> dg.DagsterRun:
    (record,) = shop.instance.get_run_records()
    return record.dagster_run


def assert_stopped_cleanly(shop: Shop) -> None:
    """Nobody works on what is at Topview, and no POST was cut off."""
    assert {row.worker for row in shop.rows_in(TaskState.PENDING)} <= {None}
    assert shop.rows_in(TaskState.RESERVED, TaskState.UNKNOWN) == []


def test_a_termination_while_dagster_stores_an_event_is_as_clean(
    shop: Shop, tmp_path: Path
) -> None:
    """Dagster then raises outside our generator and closes it never: the thread must notice."""
    code = TERMINATED_WHILE_DAGSTER_STORES_AN_EVENT + EXECUTE
    with process_of(shop, tmp_path / "worker.log", code, CATCH_UP) as process:
        process.wait(60)

    assert only_run(shop).status is dg.DagsterRunStatus.CANCELED
    assert_stopped_cleanly(shop)

    with time_passing(shop, 2 * _A_VIDEO_LASTS):
        assert shop.catch_up().success
    assert_paid_once(shop)


def test_ctrl_c_then_run_again(shop: Shop, tmp_path: Path) -> None:
    """The first run says what it left, and the second finishes it."""
    log = tmp_path / "interrupted.log"
    with process_of(shop, log, _CLI, "run") as process:
        until(lambda: both_slots_make_videos(shop), process, log)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130, log.read_text()
    said = " ".join(log.read_text().split())
    assert f"In progress at Topview: {SLOTS} tasks, about " in said
    assert "Never sent: 1 stage of 1 product" in said
    assert_stopped_cleanly(shop)
    # As a failure, Dagster's run retries would have started it again, to send what is left.
    assert only_run(shop).status is dg.DagsterRunStatus.CANCELED
    assert float(only_run(shop).tags["topview/credits"]) > 0, "what it spent is shown"

    with time_passing(shop, 2 * _A_VIDEO_LASTS):
        assert shop.catch_up().success
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
