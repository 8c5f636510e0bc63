"""Tasks whose run is gone come home by the next run, and are named when they end badly."""

from __future__ import annotations

import pytest

from tests.engine.conftest import MakeWorld
from tests.engine.gateway import status
from tests.engine.world import CUT_OUT, DAY, HOUR, World, everything, fates, product
from topview_pipeline.engine import Failed, Held, HoldReason, Made
from topview_pipeline.ledger import TaskState
from topview_pipeline.ledger.schema import task
from topview_pipeline.store import StoreError


def test_what_a_run_left_pending_is_brought_home_and_nothing_new_is_sent(world: World) -> None:
    world.run([product("a")], wait_seconds=0.0)
    (event,) = world.resume()
    assert isinstance(event, Made)
    assert (event.product_id, event.stage, event.wanted) == ("a", "bgRemovedImage", False)
    assert event.inputs == event.task.inputs
    assert [row.state for row in world.rows()] == [TaskState.STORED]
    assert world.resume() == []
    assert world.submits() == 1


def test_what_was_stored_and_not_reported_is_reported_for_nothing(world: World) -> None:
    """The process died between the store and Dagster's event log."""
    world.run([product("a")], report=False)
    assert fates(world.resume()) == everything("made", "a")
    assert world.resume() == []
    assert world.submits() == 3


def test_an_orphan_that_failed_is_named(world: World) -> None:
    world.run([product("a")], wait_seconds=0.0)
    world.gateway.on("/query", status("fail", errorMsg="no product seen"))
    (event,) = world.resume()
    assert isinstance(event, Failed)
    assert "no product seen" in event.what
    assert event.task is not None
    assert event.task.state is TaskState.FAILED
    assert world.resume() == []


def test_an_orphan_that_is_overdue_and_then_expires_is_named_each_time(world: World) -> None:
    world.run([product("a")], wait_seconds=0.0)
    world.gateway.on("/query", status("running"))
    world.later(HOUR)
    (event,) = world.resume()
    assert isinstance(event, Held)
    assert event.reason is HoldReason.OVERDUE
    assert "Topview is asked hourly" in event.fix
    world.later(8 * DAY)
    (event,) = world.resume()
    assert isinstance(event, Failed)
    assert "force" in event.fix
    assert [row.state for row in world.rows()] == [TaskState.EXPIRED]


@pytest.mark.parametrize("state", [TaskState.PENDING, TaskState.UNKNOWN])
def test_a_row_of_a_newer_releases_stage_stops_nobody(world: World, state: TaskState) -> None:
    """A release with a fourth stage was rolled back, or another host has it already."""
    world.run([product("a")], wait_seconds=0.0)
    with world.ledger._database.write() as connection:
        of_newer = {"stage": "upscaledVideo", "state": state, "worker": None}
        connection.execute(task.update().values(**of_newer))
    assert world.resume() == []
    assert fates(world.run([product("b")])) == everything("made", "b")
    (row,) = world.rows(state)
    assert row.stage == "upscaledVideo"


def test_an_orphan_that_cannot_be_stored_now_is_held_and_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run([product("a")], wait_seconds=0.0)

    def full(*_args: object, **_options: object) -> None:
        raise StoreError("the disk is full", "store", "Free space.")

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "keep", full)
        (event,) = world.resume()
    assert isinstance(event, Held)
    assert event.reason is HoldReason.DOWNLOAD
    assert fates(world.resume()) == {("a", "bgRemovedImage"): "made"}


def test_a_dead_runs_tasks_free_their_slots_for_a_run_over_other_products(world: World) -> None:
    world.run([product(name) for name in "abcd"], wait_seconds=0.0)
    assert len(world.rows(TaskState.PENDING)) == 4
    fate = fates(world.run([product("other")], **CUT_OUT))
    assert fate["other", "bgRemovedImage"] == "made"
    assert set(fate) - {("other", "bgRemovedImage")} <= {
        (name, "bgRemovedImage") for name in "abcd"
    }


def test_a_task_of_the_products_former_photo_gives_its_slot_back(make_world: MakeWorld) -> None:
    """It is of the same product and stage, yet nothing of this run comes to it by itself."""
    world = make_world(concurrency=1)
    world.run([product("a")], wait_seconds=0.0)
    events = world.run([product("a", image="a newer photo")], **CUT_OUT)
    made = [(event.wanted, event.task.id) for event in events if isinstance(event, Made)]
    assert sorted(made) == [(False, 1), (True, 2)]
    assert world.submits() == 2


def test_a_task_that_a_product_waits_for_is_reported_once(make_world: MakeWorld) -> None:
    world = make_world(concurrency=1)
    world.run([product("a")], wait_seconds=0.0)
    events = world.run([product("b"), product("a")], **CUT_OUT)
    assert sorted((event.product_id, type(event)) for event in events) == [("a", Made), ("b", Made)]
    assert all(event.wanted for event in events if isinstance(event, Made))
