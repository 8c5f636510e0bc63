"""A run in a process of its own that is terminated, interrupted or killed while Topview works."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from tests.defs.shop import Shop
from tests.scenarios.conftest import MakeShop
from tests.scenarios.dagster_processes import (
    EXECUTE,
    assert_paid_once,
    both_slots_make_videos,
    command,
    process_of,
    until,
)
from topview_pipeline.defs.jobs import CATCH_UP
from topview_pipeline.ledger import TaskState

pytestmark = pytest.mark.slow

PRODUCTS = ("mug", "shoe", "bag")
_MEDIANS = {"remove_background": 0.05, "image_replace": 0.05, "image2Video": 4.0}
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
    """Videos take four seconds."""
    shop = make_shop(medians=_MEDIANS)
    shop.add(*PRODUCTS)
    shop.write()
    return shop


@pytest.fixture
def worker(shop: Shop, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that catches up, at the moment when both slots make videos."""
    log = tmp_path / "worker.log"
    with process_of(shop, log, EXECUTE, CATCH_UP) as process:
        until(lambda: both_slots_make_videos(shop), process, log)
        yield process


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

    assert shop.catch_up().success
    assert_paid_once(shop)


def test_kill_9_and_the_next_run_pays_nothing_twice(
    shop: Shop, worker: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """It waits for the dead one's tasks until its heartbeat is too old."""
    worker.send_signal(signal.SIGKILL)
    worker.wait(30)
    assert only_run(shop).status is dg.DagsterRunStatus.STARTED

    log = tmp_path / "next.log"
    with process_of(shop, log, EXECUTE, CATCH_UP) as process:
        assert process.wait(60) == 0, log.read_text()

    assert_paid_once(shop)


def test_ctrl_c_then_run_again_and_again(shop: Shop, tmp_path: Path) -> None:
    """The first run says what it left, the second finishes it, and the third pays nothing."""
    log = tmp_path / "interrupted.log"
    with process_of(shop, log, _CLI, "run") as process:
        until(lambda: both_slots_make_videos(shop), process, log)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130, log.read_text()
    said = " ".join(log.read_text().split())
    left = len(shop.rows_in(TaskState.PENDING, TaskState.SUCCEEDED))
    assert left >= 2
    assert f"On the way at Topview: {left} tasks, about " in said
    assert "Never sent: 1 stage of 1 product" in said
    assert_stopped_cleanly(shop)
    # As a failure, Dagster's run retries would have started it again, to send what is left.
    assert only_run(shop).status is dg.DagsterRunStatus.CANCELED

    second = command(shop, "topview_pipeline", "run")
    assert second.returncode == 0, second.stdout + second.stderr
    assert_paid_once(shop)

    submitted = shop.control.counters()["submits"]
    third = command(shop, "topview_pipeline", "run")
    assert third.returncode == 0, third.stdout + third.stderr
    assert shop.control.counters()["submits"] == submitted
