"""What a video was made from counts for it, whatever was made since."""

from __future__ import annotations

from dataclasses import replace

from tests.portfolio.shelf import (
    CUTOUT,
    OTHER_QUAD,
    REFUSED,
    SCENE,
    VIDEO,
    catalogue_of,
    export,
    look,
    marks,
    refuse,
    row_of,
    two_scenes,
)
from tests.producer.world import HOUR, World, product
from topview_pipeline.artifacts.addresses import at
from topview_pipeline.choosing import choose
from topview_pipeline.gallery import card_of
from topview_pipeline.ledger import TaskState
from topview_pipeline.portfolio import read_portfolio


def test_a_video_shows_its_own_older_scene_and_marks_none_of_the_newer_ones(world: World) -> None:
    one = two_scenes()
    world.run([one])
    before = look(world, one)
    moved = replace(one, location=OTHER_QUAD)
    world.run([moved], stages=[SCENE])
    found = look(world, moved)
    assert marks(found)["used"] == []
    assert found.scene == before.scene
    assert found.scenes[0].image != before.scene
    assert found.cutout == before.cutout


def test_a_newer_cutout_is_not_the_one_behind_the_video(world: World) -> None:
    one = product("mug")
    world.run([one])
    before = look(world, one)
    world.run([replace(one, image="another photo")], stages=[CUTOUT])
    found = look(world, one)
    assert found.cutout == before.cutout
    assert found.cutout != found.stages[CUTOUT].file("cutout.png")


def test_a_shared_task_is_shown_for_each_of_its_products(world: World) -> None:
    """The second product made nothing but its video: photo and scene are the first one's."""
    mug = two_scenes("mug", image="the photo")
    twin = two_scenes("twin", image="the photo", script="Other words.")
    world.run([mug])
    world.run([twin])
    first, second = read_portfolio(catalogue_of(mug, twin), world.ledger)
    assert second.scene == first.scene is not None
    assert second.cutout == first.cutout is not None
    assert marks(second)["used"] == [1]
    shared = sum(row_of(world, stage).cost_credits or 0.0 for stage in (CUTOUT, SCENE))
    assert second.credits == shared + (row_of(world, VIDEO, "twin").cost_credits or 0.0)

    choose(world.ledger, "twin", 2, who="ann", why="")
    first, second = read_portfolio(catalogue_of(mug, twin), world.ledger)
    assert (marks(first)["chosen"], marks(second)["chosen"]) == ([], [2])


def test_a_video_of_a_superseded_scene_still_shows_that_scene(world: World) -> None:
    """Both have one fingerprint: only the image's id says which of them the video shows."""
    mug = two_scenes("mug", image="the photo")
    world.run([mug])
    before = look(world, mug)
    twin = two_scenes("twin", image="the photo", script="Other words.")
    world.later(2 * HOUR)
    world.run([twin])
    states = {row.state for row in world.rows() if row.stage == SCENE}
    assert TaskState.SUPERSEDED in states

    first, second = read_portfolio(catalogue_of(mug, twin), world.ledger)

    assert first.scene == before.scene is not None
    assert second.scene is not None
    assert second.scene != first.scene
    assert marks(second)["used"] == [1]
    assert marks(first)["used"] == [], "the images that it has now are others"


def test_a_video_of_a_refused_scene_stays_out_though_a_newer_scene_is_good(world: World) -> None:
    one = two_scenes()
    world.run([one])
    refuse(world, row_of(world, SCENE))
    assert list(export(world, one).left_out) == ["mug"]
    moved = replace(one, location=OTHER_QUAD)
    world.run([moved], stages=[SCENE])

    found = export(world, moved)

    assert found.rows == ()
    assert REFUSED.why in found.left_out["mug"]
    card = card_of(look(world, moved), at("media"), None)
    assert card.outcome == "failed"
    assert any(REFUSED.why in note.what for note in card.notes)


def test_a_good_video_stays_listed_when_something_newer_and_unused_is_refused(
    world: World,
) -> None:
    one = product("mug")
    world.run([one])
    changed = replace(one, image="another photo")
    world.run([changed], stages=[CUTOUT])
    refuse(world, row_of(world, CUTOUT))
    found = export(world, changed)
    assert [row["product_id"] for row in found.rows] == ["mug"]
    assert look(world, changed).stages[CUTOUT].refused is not None


def test_a_scene_that_the_video_does_not_show_is_not_in_its_price(world: World) -> None:
    one = two_scenes()
    world.run([one])
    before = look(world, one)
    newer = product("mug")
    world.run([newer], stages=[SCENE])
    assert row_of(world, SCENE).cost_credits != before.behind[SCENE].cost_credits
    found = look(world, newer)
    assert (found.credits, found.seconds) == (before.credits, before.seconds)
