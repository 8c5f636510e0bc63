"""A fourth stage goes through engine, ledger, store and plan, and none of them names a stage."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import topview_pipeline
from tests.engine.conftest import MakeWorld
from tests.engine.gateway import status
from tests.engine.world import HOUR, World, fates, product
from tests.stages.toy import FOUR_STAGES
from topview_pipeline.engine import Failed, Made
from topview_pipeline.engine.check import verdict_of
from topview_pipeline.media import Outcome

THUMBNAIL = ("a", "thumbnail")
CLASSES = r"\b(CUT_OUT|SCENE|VIDEO)(_\w+)?\b|stages\.(cut_out|scene|video)\b"
KEYS = "bgRemovedImage|replacedImages|finishedVideo"


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world(stages=FOUR_STAGES)


def test_a_fourth_stage_is_made_after_the_third_and_reused(world: World) -> None:
    events = world.run([product("a")])
    assert fates(events) == {("a", stage.key): "made" for stage in FOUR_STAGES}
    (made,) = (e for e in events if isinstance(e, Made) and e.stage == "thumbnail")
    assert set(made.inputs) == {"productThumbnail", "finishedVideo"}
    result = FOUR_STAGES[-1].result("a", made.task, world.store)
    assert result.fingerprint == made.task.fingerprint
    verdict = verdict_of(FOUR_STAGES[-1], made.task, world.ledger, world.store)
    assert verdict.outcome is Outcome.UNMEASURED
    assert fates(world.run([product("a")])) == fates(events)
    assert world.submits() == 4


def test_a_fourth_stage_is_forced_alone_retried_and_brought_home(world: World) -> None:
    world.run([product("a")])
    world.run([product("a")], stages=["thumbnail"], force=True, wait_seconds=0.0)
    assert fates(world.resume()) == {THUMBNAIL: "made"}
    world.gateway.on("remove_background/query", status("fail", errorMsg="not now"), times=3)
    (failed,) = world.run([product("a")], stages=["thumbnail"], force=True)
    assert isinstance(failed, Failed)
    world.later(HOUR)
    assert fates(world.run([product("a")], stages=["thumbnail"])) == {THUMBNAIL: "made"}
    world.assert_nothing_paid_twice()


@pytest.mark.parametrize(
    ("room", "names"),
    [
        *((room, f"{CLASSES}|{KEYS}") for room in ("engine", "plan", "ledger", "store")),
        ("defs", CLASSES),  # its docstrings draw the assets
    ],
)
def test_the_room_names_no_stage(room: str, names: str) -> None:
    folder = Path(topview_pipeline.__file__).parent / room
    for path in folder.glob("*.py"):
        named = re.search(names, path.read_text(encoding="utf-8"))
        assert named is None, f"{path.name}: {named}"
