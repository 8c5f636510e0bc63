"""Real Dagster runs that die, are stopped or are left; the sensor goes on with what they began.

Videos last for ever, until the test moves the sandbox's clock.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from tests.defs.shop import Shop
from tests.defs.test_sensors import Daemon, requested
from tests.scenarios.conftest import MakeShop
from tests.scenarios.dagster_processes import (
    EXECUTE,
    DagsterDev,
    dagster_dev,
    pass_time,
    process_of,
    run_requested,
    time_passing,
    until,
    videos,
)
from topview_pipeline.cli.instance import prepare_home
from topview_pipeline.ledger import TaskState

PRODUCTS = ("mug", "shoe", "bag")
SLOTS = 2
_A_VIDEO_LASTS = 600.0
_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
_MEDIANS = {"remove_background": 0.05, "image_replace": 0.05, "image2Video": _A_VIDEO_LASTS}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture
def shop(make_shop: MakeShop) -> Shop:
    shop = make_shop(medians=_MEDIANS, concurrency=SLOTS)
    shop.add(*PRODUCTS)
    shop.write()
    return shop


@pytest.fixture
def dev(shop: Shop, tmp_path: Path) -> Iterator[DagsterDev]:
    prepare_home()
    with dagster_dev(shop, tmp_path / "dagster-dev.log") as dev:
        dev.start()
        yield dev


def both_slots_make_videos(shop: Shop) -> bool:
    """No POST is under way then, because nothing can be reserved."""
    return videos(shop, TaskState.PENDING) == SLOTS


def all_are_made(shop: Shop) -> bool:
    return shop.materialized("finishedVideo") == set(PRODUCTS)


def assert_paid_once(shop: Shop) -> None:
    counters = shop.counters()
    assert counters["duplicates"] == counters["orphans"] == counters["repeats"] == 0
    assert set(counters["accepted"].values()) == {len(PRODUCTS)}
    with shop.ledger() as ledger:
        assert ledger.orders.open_orders() == []


def test_a_run_killed_by_kill_9_is_gone_on_with_by_the_run_that_the_sensor_asks_for(
    shop: Shop, tmp_path: Path
) -> None:
    log = tmp_path / "killed.log"
    with process_of(EXECUTE, log) as process:
        until(lambda: both_slots_make_videos(shop), process, log)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    (killed,) = shop.instance.get_runs()
    assert killed.status is dg.DagsterRunStatus.STARTED

    request = requested(Daemon(shop).tick())
    with time_passing(shop, 2 * _A_VIDEO_LASTS):
        assert run_requested(shop, request, tmp_path / "sensor.log") == 0

    ended = shop.instance.get_run_by_id(killed.run_id)
    assert ended is not None
    assert ended.status is dg.DagsterRunStatus.FAILURE
    assert shop.materialized("finishedVideo") == set(PRODUCTS)
    assert_paid_once(shop)


def test_what_a_run_parked_is_finished_by_the_run_that_the_sensor_asks_for(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TOPVIEW_WAIT_SECONDS=0 fills the free slots and ends; the sensor's run waits."""
    monkeypatch.setenv("TOPVIEW_WAIT_SECONDS", "0")
    with process_of(EXECUTE, tmp_path / "parked.log") as process:
        assert process.wait(60) == 1

    request = requested(Daemon(shop).tick())
    with time_passing(shop, 2 * _A_VIDEO_LASTS):
        assert run_requested(shop, request, tmp_path / "sensor.log") == 0

    assert shop.materialized("finishedVideo") == set(PRODUCTS)
    assert_paid_once(shop)


def test_terminate_in_the_ui_sends_nothing_new_and_the_daemon_brings_home_what_was_sent(
    shop: Shop, dev: DagsterDev
) -> None:
    run_id = dev.launch()
    dev.until(lambda: both_slots_make_videos(shop))
    dev.terminate(run_id)
    dev.until(lambda: dev.status(run_id).value == "CANCELED")
    paid = shop.accepted()
    assert paid["image2Video"] == SLOTS

    pass_time(shop, 10 * _A_VIDEO_LASTS)
    dev.until(lambda: len(shop.materialized("finishedVideo")) == SLOTS)

    with shop.ledger() as ledger:
        assert ledger.orders.open_orders() == []
        assert ledger.tasks.in_state((TaskState.RESERVED, TaskState.UNKNOWN)) == []
    assert shop.accepted() == paid
    assert shop.counters()["orphans"] == 0


def test_after_the_machine_was_cut_off_the_new_daemon_goes_on_by_itself(
    shop: Shop, dev: DagsterDev
) -> None:
    """Code server, daemon, web server and run die at once; DAGSTER_HOME and the ledger stay."""
    run_id = dev.launch()
    dev.until(lambda: both_slots_make_videos(shop))
    dev.kill()
    assert dev.status(run_id) is dg.DagsterRunStatus.STARTED

    dev.start()

    with time_passing(shop, 2 * _A_VIDEO_LASTS):
        dev.until(lambda: all_are_made(shop))
    assert dev.status(run_id) is dg.DagsterRunStatus.FAILURE
    dev.until(lambda: not shop.instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED)))
    assert_paid_once(shop)
