"""Task ids that are not ours or not new, and tasks that never end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.producer.conftest import MakeWorld
from tests.producer.gateway import Gateway, envelope
from tests.producer.world import HOUR, product
from topview_pipeline.ledger import HeldReason, TaskState
from topview_pipeline.producer import Held


def test_the_second_of_two_equal_task_ids_is_unknown_and_names_it(make_world: MakeWorld) -> None:
    world = make_world(server=Gateway)
    gateway = world.server
    assert isinstance(gateway, Gateway)
    world.run([product("a")], stages=["bgRemovedImage"])
    (first,) = world.rows()

    def same_again(path: str, _query: Mapping[str, str]) -> Any | None:
        if not path.endswith("/submit"):
            return None
        return envelope({"taskId": first.topview_task_id, "status": "success"})

    gateway.rules.append(same_again)
    world.run([product("b")])
    (second,) = world.rows(TaskState.UNKNOWN)
    assert second.topview_task_id is None
    assert str(first.topview_task_id) in str(second.error_message)
    assert world.ledger.tasks.get(first.id).state is TaskState.STORED


@pytest.mark.parametrize("code", ["4004", "4001", "4006"])
def test_a_task_id_of_another_account_stalls_and_is_never_failed_or_sent_again(
    make_world: MakeWorld, code: str
) -> None:
    world = make_world(server=Gateway)
    gateway = world.server
    assert isinstance(gateway, Gateway)
    world.run([product("a")], stages=["bgRemovedImage"])

    def not_yours(path: str, _query: Mapping[str, str]) -> Any | None:
        return envelope(None, code=code) if path.endswith("image_replace/query") else None

    gateway.rules.append(not_yours)
    for _ in range(3):
        events = world.run([product("a")])
        held = next(one for one in events if one.stage == "replacedImages")
        assert isinstance(held, Held)
        assert held.reason is HeldReason.STALLED
        assert held.task is not None
        assert held.task.topview_task_id
        assert world.rows(TaskState.FAILED, TaskState.RELEASED) == []
        world.later(2 * HOUR)
    assert [row.stage for row in world.rows(TaskState.STALLED)] == ["replacedImages"]
    assert world.counters()["submits"]["image_replace"] == 1


@pytest.mark.parametrize(
    ("stage", "kind", "minutes"),
    [
        ("bgRemovedImage", "remove_background", 10),
        ("replacedImages", "image_replace", 20),
        ("finishedVideo", "image2Video", 60),
    ],
)
def test_a_task_that_never_ends_is_queried_less_and_less_and_then_hourly(
    make_world: MakeWorld, stage: str, kind: str, minutes: int
) -> None:
    world = make_world(server=Gateway)
    gateway = world.server
    assert isinstance(gateway, Gateway)

    def never(path: str, query: Mapping[str, str]) -> Any | None:
        if not path.endswith(f"{kind}/query"):
            return None
        return envelope({"taskId": query["taskId"], "status": "running"})

    gateway.rules.append(never)

    def queries() -> int:
        return sum(path.endswith(f"{kind}/query") for path in gateway.calls)

    events = world.run([product("a")], wait_seconds=2 * HOUR)
    held = next(one for one in events if one.stage == stage)
    assert isinstance(held, Held)
    assert held.reason is HeldReason.STALLED
    (row,) = world.rows(TaskState.STALLED)
    assert f"{minutes} minutes" in str(row.error_message)
    assert 60.0 * minutes <= world.machine() - float(row.pending_at or 0) < 60.0 * (minutes + 3)
    # Every 3 s at first, then after 5 % of its age, and at last once a minute.
    assert queries() <= 85 + minutes

    asked = queries()
    for _ in range(5):  # the sensor ticks, within the hour
        world.later(600.0)
        assert world.catch_up([product("a")]) == []
        assert [one.id for one in world.ledger.tasks.on_their_way()] == []
    assert queries() == asked
    world.later(700.0)
    world.catch_up([product("a")])
    assert queries() == asked + 1
    assert world.counters()["submits"][kind] == 1
