"""A run in a process of its own that is terminated or killed while Topview works for it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from tests.defs.shop import Shop, made
from tests.scenarios.conftest import MakeShop
from tests.scenarios.dagster_processes import EXECUTE, process_of, until, videos
from topview_pipeline.defs.runs import withdraw_cancelled
from topview_pipeline.ledger import TaskState

pytestmark = pytest.mark.slow

SLOTS = 2
PRODUCTS = ("mug", "shoe", "bag")
MEDIANS = {"remove_background": 0.05, "image_replace": 0.05, "image2Video": 4.0}


@pytest.fixture
def shop(make_shop: MakeShop) -> Shop:
    """Videos take four seconds."""
    shop = make_shop(medians=MEDIANS, concurrency=SLOTS)
    shop.add(*PRODUCTS)
    shop.write()
    return shop


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
def worker(shop: Shop, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that catches up, at the moment when both slots make videos: no POST is under way
    then, because nothing can be reserved."""
    log = tmp_path / "worker.log"
    with process_of(EXECUTE, log) as process:
        until(lambda: videos(shop, TaskState.PENDING) == SLOTS, process, log)
        yield process


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


def test_a_signal_that_no_person_sent_leaves_the_orders_open(
    shop: Shop, worker: subprocess.Popen[bytes]
) -> None:
    """The machine shuts down: what was wanted is still wanted."""
    worker.send_signal(signal.SIGTERM)
    worker.wait(30)

    with shop.ledger() as ledger:
        assert {order.product_id for order in ledger.orders.open_orders()} == set(PRODUCTS)
        assert {order.owner for order in ledger.orders.open_orders()} == {None}
