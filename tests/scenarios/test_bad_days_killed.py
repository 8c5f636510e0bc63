"""`kill -9` at every write to the ledger on days when nothing goes well; then calmer days.

In virtual time. What a calm day writes is in tests/producer/test_kills.py, what the remaking of a
dead scene writes in tests/producer/test_dead_scenes.py, and real processes are killed in
test_windows_of_a_process.py.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.producer.conftest import _one_ssl_context
from tests.producer.gateway import Gateway, never_done
from tests.producer.world import DAY, HOUR, World, product
from topview_pipeline.catalogue import Product
from topview_pipeline.ledger import TaskState
from topview_pipeline.ledger.schema import task_event

__all__ = ["_one_ssl_context"]

_STAGES = ("bgRemovedImage", "replacedImages")
_FIRST_WRITE = 3
"""The run is known and its orders are placed."""
_MORE_THAN_A_RUN = 80
_ON_THEIR_WAY = (TaskState.RESERVED, TaskState.PENDING, TaskState.SUCCEEDED, TaskState.STALLED)


def _quiet(_town: Town, _product: Product) -> None:
    """Nothing happened before."""


class Town:
    """A world behind a gateway."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder, server=self._behind_a_gateway)

    def _behind_a_gateway(self, app: Any) -> Gateway:
        self.gateway = Gateway(app)
        return self.gateway

    def run(self, one: Product, **options: Any) -> None:
        self.world.run([one], stages=_STAGES, **options)

    def calm(self) -> None:
        """No more trouble."""
        self.gateway.rules.clear()
        self.world.set_faults()
        self.world.control("PUT", "credits", credits=9000.0)


@dataclass(frozen=True)
class Story:
    """A bad day.

    Attributes:
        moves: of a row, that are made in the life that is killed.
        before: lives that are not killed, and the trouble that is there when the next begins.
        options: of the killed life.
        photo: of all its products, whose cut-out is then made once; None: each has its own.
    """

    moves: tuple[str, ...]
    before: Callable[[Town, Product], None] = _quiet
    options: Mapping[str, Any] = field(default_factory=dict)
    photo: str | None = "photo of all"


def _faults(**often: float) -> Callable[[Town, Product], None]:
    return lambda town, _one: town.world.set_faults(**often)


def _out_of_credits(town: Town, _one: Product) -> None:
    town.world.control("PUT", "credits", credits=0.0)


def _never_done(town: Town, _one: Product) -> None:
    town.gateway.rules.append(never_done)


def _stalled(town: Town, one: Product) -> None:
    _never_done(town, one)
    town.run(one, wait_seconds=HOUR)
    town.world.later(HOUR)


def _stalled_and_finished(town: Town, one: Product) -> None:
    _stalled(town, one)
    town.calm()


def _stalled_and_failed(town: Town, one: Product) -> None:
    town.world.set_faults(fail=1.0)
    _stalled_and_finished(town, one)


def _stalled_for_a_week(town: Town, one: Product) -> None:
    _stalled(town, one)
    town.world.later(8 * DAY)


def _finished_and_thrown_away(town: Town, one: Product) -> None:
    town.run(one, wait_seconds=0.0)
    town.world.set_faults(nourl=1.0)
    town.world.later(60.0)
    town.run(one, wait_seconds=1.0)
    town.world.later(8 * DAY)


def _made_and_deleted(town: Town, one: Product) -> None:
    town.run(one)
    for picture in town.world.folder.glob("store/**/*.png"):
        picture.unlink()


def _answer_lost(town: Town, one: Product) -> None:
    town.world.run([one], stages=_STAGES[:1])
    town.world.set_faults(drop_submit=1.0)
    town.run(one)
    town.calm()
    town.world.later(HOUR)


def _free_answer_lost(town: Town, one: Product) -> None:
    town.world.set_faults(drop_submit=1.0)
    town.run(one)
    town.calm()
    town.world.later(HOUR)


STORIES = {
    "the tasks fail": Story(("pending → failed",), _faults(fail=1.0)),
    "the submits are refused": Story(("reserved → failed",), _faults(moderation=1.0)),
    "topview is busy": Story(("reserved → released",), _faults(busy=0.6)),
    "the answers are lost": Story(("reserved → unknown",), _faults(drop_submit=1.0)),
    "the credits are used up": Story(("reserved → released",), _out_of_credits),
    "the tasks never end": Story(
        ("pending → stalled",), _never_done, options={"wait_seconds": HOUR}
    ),
    "a stalled task has ended": Story(("stalled → succeeded",), _stalled_and_finished),
    "a stalled task has failed": Story(("stalled → failed",), _stalled_and_failed),
    "a stalled task is a week old": Story(("stalled → expired",), _stalled_for_a_week),
    "topview threw it away": Story(("succeeded → expired",), _finished_and_thrown_away),
    "files were deleted": Story(("stored → succeeded",), _made_and_deleted),
    "a lost answer is found": Story(
        ("unknown → pending",), _answer_lost, options={"account_exclusive": True}
    ),
    "a free answer was lost": Story(("unknown → released",), _free_answer_lost, photo=None),
    "a person stops it": Story((), options={"stop_after": 1.0}),
}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.replace(" ", "_"))
def test_no_kill_on_a_bad_day_pays_twice_or_loses_anything(
    story: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = STORIES[story]
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)  # no power cut is meant here
    town = Town(tmp_path)
    town.world.run([product("first", image="photo of all")], stages=_STAGES[:1])
    try:
        for write in itertools.count(_FIRST_WRITE):
            assert write < _MORE_THAN_A_RUN
            # Before the one write, right after the commit of the next.
            if not _killed_and_gone_on_with(town, told, write, after_commit=write % 2 == 0):
                break
        assert set(told.moves) <= _moves(town.world)
    finally:
        town.world.close()


def _killed_and_gone_on_with(town: Town, told: Story, write: int, *, after_commit: bool) -> bool:
    """A bad day's life and the calmer ones after it, of a new product; whether it was cut short."""
    world = town.world
    name = f"p{write}"
    one = product(name, image=told.photo or name, image_edit_prompt=f"put {name} on the table")
    told.before(town, one)
    died = world.kill_at(write, [one], after_commit=after_commit, stages=_STAGES, **told.options)
    town.calm()
    for seconds in (5 * HOUR, 8 * DAY):
        world.later(seconds)
        town.run(one, account_exclusive=True)
    world.catch_up([one])
    world.assert_nothing_paid_twice()
    assert world.rows(*_ON_THEIR_WAY) == []
    named = world.rows(TaskState.UNKNOWN, TaskState.EXPIRED)
    assert len(world.counters()["orphan_tasks"]) <= len(named)
    mine = [row for row in world.rows() if row.product_id == one.product_id]
    last_stored = world.ledger.tasks.last_stored
    made = {stage for stage in _STAGES if last_stored(one.product_id, stage) is not None}
    waiting = [o for o in world.ledger.orders.open_orders() if o.product_id == one.product_id]
    assert all(order.held_reason is not None and order.held_detail for order in waiting)
    assert made == set(_STAGES) or waiting or mine[-1].error_message
    return died


def _moves(world: World) -> set[str]:
    """Every move that a row of this world made."""
    query = sa.select(task_event.c.detail["from"].as_string(), task_event.c.what)
    with world.ledger._database.read() as connection:
        return {f"{before} → {after}" for before, after in connection.execute(query)}
