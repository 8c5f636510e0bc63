"""What a product is said to have come to: read from a real ledger, after real runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.portfolio.shelf import (
    CUTOUT,
    OTHER_QUAD,
    SCENE,
    VIDEO,
    export,
    look,
    marks,
    row_of,
    two_scenes,
)
from tests.producer.world import HOUR, World, product
from topview_pipeline.artifacts.addresses import at
from topview_pipeline.choosing import choose
from topview_pipeline.gallery import card_of


def test_what_was_never_ordered_is_new_and_has_nothing(world: World) -> None:
    found = look(world, product("mug"))
    assert found.outcome == "new"
    assert (found.scenes, found.scene, found.cutout) == ((), None, None)
    assert (found.credits, found.seconds) == (None, None)


def test_a_finished_product_shows_what_its_video_was_made_from_and_what_it_cost(
    world: World,
) -> None:
    one = two_scenes()
    world.run([one])
    found = look(world, one)
    assert found.outcome == "done"
    assert marks(found) == {"chosen": [], "used": [1]}
    assert found.scene == found.scenes[0].image
    assert found.cutout == found.stages[CUTOUT].file("cutout.png")
    rows = [row_of(world, stage) for stage in (CUTOUT, SCENE, VIDEO)]
    assert found.credits == sum(row.cost_credits or 0.0 for row in rows)
    spans = [(row.succeeded_at or 0.0) - (row.pending_at or 0.0) for row in rows]
    assert found.seconds == pytest.approx(sum(spans))
    assert min(spans) > 0


def test_a_choice_is_marked_and_the_video_waits_for_it_until_it_is_made(world: World) -> None:
    one = two_scenes()
    world.run([one])
    choose(world.ledger, "mug", 2, who="ann", why="")
    waiting = look(world, one)
    assert marks(waiting) == {"chosen": [2], "used": [1]}
    assert card_of(waiting, at("media"), None).waits_for == 2

    world.run([one])
    made = look(world, one)
    assert marks(made) == {"chosen": [2], "used": [2]}
    assert made.scene == made.scenes[1].image
    assert card_of(made, at("media"), None).waits_for is None


def test_a_choice_belongs_to_the_scene_it_was_made_of(world: World) -> None:
    one = two_scenes()
    world.run([one])
    choose(world.ledger, "mug", 2, who="ann", why="")
    moved = replace(one, location=OTHER_QUAD)
    world.run([moved], stages=[SCENE])
    assert marks(look(world, moved))["chosen"] == []


def test_a_withdrawn_order_leaves_what_there_was(world: World) -> None:
    one = product("mug")
    world.run([one])
    changed = replace(one, script="Other words.")
    world.run([changed], stages=[VIDEO], wait_seconds=0.0, run_id="stopped")
    assert look(world, changed).outcome == "pending"
    assert [row["status"] for row in export(world, changed).rows] == ["outdated"]

    world.ledger.orders.withdraw_runs(["stopped"], who="ann")

    found = look(world, changed)
    assert found.outcome == "done"
    assert found.video.what is None
    assert [row["status"] for row in export(world, changed).rows] == ["ready"]


def test_a_withdrawn_order_of_something_never_made_is_new(world: World) -> None:
    one = product("mug")
    world.run([one], wait_seconds=0.0, run_id="stopped")
    world.ledger.orders.withdraw_runs(["stopped"], who="ann")
    assert look(world, one).stages[VIDEO].outcome == "new"


def test_how_long_a_task_ran_is_not_told_when_nobody_watched_it_end(world: World) -> None:
    """Submitted by a run that did not wait, and brought home half an hour later."""
    one = product("mug")
    world.run([one], stages=[CUTOUT], wait_seconds=0.0)
    world.later(HOUR / 2)
    world.run([one])
    found = look(world, one)
    assert found.outcome == "done"
    assert found.seconds is None
