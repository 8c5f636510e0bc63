"""`kill -9` at every write to the ledger, before it and right after its commit; then a restart."""

import pytest

from tests.producer.world import ALL_STAGES, World, everything, fates, product
from topview_pipeline.ledger import OrderState, TaskState

_MORE_THAN_A_RUN = 80


def _kill_and_restart(world: World, write: int, *, after_commit: bool) -> bool:
    """One life and the next, for a new product; whether the first was really cut short."""
    name = f"p{write}"
    products = [product(name, template_image=f"template of {name}")]
    died = world.kill_at(write, products, after_commit=after_commit)
    told = fates(world.run(products))
    unknown = [row.stage for row in world.rows(TaskState.UNKNOWN) if row.product_id == name]
    stored = [row for row in world.rows(TaskState.STORED) if row.product_id == name]
    still_open = [o for o in world.ledger.orders.open_orders() if o.product_id == name]
    if unknown:
        # Died between the reservation and the answer: only Topview can tell.
        (stage,) = unknown
        assert told[name, stage] == "held"
        assert len(stored) == ALL_STAGES.index(stage)
    else:
        assert told == everything("made", name)
        assert still_open == []
    world.later(3600.0)  # past the deadlines, so that an unknown row holds no slot
    return died


@pytest.mark.parametrize("after_commit", [False, True], ids=["before", "after"])
def test_no_kill_at_any_write_pays_twice_or_loses_anything(
    world: World, after_commit: bool
) -> None:
    write = 1
    while _kill_and_restart(world, write, after_commit=after_commit):
        write += 1
        assert write < _MORE_THAN_A_RUN
    assert write > 25
    # What was never sent is released in time; what was charged stays a person's question.
    assert world.rows(TaskState.RELEASED if after_commit else TaskState.UNKNOWN)
    world.assert_nothing_paid_twice()
    world.assert_nothing_lost()


def test_a_run_killed_again_and_again_still_comes_to_its_end(world: World) -> None:
    products = [product(name) for name in "abc"]
    for write in (9, 14, 19, 24, 29, 34):
        world.kill_at(write, products, after_commit=write % 2 == 0)
    world.later(3600.0)
    told = fates(world.run(products))
    unknown = {row.product_id for row in world.rows(TaskState.UNKNOWN)}
    assert {name for (name, _), fate in told.items() if fate != "made"} <= unknown
    world.assert_nothing_paid_twice()
    world.assert_nothing_lost()


def test_a_dead_runs_tasks_free_their_slots_for_a_run_over_other_products(world: World) -> None:
    world.run([product(name) for name in "abcd"], wait_seconds=0.0, keep=False)
    assert len(world.rows(TaskState.PENDING)) == 4
    told = fates(world.run([product("other")], stages=["bgRemovedImage"]))
    assert told["other", "bgRemovedImage"] == "made"
    assert {key for key in told if key[0] != "other"} <= {(n, "bgRemovedImage") for n in "abcd"}
    world.assert_nothing_paid_twice()


def test_a_dead_runs_reserved_rows_do_not_hold_slots_for_ever(world: World) -> None:
    def dies_before_its_post(name: str) -> None:
        for write in range(1, 30):
            # A product of its own each time: nothing is left over that makes the way shorter.
            one = product(f"{name}{write}")
            world.kill_at(write, [one], after_commit=True, stages=["bgRemovedImage"])
            if any(row.product_id == one.product_id for row in world.rows(TaskState.RESERVED)):
                return
        raise AssertionError("no kill left a reserved row")

    for name in "abcd":
        dies_before_its_post(name)
    assert world.ledger.tasks.slots_held() == 4
    told = fates(world.run([product("other")], stages=["bgRemovedImage"], wait_seconds=3600.0))
    assert told == {("other", "bgRemovedImage"): "made"}


def test_the_next_run_does_not_wait_for_a_dead_one(world: World) -> None:
    world.kill_at(20, [product("a")], after_commit=True)
    started = world.machine()
    world.run([product("a")])
    assert world.machine() - started < 300.0


def test_what_was_stored_and_not_yet_told_is_told_by_the_next_run_for_nothing(
    world: World,
) -> None:
    world.run([product("a")], keep=False)
    submitted = world.submits()
    assert {order.state for order in world.ledger.orders.open_orders()} == {OrderState.OPEN}
    assert fates(world.catch_up([product("a")])) == everything("made", "a")
    assert world.submits() == submitted
    assert world.ledger.orders.open_orders() == []


def test_a_withdrawn_orders_task_is_still_brought_home(world: World) -> None:
    world.run([product("a")], wait_seconds=0.0, run_id="stopped")
    world.ledger.orders.withdraw_runs(["stopped"], who="terminated")
    (event,) = world.catch_up([product("a")])
    assert fates([event]) == {("a", "bgRemovedImage"): "made"}
    assert [row.state for row in world.rows()] == [TaskState.STORED]
