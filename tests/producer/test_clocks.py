"""Clocks that jump, and machines that slept."""

import pytest

from tests.producer.conftest import MakeWorld
from tests.producer.world import DAY, HOUR, World, everything, fates, product
from topview_pipeline.ledger import HeldReason, TaskState


def _jump(world: World, seconds: float) -> None:
    world.skew += seconds


@pytest.mark.parametrize("seconds", [-DAY, -HOUR, -30.0, 30.0, HOUR, DAY])
@pytest.mark.parametrize("after", [1.0, 5.0, 40.0])
def test_a_clock_that_is_set_while_a_run_works_costs_nothing(
    make_world: MakeWorld, seconds: float, after: float
) -> None:
    world = make_world()
    world.clock.loop.call_later(after, _jump, world, seconds)
    started = world.clock.loop.time()
    told = fates(world.run([product("a"), product("b")]))
    assert set(told.values()) <= {"made", "held"}
    assert world.clock.loop.time() - started < 2 * HOUR
    for _ in range(3):
        world.later(HOUR)
        told = fates(world.run([product("a"), product("b")]))
    assert told == everything("made", "a", "b")
    world.assert_nothing_paid_twice()
    world.assert_nothing_lost()


def test_a_clock_set_back_does_not_keep_a_refused_slot_closed(make_world: MakeWorld) -> None:
    world = make_world(concurrency=4)
    world.control("PUT", "slots", concurrency=1)
    world.clock.loop.call_later(10.0, _jump, world, -DAY)
    world.clock.loop.call_later(11.0, world.app.state.world.desk.__setattr__, "concurrency", 4)
    started = world.clock.loop.time()
    assert fates(world.run([product(name) for name in "abcd"])) == everything("made", *"abcd")
    assert world.clock.loop.time() - started < HOUR


def test_a_clock_set_back_does_not_keep_a_retry_waiting(make_world: MakeWorld) -> None:
    """It failed a year ahead of now, and its next attempt is due a year ahead of now, too."""
    world = make_world()
    world.set_faults(fail=1.0)
    world.skew = 365 * DAY
    world.run([product("a")], stages=["bgRemovedImage"], retry_seconds=HOUR)
    (order,) = world.ledger.orders.open_orders()
    assert order.held_reason is HeldReason.RETRY
    world.set_faults()
    assert world.catch_up([product("a")]) == []
    world.skew = 0.0
    assert fates(world.catch_up([product("a")])) == {("a", "bgRemovedImage"): "made"}


def test_a_laptop_that_slept_over_a_running_task_finds_it_done(world: World) -> None:
    world.run([product("a")], wait_seconds=0.0)
    world.later(2 * DAY)
    assert fates(world.run([product("a")])) == everything("made", "a")
    assert world.submits() == 3


def test_somebody_elses_tasks_in_our_slots_make_us_shrink_and_grow_again(
    make_world: MakeWorld,
) -> None:
    world = make_world(concurrency=4)
    world.control("PUT", "slots", concurrency=2)
    world.clock.loop.call_later(200.0, world.app.state.world.desk.__setattr__, "concurrency", 4)
    assert fates(world.run([product(n) for n in "abcdef"])) == everything("made", *"abcdef")
    counters = world.counters()
    assert counters["slots"]["peak"] == 4
    assert 0 < counters["refused"]["4007"] < 12
    assert world.rows(TaskState.FAILED, TaskState.UNKNOWN) == []
