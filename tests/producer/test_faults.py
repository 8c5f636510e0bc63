"""Every fault of the world, alone and all at once: nothing twice, nothing lost, all named."""

import pytest

from tests.producer.conftest import MakeWorld
from tests.producer.world import World, everything, fates, product
from topview_pipeline.ledger import TaskState
from topview_pipeline.producer import Failed, Held

ALL_FAULTS = (
    "drop_submit",
    "busy",
    "http429",
    "err500",
    "slow_query",
    "fail",
    "moderation",
    "unknown_status",
    "nourl",
    "cut_download",
    "notfound_grace",
    "garbage",
)
DELAYS_ONLY = ("busy", "http429", "slow_query", "nourl", "cut_download", "notfound_grace")


def _assert_each_is_told(world: World, told: dict[tuple[str, str], str], *products: str) -> None:
    assert set(told) == set(everything("any", *products))
    open_orders = {(order.product_id, order.stage) for order in world.ledger.orders.open_orders()}
    assert open_orders == {key for key, fate in told.items() if fate in ("held", "parked")}


def test_ten_products_are_made_on_a_calm_day(world: World) -> None:
    products = [product(f"p{n}") for n in range(10)]
    assert fates(world.run(products)) == everything("made", *(f"p{n}" for n in range(10)))
    counters = world.counters()
    assert counters["submits"] == {"remove_background": 10, "image_replace": 10, "image2Video": 10}
    assert counters["slots"]["peak"] == 4
    world.assert_nothing_paid_twice()
    world.assert_nothing_lost()


@pytest.mark.parametrize("fault", DELAYS_ONLY)
def test_a_fault_that_only_delays_changes_nothing_in_the_end(
    make_world: MakeWorld, fault: str
) -> None:
    world = make_world(faults={fault: 0.5}, slow_seconds=3.0, grace_seconds=10.0)
    told = fates(world.run([product("a"), product("b")], wait_seconds=86400.0))
    assert world.counters()["faults"][fault] > 0
    assert told == everything("made", "a", "b")
    world.assert_nothing_paid_twice()
    world.assert_nothing_lost()


@pytest.mark.parametrize("fault", ALL_FAULTS)
def test_a_fault_that_strikes_often_costs_nothing_twice(make_world: MakeWorld, fault: str) -> None:
    world = make_world(faults={fault: 0.4}, seed=3)
    told = fates(world.run([product(name) for name in "abc"]))
    _assert_each_is_told(world, told, *"abc")
    world.assert_nothing_paid_twice()
    world.set_faults()
    world.run([product(name) for name in "abc"])
    world.assert_nothing_paid_twice()
    world.assert_nothing_lost()


@pytest.mark.parametrize("seed", range(4))
def test_all_faults_at_once_cost_nothing_twice_and_each_product_is_told(
    make_world: MakeWorld, seed: int
) -> None:
    world = make_world(faults=dict.fromkeys(ALL_FAULTS, 0.1), seed=seed)
    names = "abcde"
    products = [product(name) for name in names]
    _assert_each_is_told(world, fates(world.run(products)), *names)
    world.set_faults()
    world.later(3600.0)
    _assert_each_is_told(world, fates(world.run(products)), *names)
    world.assert_nothing_paid_twice()
    world.assert_nothing_lost()
    # What is still open is a lost answer, or waits for one.
    lost = {row.product_id for row in world.rows(TaskState.UNKNOWN)}
    assert {order.product_id for order in world.ledger.orders.open_orders()} <= lost


def test_each_products_reason_is_its_own(make_world: MakeWorld) -> None:
    world = make_world(faults={"moderation": 0.4}, seed=1)
    events = world.run([product(f"p{n}") for n in range(6)])
    failed = [event for event in events if isinstance(event, Failed)]
    refused = [event for event in failed if event.task is not None]
    assert 0 < len({event.product_id for event in refused}) < 6
    assert all("Security problem" in event.what for event in refused)
    assert all("of this product failed" in event.what for event in failed if event.task is None)


def test_a_server_that_hangs_up_at_every_submit_makes_one_unknown_row_each(
    make_world: MakeWorld,
) -> None:
    world = make_world(faults={"drop_submit": 1.0})
    events = world.run([product("a"), product("b")])
    first = [event for event in events if isinstance(event, Held) and event.task is not None]
    assert {event.product_id for event in first} == {"a", "b"}
    assert all("not sent again" in event.detail for event in first)
    assert world.submits() == 2
