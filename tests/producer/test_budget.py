"""Credit limits in whole runs: held, not failed, and gone on with when there is room."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.producer.world import DAY, World, fates, product
from topview_pipeline.ledger import HeldReason, OrderState
from topview_pipeline.prices import PriceList
from topview_pipeline.producer import Held, ProducerConfig

PRICES = PriceList.parse("image_replace=1, image2video/avatar2=0.4/s", "a list")
PRODUCTS = [product(f"p{number}") for number in range(4)]


def world_of(folder: Path, **config: Any) -> World:
    return World(folder, config=ProducerConfig(slots=4, prices=PRICES, **config))


def spent(world: World) -> float:
    charged: float = world.counters()["charged"]
    return charged


def test_a_day_never_costs_more_than_its_limit_and_the_rest_goes_on_the_days_after(
    tmp_path: Path,
) -> None:
    world = world_of(tmp_path, credits_a_day=3.0)
    days = [fates(world.run(PRODUCTS))]
    assert "held" in days[0].values()
    assert "failed" not in days[0].values()
    total = spent(world)
    assert 0 < total <= 3.0
    for _ in range(12):
        if not world.ledger.orders.open_orders():
            break
        assert fates(world.catch_up(PRODUCTS)) == {}  # the day has no room for any of them
        assert spent(world) == total
        world.later(DAY)
        world.catch_up(PRODUCTS)
        assert spent(world) - total <= 3.0
        total = spent(world)
    assert world.ledger.orders.open_orders() == []
    world.assert_nothing_paid_twice()
    world.assert_nothing_lost()
    world.close()


def test_a_raised_limit_is_taken_up_the_same_day(tmp_path: Path) -> None:
    world = world_of(tmp_path, credits_a_day=1.0)
    world.run(PRODUCTS[:2], stages=["bgRemovedImage", "replacedImages"])
    world.config = ProducerConfig(slots=4, prices=PRICES, credits_a_day=50.0)
    world.catch_up(PRODUCTS[:2])
    assert world.ledger.orders.open_orders() == []
    world.close()


def test_the_sensor_never_lifts_the_limit_of_a_run_and_another_run_does(tmp_path: Path) -> None:
    world = world_of(tmp_path)
    events = world.run(PRODUCTS, credit_limit=3.0)
    held = [event for event in events if isinstance(event, Held)]
    assert {event.reason for event in held} >= {HeldReason.RUN_LIMIT}
    first = spent(world)
    assert first <= 3.0
    for _ in range(3):
        world.later(DAY)
        world.catch_up(PRODUCTS)
    assert spent(world) == first
    world.run(PRODUCTS)
    assert world.ledger.orders.open_orders() == []
    world.assert_nothing_paid_twice()
    world.close()


def test_a_task_without_a_known_price_is_held_under_a_limit_and_sent_without_one(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, config=ProducerConfig(slots=4, credits_a_day=100.0))
    (one,) = [product("mug", mode="lite")]
    events = world.run([one], stages=["bgRemovedImage", "replacedImages"])
    (held,) = [event for event in events if isinstance(event, Held)]
    assert "name its price in TOPVIEW_PRICES" in held.detail
    world.config = ProducerConfig(slots=4)
    assert fates(world.run([one]))["mug", "finishedVideo"] == "made"
    world.close()


def test_failed_tasks_leave_their_room_to_others(tmp_path: Path) -> None:
    world = world_of(tmp_path, credits_a_day=1.0)
    world.set_faults(moderation=1.0)
    stages = ["bgRemovedImage", "replacedImages"]
    world.run(PRODUCTS[:1], stages=["bgRemovedImage"])
    world.set_faults()
    world.run(PRODUCTS[:2], stages=["bgRemovedImage"])
    world.set_faults(moderation=1.0)
    world.run(PRODUCTS[:1], stages=stages)
    world.set_faults()
    assert spent(world) == 0.0
    made = fates(world.run(PRODUCTS[1:2], stages=stages))
    assert made["p1", "replacedImages"] == "made"
    world.close()


def test_what_was_made_before_is_the_next_estimate(tmp_path: Path) -> None:
    world = world_of(tmp_path)
    world.run(PRODUCTS[:1])
    world.run(PRODUCTS[1:2])
    scenes = [row for row in world.rows() if row.stage == "replacedImages"]
    assert scenes[0].estimate == 1.0
    assert scenes[1].estimate == scenes[0].cost_credits
    world.close()


@pytest.mark.parametrize("runs", [2])
def test_two_runs_at_once_stay_under_the_days_limit_together(tmp_path: Path, runs: int) -> None:
    world = world_of(tmp_path, credits_a_day=3.0)
    halves = [PRODUCTS[:2], PRODUCTS[2:]]
    world.run_together(*((half, {}) for half in halves[:runs]))
    assert spent(world) <= 3.0
    assert world.ledger.budget.today().total <= 3.0
    closed = {order.state for order in world.ledger.orders.of_run("run-1")}
    assert closed <= {OrderState.DONE, OrderState.OPEN}
    world.close()
