"""A task that nobody orders any more is named when it comes to nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.producer.conftest import MakeWorld
from tests.producer.gateway import Gateway, envelope, never_done
from tests.producer.world import DAY, HOUR, World, fates, product
from topview_pipeline.artifacts import ArtifactStore, StoreError
from topview_pipeline.ledger import HeldReason, Task, TaskState, Wanted
from topview_pipeline.producer import Failed

CUT_OUT = "bgRemovedImage"


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """One task at Topview; the run that ordered it was stopped by a person."""
    world = make_world(server=Gateway)
    world.run([product("a")], wait_seconds=0.0, run_id="stopped")
    world.ledger.orders.withdraw_runs(["stopped"], who="terminated")
    assert [row.state for row in world.rows()] == [TaskState.PENDING]
    return world


def _fails(path: str, query: Mapping[str, str]) -> Any | None:
    if not path.endswith("/query") or "taskId" not in query:
        return None
    return envelope({"taskId": query["taskId"], "status": "fail", "errorMsg": "no product seen"})


def _rule(world: World, rule: Any) -> None:
    assert isinstance(world.server, Gateway)
    world.server.rules[:] = [rule]


def _named(world: World) -> Failed:
    (event,) = world.catch_up([product("a")])
    assert isinstance(event, Failed)
    assert event.order_id is None
    assert event.task is not None
    return event


def test_a_stray_that_failed_is_named(world: World) -> None:
    _rule(world, _fails)
    event = _named(world)
    assert "no product seen" in event.what
    assert world.rows()[0].state is TaskState.FAILED
    assert world.catch_up([product("a")]) == []


def test_a_stray_that_stalls_and_then_expires_is_named_each_time(world: World) -> None:
    _rule(world, never_done)
    world.later(HOUR)
    assert _named(world).mend == "nothing: it is asked for hourly"
    assert world.rows()[0].state is TaskState.STALLED
    world.later(8 * DAY)
    assert "force" in _named(world).mend
    assert world.rows()[0].state is TaskState.EXPIRED


def test_what_an_order_still_goes_by_is_that_orders_to_tell(make_world: MakeWorld) -> None:
    """A run short of slots queries a dead run's task; it is none of its business that it fails."""
    world = make_world(server=Gateway, concurrency=1)
    world.run([product("a")], stages=["bgRemovedImage"], wait_seconds=0.0)
    (row,) = world.rows()

    def fails(path: str, query: Mapping[str, str]) -> Any | None:
        return _fails(path, query) if query.get("taskId") == row.topview_task_id else None

    _rule(world, fails)
    told = fates(world.run([product("b")], stages=["bgRemovedImage"]))
    assert told == {("b", "bgRemovedImage"): "made"}
    assert world.ledger.tasks.get(row.id).state is TaskState.FAILED
    assert fates(world.catch_up([product("a")])) == {("a", "bgRemovedImage"): "made"}


@pytest.fixture
def ordered_anew(make_world: MakeWorld) -> World:
    """A stopped run's task at Topview, whose product is ordered again and has not begun.

    There is one slot: whoever wants it asks for the task first.
    """
    world = make_world(server=Gateway, concurrency=1)
    world.run([product("a")], stages=[CUT_OUT], wait_seconds=0.0, run_id="stopped")
    world.ledger.orders.withdraw_runs(["stopped"], who="terminated")
    wanted = [Wanted("a", CUT_OUT, "ordered")]
    world.ledger.orders.place(wanted, run_id="new", root_run_id="new", owner="new")
    return world


def _only(row: Task, rule: Callable[[str, Mapping[str, str]], Any | None]) -> Any:
    def ruled(path: str, query: Mapping[str, str]) -> Any | None:
        return rule(path, query) if query.get("taskId") == row.topview_task_id else None

    return ruled


def test_a_product_that_is_ordered_but_has_not_begun_is_its_orders_to_tell(
    ordered_anew: World,
) -> None:
    """Of thousands it begins minutes later, makes what failed, and the run had failed already."""
    world = ordered_anew
    (row,) = world.rows()
    _rule(world, _only(row, _fails))
    told = fates(world.run([product("b")], stages=[CUT_OUT]))
    assert told == {("b", CUT_OUT): "made"}
    assert world.ledger.tasks.get(row.id).state is TaskState.FAILED
    assert fates(world.catch_up([product("a")])) == {("a", CUT_OUT): "made"}


def test_an_order_that_waits_for_something_else_does_not_silence_a_failure(
    ordered_anew: World,
) -> None:
    """Held until a person acts, it may never come to the task that failed."""
    world = ordered_anew
    (row,) = world.rows()
    (order,) = world.ledger.orders.open_orders()
    world.ledger.orders.hold(order.id, HeldReason.CHOICE, "choose a scene")
    _rule(world, _only(row, _fails))
    told = world.run([product("b")], stages=[CUT_OUT])
    assert "a" in {event.product_id for event in told if isinstance(event, Failed)}


def test_what_expired_is_named_though_its_product_is_ordered_again(ordered_anew: World) -> None:
    """It was paid for: should its inputs have changed, no order ever comes to it."""
    (row,) = ordered_anew.rows()
    want = ordered_anew.ledger.orders.want
    assert not want(replace(row, state=TaskState.EXPIRED))
    assert want(replace(row, state=TaskState.FAILED))
    (order,) = ordered_anew.ledger.orders.open_orders()
    ordered_anew.ledger.orders.works_by(order.id, row.id)
    assert want(replace(row, state=TaskState.EXPIRED))


def test_a_disk_that_is_full_for_a_moment_fails_no_product_that_has_yet_to_begin(
    ordered_anew: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own order downloads it: the run had marked the product failed that it then made."""
    world = ordered_anew
    keep = ArtifactStore.keep
    troubles = [StoreError("the disk is full", "store", "Free space.")]

    def full_once(store: ArtifactStore, *given: Any, **options: Any) -> Any:
        if troubles:
            raise troubles.pop()
        return keep(store, *given, **options)

    monkeypatch.setattr(ArtifactStore, "keep", full_once)
    told = fates(world.run([product("b")], stages=[CUT_OUT]))
    assert not troubles
    assert told == {("b", CUT_OUT): "made"}
    assert fates(world.catch_up([product("a")])) == {("a", CUT_OUT): "made"}
