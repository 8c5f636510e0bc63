"""A run in a process of its own that is terminated or killed while Topview works for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from tests.defs.shop import Shop, made
from topview_pipeline.defs.jobs import CATCH_UP
from topview_pipeline.defs.runs import withdraw_cancelled
from topview_pipeline.environment import VARIABLES
from topview_pipeline.ledger import Ledger, Task, TaskState
from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.sandbox.serve import running

ROOT = Path(__file__).parents[2]
SLOTS = 2
PRODUCTS = ("mug", "shoe", "bag")
MEDIANS = {"remove_background": 0.05, "image_replace": 0.05, "image2Video": 4.0}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A shop whose instance and sandbox another process can reach; videos take four seconds."""
    config = SandboxConfig(media="tiny", medians=MEDIANS, sigma=0.01, concurrency=SLOTS)
    home = tmp_path / "dagster"
    home.mkdir()
    with (
        running(config) as sandbox,
        dg.DagsterInstance.from_config(str(home)) as instance,
    ):
        shop = Shop(tmp_path, sandbox, instance)
        for variable in VARIABLES:
            monkeypatch.delenv(variable.name, raising=False)
        environment = {
            **shop.environment(),
            "DAGSTER_HOME": str(home),
            "TOPVIEW_MAX_CONCURRENT_TASKS": str(SLOTS),
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        shop.add(*PRODUCTS)
        shop.write()
        yield shop


EXECUTE = f"""
import sys
from dagster._cli import main
sys.argv = ["dagster", "job", "execute", "-m", "topview_pipeline.definitions", "-j", "{CATCH_UP}"]
main()
"""
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


@contextmanager
def process_of(code: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=dict(os.environ),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def worker(shop: Shop, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that catches up, at the moment when both slots make videos: no POST is under way
    then, because nothing can be reserved."""
    log = tmp_path / "worker.log"
    with process_of(EXECUTE, log) as process, shop.ledger() as ledger:
        until(lambda: len(videos(ledger, TaskState.PENDING)) == SLOTS, process, log)
        yield process


def until(
    is_so: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, seconds: float = 60
) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.02)


def videos(ledger: Ledger, state: TaskState) -> list[Task]:
    return [row for row in ledger.tasks.in_state((state,)) if row.stage == "finishedVideo"]


def only_run(shop: Shop) -> dg.DagsterRun:
    (run,) = shop.instance.get_runs()
    return run


def assert_all_made_and_paid_once(shop: Shop) -> None:
    assert shop.materialized("finishedVideo") == set(PRODUCTS)
    counters = shop.counters()
    assert counters["duplicates"] == counters["orphans"] == counters["repeats"] == 0
    assert set(counters["accepted"].values()) == {len(PRODUCTS)}


def assert_stopped_by_a_person(shop: Shop) -> None:
    """Nothing is wanted any more, nobody watches what is at Topview, and no POST was cut off."""
    assert only_run(shop).status is dg.DagsterRunStatus.CANCELED
    with shop.ledger() as ledger:
        # A signal that interrupts Dagster itself leaves this to whoever looks next.
        withdraw_cancelled(shop.instance, ledger)
        assert ledger.orders.open_orders() == []
        assert {row.owner for row in ledger.tasks.in_state((TaskState.PENDING,))} <= {None}
        assert ledger.tasks.in_state((TaskState.RESERVED, TaskState.UNKNOWN)) == []


def test_terminating_a_run_sends_nothing_new_and_the_next_run_brings_home_what_was_paid(
    shop: Shop, worker: subprocess.Popen[bytes]
) -> None:
    shop.instance.report_run_canceling(only_run(shop))  # as the launcher does before the signal
    worker.send_signal(signal.SIGTERM)
    worker.wait(30)

    assert_stopped_by_a_person(shop)
    assert shop.accepted()["image2Video"] == SLOTS

    assert shop.catch_up().success
    assert_all_made_and_paid_once(shop)


@pytest.mark.slow
def test_after_a_termination_the_sensors_run_brings_home_and_sends_nothing(
    shop: Shop, worker: subprocess.Popen[bytes]
) -> None:
    shop.instance.report_run_canceling(only_run(shop))
    worker.send_signal(signal.SIGTERM)
    worker.wait(30)
    paid = shop.accepted()

    result = shop.catch_up(explicit=False)

    assert result.success
    assert len([asset for asset, _ in made(result) if asset == "finishedVideo"]) == SLOTS
    assert shop.accepted() == paid
    assert shop.counters()["orphans"] == 0


@pytest.mark.slow
def test_a_termination_while_dagster_stores_an_event_is_as_clean(
    shop: Shop, tmp_path: Path
) -> None:
    """Dagster then raises outside our generator and closes it never: the producer must notice."""
    log = tmp_path / "worker.log"
    code = TERMINATED_WHILE_DAGSTER_STORES_AN_EVENT + EXECUTE
    with process_of(code, log) as process:
        process.wait(60)

    assert_stopped_by_a_person(shop)

    assert shop.catch_up().success
    assert_all_made_and_paid_once(shop)


def test_kill_9_leaves_the_orders_open_and_the_next_run_pays_nothing_twice(
    shop: Shop, worker: subprocess.Popen[bytes]
) -> None:
    worker.send_signal(signal.SIGKILL)
    worker.wait(30)

    assert only_run(shop).status is dg.DagsterRunStatus.STARTED
    with shop.ledger() as ledger:
        assert {order.product_id for order in ledger.orders.open_orders()} == set(PRODUCTS)

    result = shop.catch_up()

    assert result.success
    assert {product for _, product in made(result)} == set(PRODUCTS)
    assert_all_made_and_paid_once(shop)


@pytest.mark.slow
def test_a_signal_that_no_person_sent_leaves_the_orders_open(
    shop: Shop, worker: subprocess.Popen[bytes]
) -> None:
    """The machine shuts down: what was wanted is still wanted."""
    worker.send_signal(signal.SIGTERM)
    worker.wait(30)

    with shop.ledger() as ledger:
        assert {order.product_id for order in ledger.orders.open_orders()} == set(PRODUCTS)
        assert {order.owner for order in ledger.orders.open_orders()} == {None}
