"""Topview takes a call and does not answer: what may be let go keeps no run from its end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.producer.conftest import MakeWorld
from tests.producer.world import HOUR, World, fates, product
from topview_pipeline.ledger import TaskState
from topview_pipeline.producer.engine import _ANSWER_SECONDS

pytestmark = pytest.mark.slow

_PRODUCTS = [product(f"p{number}") for number in range(40)]
_SLOTS = 12


class Slow:
    """Passes calls on, those whose path ends in `ending` only after some seconds."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.ending = "nothing"
        self.seconds = HOUR

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].endswith(self.ending):
            await asyncio.sleep(self.seconds)
        await self._app(scope, receive, send)


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world(server=Slow, concurrency=_SLOTS)


@pytest.fixture
def slow(world: World) -> Slow:
    assert isinstance(world.server, Slow)
    return world.server


def _seconds_of_a_run(world: World, **options: Any) -> tuple[float, set[str]]:
    started = world.machine()
    told = fates(world.run(_PRODUCTS, **options))
    return world.machine() - started, set(told.values())


@pytest.mark.parametrize("wait", [0.0, 60.0, 300.0])
def test_queries_that_never_answer_keep_no_run_longer_than_its_wait_time(
    world: World, slow: Slow, wait: float
) -> None:
    slow.ending = "/query"
    seconds, told = _seconds_of_a_run(world, wait_seconds=wait)
    assert wait <= seconds < max(wait, _ANSWER_SECONDS) + 15.0
    assert told == {"parked"}
    assert [row.state for row in world.rows()] == [TaskState.PENDING] * _SLOTS
    slow.ending = "nothing"
    assert set(fates(world.run(_PRODUCTS)).values()) == {"made"}
    world.assert_nothing_paid_twice()
    world.assert_nothing_lost()


@pytest.mark.parametrize("ending", ["/query", "/detail"], ids=["queries", "the first probe"])
def test_a_stop_does_not_wait_for_answers_that_can_be_had_again(
    world: World, slow: Slow, ending: str
) -> None:
    slow.ending = ending
    seconds, told = _seconds_of_a_run(world, stop_after=20.0)
    assert seconds == pytest.approx(20.0, abs=0.5)
    assert told == set()
    assert world.rows(TaskState.RESERVED, TaskState.UNKNOWN) == []


def test_a_stop_waits_for_the_answer_to_a_submit(world: World, slow: Slow) -> None:
    slow.ending, slow.seconds = "/submit", 40.0
    seconds, _ = _seconds_of_a_run(world, stop_after=5.0)
    assert 40.0 <= seconds < 45.0
    assert [row.state for row in world.rows()] == [TaskState.PENDING] * _SLOTS


def test_a_run_whose_wait_time_is_over_waits_for_the_answer_to_a_submit(
    world: World, slow: Slow
) -> None:
    slow.ending, slow.seconds = "/submit", 40.0
    _seconds_of_a_run(world, wait_seconds=1.0)
    assert [row.state for row in world.rows()] == [TaskState.PENDING] * _SLOTS


def test_a_short_wait_still_hears_the_answers_to_its_first_questions(
    world: World, slow: Slow
) -> None:
    world.run(_PRODUCTS[:4], wait_seconds=0.0)
    world.later(HOUR / 4)
    slow.ending, slow.seconds = "/query", 5.0
    world.run(_PRODUCTS[:4], wait_seconds=0.0)
    stored = [row for row in world.rows(TaskState.STORED) if row.stage == "bgRemovedImage"]
    assert len(stored) == 4


def test_a_list_that_hangs_delays_the_scenes_and_stops_none(world: World, slow: Slow) -> None:
    slow.ending = "/voice/query"
    seconds, told = _seconds_of_a_run(world)
    assert told == {"made"}
    assert seconds < HOUR / 2
