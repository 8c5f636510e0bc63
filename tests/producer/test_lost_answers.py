"""The answer to a POST is lost: it may be paid, so it is held and never sent again."""

from typing import Any

import pytest

from tests.producer.conftest import MakeWorld
from tests.producer.world import HOUR, World, everything, fates, product
from topview_pipeline.ledger import HeldReason, TaskState
from topview_pipeline.producer import Held


def _lose(world: World, stage: str) -> None:
    world.run([product("a")], stages=["bgRemovedImage"])
    if stage == "finishedVideo":
        world.run([product("a")], stages=["replacedImages"])
    world.set_faults(drop_submit=1.0)


def test_a_paid_task_whose_answer_was_lost_is_held_and_named(world: World) -> None:
    _lose(world, "replacedImages")
    events = world.run([product("a")])
    held = {event.stage: event for event in events if isinstance(event, Held)}
    assert held["replacedImages"].reason is HeldReason.UNKNOWN
    assert held["replacedImages"].until is None
    assert held["finishedVideo"].reason is HeldReason.UPSTREAM
    assert [row.stage for row in world.rows(TaskState.UNKNOWN)] == ["replacedImages"]


def test_no_later_run_sends_it_again(world: World) -> None:
    _lose(world, "finishedVideo")
    world.run([product("a")])
    world.set_faults()
    submitted = world.submits()
    for hours in (0, 1, 30, 24 * 8):
        world.later(hours * HOUR)
        told = fates(world.run([product("a")]))
        assert told["a", "finishedVideo"] == "held"
    assert world.submits() == submitted
    world.assert_nothing_paid_twice()


def test_force_over_it_is_refused_and_names_the_row(world: World) -> None:
    _lose(world, "replacedImages")
    world.run([product("a")])
    world.set_faults()
    submitted = world.submits()
    (row,) = world.rows(TaskState.UNKNOWN)
    assert world.run([product("a")], stages=["replacedImages"], force=True) == []
    assert f"task row {row.id} is unknown" in world.refused["a", "replacedImages"]
    assert world.submits() == submitted


def test_the_free_kind_is_released_after_its_deadline_and_made(world: World) -> None:
    world.set_faults(drop_submit=1.0)
    events = world.run([product("a")])
    (first, *_) = [event for event in events if isinstance(event, Held)]
    assert first.reason is HeldReason.UNKNOWN
    assert first.until is not None
    world.set_faults()
    assert world.catch_up([product("a")]) == []  # not due: nothing is started
    world.later(first.until - world.machine() + 1.0)
    assert fates(world.catch_up([product("a")])) == everything("made", "a")
    counters = world.counters()
    assert (counters["duplicates"], counters["repeats"]) == (0, 1)


def test_a_lost_answer_holds_its_slot_only_until_the_deadline(make_world: MakeWorld) -> None:
    world = make_world(concurrency=1)
    _lose(world, "replacedImages")
    world.run([product("a")])
    world.set_faults()
    started = world.machine()
    told = fates(world.run([product("b")], stages=["bgRemovedImage"], wait_seconds=3600.0))
    assert told == {("b", "bgRemovedImage"): "made"}
    assert world.machine() - started > 1100.0
    world.assert_nothing_paid_twice()


@pytest.mark.parametrize("body", [b"<html>gateway</html>", b'{"code":"200","result":{}}', b""])
def test_an_answer_without_a_task_id_is_a_lost_answer(make_world: MakeWorld, body: bytes) -> None:
    world = make_world(server=lambda app: Garbling(app, "image_replace/submit", body))
    told = fates(world.run([product("a")]))
    assert told["a", "replacedImages"] == "held"
    assert world.counters()["accepted"]["image_replace"] == 1
    assert len(world.rows(TaskState.UNKNOWN)) == 1
    submitted = world.submits()
    world.run([product("a")])
    assert world.submits() == submitted


class Garbling:
    """The sandbox behind a gateway that spoils the answers of one path."""

    def __init__(self, app: Any, path: str, body: bytes) -> None:
        self._app = app
        self._path = path
        self._body = body

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def spoiled(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [(b"content-type", b"application/json")]}
            elif message["type"] == "http.response.body":
                message = {**message, "body": self._body}
            await send(message)

        spoils = scope["path"].endswith(self._path)
        await self._app(scope, receive, spoiled if spoils else send)
