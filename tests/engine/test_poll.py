"""Tasks at Topview: overdue, strange and failed ones, outages and clocks. Nothing is sent again."""

from __future__ import annotations

from statistics import median

import pytest

from tests.engine.conftest import MakeWorld
from tests.engine.gateway import Raw, envelope, status
from tests.engine.world import CUT_OUT, DAY, HOUR, World, everything, fates, holds, product
from topview_pipeline.engine import HoldReason
from topview_pipeline.ledger import TaskState


@pytest.mark.parametrize(
    ("stage", "kind", "minutes"),
    [
        ("bgRemovedImage", "remove_background", 10),
        ("replacedImages", "image_replace", 20),
        ("finishedVideo", "image2Video", 60),
    ],
)
def test_a_task_that_never_ends_is_queried_less_and_less_and_then_hourly(
    world: World, stage: str, kind: str, minutes: int
) -> None:
    world.gateway.on(f"{kind}/query", status("running"))
    (held,) = holds(world.run([product("a")], wait_seconds=2 * HOUR))
    assert (held.stage, held.reason) == (stage, HoldReason.OVERDUE)
    (row,) = world.rows(TaskState.OVERDUE)
    assert f"{minutes} minutes" in str(row.error_message)
    assert 60.0 * minutes <= world.machine() - float(row.pending_at or 0) < 60.0 * (minutes + 3)
    # Every 3 s at first, then after 5 % of its age, and at last once a minute.
    asked = world.gateway.count(f"{kind}/query")
    assert asked <= 85 + minutes
    for _ in range(3):
        world.later(900.0)
        assert world.resume() == []
        (held,) = holds(world.run([product("a")]))
        assert held.until is not None
    assert world.gateway.count(f"{kind}/query") == asked
    world.later(1000.0)
    world.resume()
    assert world.gateway.count(f"{kind}/query") == asked + 1
    world.gateway.calm()
    world.later(HOUR)
    assert fates(world.run([product("a")])) == everything("made", "a")
    assert world.submits() == 3


def test_an_overdue_paid_task_is_expired_after_seven_days(world: World) -> None:
    world.run([product("a")], **CUT_OUT)
    world.gateway.on("/query", status("running"))
    (held,) = holds(world.run([product("a")]))
    assert held.reason is HoldReason.OVERDUE
    world.later(8 * DAY)
    (held,) = holds(world.run([product("a")]))
    assert held.reason is HoldReason.EXPIRED
    command = "topview-pipeline run --force --product a --stage replacedImages"
    assert held.fix == f"{command}, which pays again"
    assert world.counters()["submits"]["image_replace"] == 1


def test_no_answer_after_seven_days_expires_nothing(world: World) -> None:
    """A machine that was off for eight days comes back offline, or with a wrong key."""
    world.run([product("a")], wait_seconds=0.0)
    world.control("PUT", "credentials", revoked=True)
    for pause in (8 * DAY, 2 * HOUR):
        world.later(pause)
        world.run([product("a")], wait_seconds=60.0)
        assert [row.state for row in world.rows()] == [TaskState.OVERDUE]


@pytest.mark.parametrize("code", ["4004", "4001", "4006"])
def test_a_task_that_topview_denies_is_overdue_and_never_sent_again(
    world: World, code: str
) -> None:
    world.run([product("a")], **CUT_OUT)
    world.gateway.on("image_replace/query", envelope(None, code=code))
    for _ in range(2):
        (held,) = holds(world.run([product("a")]))
        assert held.reason is HoldReason.OVERDUE
        assert held.task is not None
        assert held.task.topview_task_id
        world.later(2 * HOUR)
    assert world.rows(TaskState.FAILED, TaskState.VOID) == []
    assert world.counters()["submits"]["image_replace"] == 1


def test_an_answer_about_another_task_is_no_answer(world: World) -> None:
    mixed_up = envelope({"taskId": "f" * 32, "status": "fail", "errorMsg": "not ours"})
    world.gateway.on("remove_background/query", mixed_up)
    assert fates(world.run([product("a")])) == everything("held", "a")
    assert [row.state for row in world.rows()] == [TaskState.OVERDUE]


def test_a_task_that_failed_for_a_policy_is_not_tried_again(world: World) -> None:
    reason = "The image violates our content policy: https://x/y?token=secret"
    world.gateway.on("/query", status("fail", errorMsg=reason))
    assert fates(world.run([product("a")], **CUT_OUT)) == {("a", "bgRemovedImage"): "failed"}
    assert world.submits() == 1
    (row,) = world.rows()
    assert row.retryable is False
    assert "secret" not in str(row.error_message)


# What is learnt of durations.


@pytest.mark.slow
def test_an_outage_is_not_learnt_as_how_long_tasks_take(make_world: MakeWorld) -> None:
    down, slots = 400.0, 6
    world = make_world(concurrency=slots)
    world.gateway.on("/query", Raw(503, b"down"))
    world.clock.loop.call_later(down, world.gateway.calm)
    products = [product(f"p{number}") for number in range(3 * slots)]
    fate = fates(world.run(products, wait_seconds=2 * down, **CUT_OUT))
    assert set(fate.values()) == {"made"}
    took = [(row.succeeded_at or 0.0) - (row.pending_at or 0.0) for row in world.rows()]
    assert min(took[:slots]) > down - 50.0
    assert median(took[slots:]) < 10.0


# Clocks that jump, and machines that slept.


@pytest.mark.parametrize(
    ("seconds", "after"), [(-DAY, 1.0), (-DAY, 40.0), (-30.0, 5.0), (HOUR, 1.0), (HOUR, 40.0)]
)
def test_a_clock_that_is_set_in_a_run_costs_nothing(
    world: World, seconds: float, after: float
) -> None:
    world.clock.loop.call_later(after, setattr, world, "skew", seconds)
    started = world.clock.loop.time()
    fate = fates(world.run([product("a"), product("b")]))
    assert set(fate.values()) <= {"made", "held"}
    assert world.clock.loop.time() - started < 2 * HOUR
    for _ in range(3):
        if fate != everything("made", "a", "b"):
            world.later(HOUR)
            fate = fates(world.run([product("a"), product("b")]))
    assert fate == everything("made", "a", "b")
    world.assert_nothing_lost()
