"""Waiting is free: a run may end early, be parked or be stopped, and another goes on."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.producer.conftest import MakeWorld
from tests.producer.gateway import Gateway, never_done
from tests.producer.world import World, everything, fates, product
from topview_pipeline.ledger import OrderState, TaskState
from topview_pipeline.producer import Parked


def test_no_wait_fills_the_slots_and_ends(world: World) -> None:
    products = [product(f"p{n}") for n in range(6)]
    started = world.machine()
    events = world.run(products, wait_seconds=0.0)
    assert world.machine() - started < 3.0
    assert [row.state for row in world.rows()] == [TaskState.PENDING] * 4
    assert set(fates(events).values()) == {"parked"}
    assert len(world.ledger.orders.open_orders()) == 18
    assert {order.owner for order in world.ledger.orders.open_orders()} == {None}


def test_the_next_runs_go_on_until_all_is_made(world: World) -> None:
    products = [product(f"p{n}") for n in range(6)]
    for _ in range(30):
        world.run(products, wait_seconds=0.0)
        world.later(60.0)
        if not world.ledger.orders.open_orders():
            break
    assert {row.state for row in world.rows()} == {TaskState.STORED}
    assert world.submits() == 18
    world.assert_nothing_paid_twice()


def test_tasks_seen_late_do_not_spoil_what_is_known_of_their_durations(world: World) -> None:
    for n in range(8):
        world.run([product(f"p{n}")], stages=["bgRemovedImage"], wait_seconds=0.0)
        world.later(7200.0)
    world.run([product(f"p{n}") for n in range(8)], stages=["bgRemovedImage"])
    assert world.ledger.history.seconds("bgRemovedImage") == []
    world.run([product(f"q{n}") for n in range(8)], stages=["bgRemovedImage"])
    assert max(world.ledger.history.seconds("bgRemovedImage")) < 60.0


def test_a_product_that_does_not_move_is_parked_and_the_others_are_made(
    make_world: MakeWorld,
) -> None:
    world = make_world(server=Gateway)
    assert isinstance(world.server, Gateway)
    world.run([product("stuck")], wait_seconds=0.0)
    (row,) = world.rows()

    def stuck(path: str, query: Mapping[str, str]) -> Any | None:
        return never_done(path, query) if query.get("taskId") == row.topview_task_id else None

    world.server.rules.append(stuck)
    events = world.run(
        [product("stuck"), product("a")],
        wait_seconds=120.0,
        deadline_seconds=dict.fromkeys(("remove_background", "image_replace", "image2video"), 1e6),
    )
    assert fates(events) == everything("made", "a") | everything("parked", "stuck")
    parked = {event.stage: event.detail for event in events if isinstance(event, Parked)}
    assert parked["bgRemovedImage"] == "nothing moved within the run's wait time"
    assert parked["finishedVideo"] == "waits for bgRemovedImage"


def test_who_waits_for_a_slot_says_so(make_world: MakeWorld) -> None:
    world = make_world(concurrency=1)
    events = world.run([product("a"), product("b")], wait_seconds=0.0)
    details = {e.product_id: e.detail for e in events if isinstance(e, Parked) and "bg" in e.stage}
    assert details == {
        "a": "nothing moved within the run's wait time",
        "b": "it waits for a free slot",
    }


def test_a_persons_stop_sends_nothing_new_and_keeps_what_runs(world: World) -> None:
    products = [product(f"p{n}") for n in range(8)]
    world.run(products, stop_after=4.0, run_id="stopped")
    submitted = world.submits()
    assert submitted < 8
    world.ledger.orders.withdraw_runs(["stopped"], who="terminated")
    assert world.ledger.orders.open_orders() == []
    assert {order.state for order in world.ledger.orders.of_run("stopped")} <= {
        OrderState.DONE,
        OrderState.WITHDRAWN,
    }
    assert world.rows(TaskState.RESERVED, TaskState.UNKNOWN) == []
    world.catch_up(products)
    assert {row.state for row in world.rows()} == {TaskState.STORED}
    assert world.submits() == submitted
    world.assert_nothing_lost()


def test_a_stop_at_any_moment_leaves_no_row_that_was_reserved_and_not_sent(
    make_world: MakeWorld,
) -> None:
    world = make_world(concurrency=2)
    for tenths in range(0, 60, 3):
        products = [product(f"p{tenths}-{n}") for n in range(4)]
        world.run(products, stages=["bgRemovedImage"], stop_after=tenths / 10)
        assert world.rows(TaskState.RESERVED, TaskState.UNKNOWN) == []
    world.assert_nothing_paid_twice()


def test_a_stop_uploads_no_more_than_what_was_under_way(world: World) -> None:
    products = [product(f"p{n}") for n in range(40)]
    world.run(products, stop_after=0.0, parallel_transfers=2)
    assert world.counters()["uploads"].get("puts", 0) <= 4


def test_a_consumer_that_goes_away_leaves_everything_for_the_next_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(_row_id: int) -> None:
        raise OSError("no space left for the event")

    with monkeypatch.context() as patch:
        patch.setattr(world.ledger.tasks, "materialized", no_room)
        with pytest.raises(OSError, match="no space left"):
            world.run([product("a"), product("b")])
    assert world.rows(TaskState.RESERVED, TaskState.UNKNOWN) == []
    assert fates(world.run([product("a"), product("b")])) == everything("made", "a", "b")
    world.assert_nothing_paid_twice()
    world.assert_nothing_lost()


def test_a_shorter_slot_limit_is_kept_by_a_run_among_others(make_world: MakeWorld) -> None:
    world = make_world(concurrency=4)
    config = replace(world.config, slots=2)
    world.run([product(name) for name in "abcd"], config=config)
    assert world.counters()["slots"]["peak"] == 2
