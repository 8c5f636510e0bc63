"""`kill -9` at every write to the ledger on days when nothing goes well; then calmer days.

The writes of a calm day are in test_kills.py; real processes are killed in tests/scenarios.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa

from tests.engine.gateway import Answer, Query, status
from tests.engine.world import DAY, HOUR, World, product
from topview_pipeline.catalogue import Product
from topview_pipeline.engine import Failed, Held
from topview_pipeline.ledger import TaskState
from topview_pipeline.ledger.schema import task_event

_STAGES = ("bgRemovedImage", "replacedImages")
_FIRST_WRITE = 2
"""The worker is registered."""
_MORE_THAN_A_RUN = 80
_ON_THEIR_WAY = (TaskState.RESERVED, TaskState.PENDING, TaskState.SUCCEEDED, TaskState.OVERDUE)


def _quiet(_world: World, _product: Product) -> None:
    """Nothing happened before."""


def _run(world: World, one: Product, **options: Any) -> None:
    world.run([one], stages=_STAGES, **options)


def _calm(world: World) -> None:
    """No more trouble."""
    world.gateway.calm()
    world.set_faults()
    world.control("PUT", "credits", credits=9000.0)


@dataclass(frozen=True)
class Story:
    """A bad day.

    Attributes:
        move: of a row, that is made in the life that is killed.
        before: lives that are not killed, and the trouble that is there when the next begins.
        options: of the killed life.
        photo: of all its products, whose cut-out is then made once; None: each has its own.
    """

    move: str | None
    before: Callable[[World, Product], None] = _quiet
    options: Mapping[str, Any] = field(default_factory=dict)
    photo: str | None = "photo of all"


def _faults(**often: float) -> Callable[[World, Product], None]:
    return lambda world, _one: world.set_faults(**often)


def _out_of_credits(world: World, _one: Product) -> None:
    world.control("PUT", "credits", credits=0.0)


def _running(query: Query) -> Answer:
    return status("running")(query) if "taskId" in query else None


def _never_done(world: World, _one: Product) -> None:
    world.gateway.on("/query", _running)


def _overdue(world: World, one: Product) -> None:
    _never_done(world, one)
    _run(world, one, wait_seconds=HOUR)
    world.later(HOUR)


def _overdue_and_finished(world: World, one: Product) -> None:
    _overdue(world, one)
    _calm(world)


def _overdue_and_failed(world: World, one: Product) -> None:
    world.set_faults(fail=1.0)
    _overdue_and_finished(world, one)


def _overdue_for_a_week(world: World, one: Product) -> None:
    _overdue(world, one)
    world.later(8 * DAY)


def _finished_and_thrown_away(world: World, one: Product) -> None:
    _run(world, one, wait_seconds=0.0)
    world.set_faults(nourl=1.0)
    world.later(60.0)
    _run(world, one, wait_seconds=1.0)
    world.later(8 * DAY)


def _made_and_deleted(world: World, one: Product) -> None:
    _run(world, one)
    for picture in world.folder.glob("store/**/*.png"):
        picture.unlink()


def _answer_lost(world: World, one: Product) -> None:
    world.run([one], stages=_STAGES[:1])
    _any_answer_lost(world, one)


def _any_answer_lost(world: World, one: Product) -> None:
    world.set_faults(drop_submit=1.0)
    _run(world, one)
    _calm(world)
    world.later(HOUR)


_SOON_OVERDUE = {"deadline_seconds": {"image_replace": 60.0}, "wait_seconds": HOUR}
"""Else most writes of that life are heartbeats."""
STORIES = {
    "the tasks fail": Story("pending → failed", _faults(fail=1.0)),
    "the submits are refused": Story("reserved → failed", _faults(moderation=1.0)),
    "topview is busy": Story("reserved → void", _faults(busy=0.6)),
    "the answers are lost": Story("reserved → unknown", _faults(drop_submit=1.0)),
    "the credits are used up": Story("reserved → void", _out_of_credits),
    "the tasks never end": Story("pending → overdue", _never_done, options=_SOON_OVERDUE),
    "an overdue task has ended": Story("overdue → succeeded", _overdue_and_finished),
    "an overdue task has failed": Story("overdue → failed", _overdue_and_failed),
    "an overdue task is a week old": Story("overdue → expired", _overdue_for_a_week),
    "topview threw it away": Story("succeeded → expired", _finished_and_thrown_away),
    "files were deleted": Story("stored → succeeded", _made_and_deleted),
    "a lost answer is found": Story(
        "unknown → pending", _answer_lost, options={"account_exclusive": True}
    ),
    "a free answer was lost": Story("unknown → void", _any_answer_lost, photo=None),
    "a person stops it": Story(None, options={"stop_after": 1.0}),
}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.replace(" ", "_"))
def test_no_kill_on_a_bad_day_pays_twice_or_loses_anything(story: str, world: World) -> None:
    bad_day = STORIES[story]
    world.run([product("first", image="photo of all")], stages=_STAGES[:1])
    for write in itertools.count(_FIRST_WRITE):
        assert write < _MORE_THAN_A_RUN
        # Before the one write, right after the commit of the next.
        if not _killed_and_gone_on_with(world, bad_day, write, after_commit=write % 2 == 0):
            break
    assert write > _FIRST_WRITE + 2
    assert bad_day.move is None or bad_day.move in _moves(world)


def _killed_and_gone_on_with(world: World, story: Story, write: int, *, after_commit: bool) -> bool:
    """A bad day's life and the calmer ones after it, of a new product; whether it was cut short."""
    name = f"p{write}"
    one = product(name, image=story.photo or name, image_edit_prompt=f"put {name} on the table")
    story.before(world, one)
    died = world.kill_at(write, [one], after_commit=after_commit, stages=_STAGES, **story.options)
    _calm(world)
    for seconds in (5 * HOUR, 8 * DAY):
        world.later(seconds)
        _run(world, one, account_exclusive=True)
    world.resume([one])
    events = world.run([one], stages=_STAGES)
    world.assert_nothing_paid_twice()
    assert world.rows(*_ON_THEIR_WAY) == []
    named = world.rows(TaskState.UNKNOWN, TaskState.EXPIRED)
    assert len(world.counters()["orphan_tasks"]) <= len(named)
    made = {key for key in _STAGES if world.ledger.tasks.last_made(name, key) is not None}
    said = {event.stage for event in events if isinstance(event, Failed | Held) and event.what}
    assert made | said == set(_STAGES)
    return died


def _moves(world: World) -> set[str]:
    """Every move that a row of this world made."""
    query = sa.select(task_event.c.detail["from"].as_string(), task_event.c.what)
    with world.ledger._database.read() as connection:
        return {f"{before} → {after}" for before, after in connection.execute(query)}
