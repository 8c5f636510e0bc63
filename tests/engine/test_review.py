"""The gate before the next stage: no credit for a video of a scene that failed or was rejected."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from tests.engine.conftest import MakeWorld
from tests.engine.test_upstream import QUAD, images_sent
from tests.engine.world import ALL_STAGES, MEDIANS, World, everything, fates, holds, product
from tests.length import LONG
from topview_pipeline.engine import Held, HoldReason
from topview_pipeline.engine.gate import refusal
from topview_pipeline.ledger import Review, ReviewDecision, Task, TaskState
from topview_pipeline.media import refused_images
from topview_pipeline.stages import BY_KEY, data_version

PLACED: Mapping[str, Any] = {"location": QUAD, "image_edit_prompt": None}
SCENE, VIDEO = "replacedImages", "finishedVideo"
HELD_AT_THE_VIDEO = {
    ("a", "bgRemovedImage"): "made",
    ("a", SCENE): "made",
    ("a", VIDEO): "held",
}


def _row(world: World, stage: str) -> Task:
    return [row for row in world.rows(TaskState.STORED) if row.stage == stage][-1]


def _decide(world: World, decision: ReviewDecision, stage: str = SCENE) -> None:
    key = "a", _row(world, stage).fingerprint
    world.ledger.reviews.decide({key: Review(None, decision)}, who="ann", why="seen")


def _hold(world: World, **options: Any) -> Held:
    (hold,) = holds(world.run([product("a")], **options))
    assert hold.reason is HoldReason.REVIEW
    assert "topview-pipeline " in hold.fix
    return hold


def test_the_image_that_failed_is_not_the_one_that_speaks(world: World) -> None:
    world.set_faults(no_product=1.0)
    assert fates(world.run([product("a", **PLACED)])) == everything("made", "a")
    assert images_sent(world) == [2]


def test_a_video_of_the_image_that_failed_is_not_bought_because_its_column_names_it(
    world: World,
) -> None:
    """The column was written before anybody saw the scene; a person who saw it chooses."""
    world.set_faults(no_product=1.0)
    one = product("a", **PLACED, chosen_image=1)
    (hold,) = holds(world.run([one]))
    assert "scene 1: It is one flat colour" in hold.what
    world.ledger.reviews.choose("a", _row(world, SCENE).fingerprint, 1, who="ann", why="art")
    assert fates(world.run([one])) == everything("made", "a")
    assert images_sent(world) == [1]


def test_a_persons_choice_is_heard_where_the_column_cannot_be_followed(world: World) -> None:
    """The video fails in every run else, and Dagster gets two scripts in each of them."""
    one = product("a", **PLACED, chosen_image=5)
    assert fates(world.run([one]))["a", VIDEO] == "failed"
    world.ledger.reviews.choose("a", _row(world, SCENE).fingerprint, 2, who="ann", why="art")
    world.observed.clear()
    for _ in range(2):
        assert fates(world.run([one])) == everything("made", "a")
    assert images_sent(world) == [2]
    (versions,) = [found for key, found in world.observed.items() if "productScript" in key]
    assert len(set(versions)) == 1


def test_a_verdict_on_what_was_reported_without_one_is_kept(world: World) -> None:
    """The plan and `review` would promise its video each night, and each run would measure it."""
    world.set_faults(no_product=1.0)
    made = world.run([product("a")], stages=ALL_STAGES[:2], checks=False)
    assert fates(made)["a", SCENE] == "made"
    assert _row(world, SCENE).quality is None
    (hold,) = holds(world.run([product("a")], stages=ALL_STAGES[2:]))
    assert "failed its check" in hold.what
    assert refusal(_row(world, SCENE).quality)


@pytest.mark.parametrize(
    ("changes", "videos"),
    [
        ({}, 0),
        ({"gate": "approve"}, 0),
        ({"gate": "off"}, 1),
        ({"checks": False}, 1),
    ],
)
def test_a_scene_that_failed_its_check_is_animated_only_where_nothing_is_checked(
    world: World, changes: dict[str, Any], videos: int
) -> None:
    world.set_faults(no_product=1.0)
    events = world.run([product("a")], **changes)
    assert world.paid() == (1, videos)
    if not videos:
        (hold,) = holds(events)
        assert "the scene failed its check: Every scene is one flat colour." in hold.what
        assert "topview-pipeline review --approve a" in hold.fix


def test_no_scene_is_bought_of_an_empty_cut_out_until_a_person_lets_it_pass(world: World) -> None:
    world.set_faults(empty_cutout=1.0)
    assert "the cut-out is empty" in _hold(world).what.lower()
    assert world.paid() == (0, 0)
    _decide(world, "approved", "bgRemovedImage")
    assert fates(world.run([product("a")])) == everything("made", "a")


@pytest.mark.parametrize(
    ("of_run", "of_row", "of_pipeline", "fate"),
    [
        (None, None, "approve", "held"),
        (None, "quality", "approve", "made"),
        (None, "approve", "off", "held"),
        ("off", "approve", "approve", "made"),
        ("approve", "off", "quality", "held"),
    ],
)
def test_the_runs_gate_goes_over_the_rows_and_that_over_the_pipelines(
    world: World, of_run: str | None, of_row: str | None, of_pipeline: str, fate: str
) -> None:
    events = world.run([product("a", gate=of_row)], gate=of_pipeline, run_gate=of_run)
    assert fates(events)["a", VIDEO] == fate


def test_an_approved_scene_goes_on_and_another_one_waits_again(world: World) -> None:
    approve = {"gate": "approve"}
    assert "waits for a person" in _hold(world, **approve).what
    assert _hold(world, **approve).stage == VIDEO
    _decide(world, "approved")
    assert fates(world.run([product("a")], **approve)) == everything("made", "a")
    other = product("a", image_edit_prompt="On a table.")
    assert fates(world.run([other], **approve)) == HELD_AT_THE_VIDEO
    assert world.paid() == (2, 1)


def test_what_is_made_is_reused_whatever_the_gate_and_a_person_say(world: World) -> None:
    assert fates(world.run([product("a")])) == everything("made", "a")
    _decide(world, "rejected")
    assert fates(world.run([product("a")], gate="approve")) == everything("made", "a")
    assert world.paid() == (1, 1)


@pytest.mark.parametrize("gate", ["off", "quality", "approve"])
def test_a_rejected_scene_is_held_and_one_asked_for_again_is_made_once(
    world: World, gate: str
) -> None:
    _hold(world, gate="approve")
    _decide(world, "rejected")
    assert "a person rejected the scene" in _hold(world, gate=gate).what
    _decide(world, "again")
    assert world.paid() == (1, 0), "nothing is spent by deciding"
    assert "asked for another" in _hold(world, gate=gate, stages=[VIDEO]).what
    for _ in range(2):
        events = world.run([product("a")], gate=gate)
        assert fates(events)["a", VIDEO] == ("held" if gate == "approve" else "made")
        assert [row.generation for row in world.rows() if row.stage == SCENE] == [0, 1]


@pytest.mark.parametrize(
    ("review", "videos", "image"),
    [(Review(None, "rejected"), 1, None), (Review(None, "again"), 1, None), (Review(2), 2, 2)],
)
def test_a_decision_counts_that_is_made_while_the_product_waits_for_a_slot(
    make_world: MakeWorld, review: Review, videos: int, image: int | None
) -> None:
    """With four slots a catalogue waits for hours, and a person goes on looking meanwhile."""
    world = make_world(concurrency=1)
    pair = [product(name, **PLACED, template_image=name) for name in "ab"]
    world.run(pair, stages=ALL_STAGES[:2])
    scenes = {row.product_id: row for row in world.rows() if row.stage == SCENE}

    async def both() -> tuple[str, list[Any]]:
        run = asyncio.ensure_future(world.run_async(pair, stages=[VIDEO]))
        await asyncio.sleep(10.0)
        (begun,) = (row.product_id for row in world.rows() if row.stage == VIDEO)
        (waits,) = {*"ab"} - {begun}
        key = waits, scenes[waits].fingerprint
        world.ledger.reviews.decide({key: review}, who="ann", why="seen")
        return waits, await run

    waits, events = world.clock.run(both())
    assert fates(events)[waits, VIDEO] == ("made" if image else "held")
    assert world.paid() == (2, videos)
    assert images_sent(world) == [1, image][:videos]


def test_another_scene_that_fails_is_tried_again_and_is_not_a_third_one(world: World) -> None:
    _hold(world, gate="approve")
    _decide(world, "again")
    world.set_faults(fail=1.0)
    world.run([product("a")], gate="approve")
    world.set_faults()
    world.run([product("a")], gate="approve")
    scenes = [row for row in world.rows() if row.stage == SCENE]
    assert {row.generation for row in scenes} == {0, 1}
    assert scenes[-1].state is TaskState.STORED
    assert world.paid() == (2, 0)


RUINED = {"empty_cutout": 0.15, "no_product": 0.35, "no_face": 0.2}


def _assert_no_video_of_a_refused_scene(world: World) -> int:
    """Returns how many scenes were refused, in whole or in part."""
    scenes = {data_version(row.fingerprint): row for row in world.rows() if row.stage == SCENE}
    for video in (row for row in world.rows() if row.stage == VIDEO):
        scene = scenes[video.inputs[SCENE]]
        ids = [image.image_id for image in BY_KEY[SCENE].images(scene.result)]
        number = ids.index((video.request or {})["replaceProductTaskImageId"]) + 1
        assert scene.quality is not None
        assert refusal(scene.quality, number) is None
    world.assert_nothing_paid_twice()
    return sum(refused_images(row.quality) != set() for row in scenes.values())


@pytest.mark.slow
@pytest.mark.parametrize("after_commit", [False, True], ids=["before", "after"])
def test_no_kill_between_measuring_and_deciding_buys_a_video_of_a_refused_scene(
    world: World, after_commit: bool
) -> None:
    world.set_faults(no_product=0.5)
    write, died = 0, True
    while died:
        write += 2
        pair = [product(f"{n}-{write}", template_image=f"template {n} {write}") for n in "ab"]
        died = world.kill_at(write, pair, after_commit=after_commit)
        events = world.run(pair)
        assert all(hold.reason in (HoldReason.REVIEW, HoldReason.UNKNOWN) for hold in holds(events))
        world.later(3600.0)
        assert write < 120
    assert _assert_no_video_of_a_refused_scene(world)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_of_many_products_with_kills_no_video_of_a_refused_scene_is_bought(
    make_world: MakeWorld,
) -> None:
    """Half of the scenes have two images, of which one may do, and half of the faceless are sent
    in a mode that needs a face."""
    count = 300 if LONG else 100
    world = make_world(medians=dict.fromkeys(MEDIANS, 1.0), concurrency=50, faults=RUINED)
    products = [
        product(
            f"p{number}",
            template_image=f"template {number}",
            mode=("avatar2", "avatar4")[number % 2],
            **(PLACED if number % 4 > 1 else {}),
        )
        for number in range(count)
    ]
    for part in (3, 6, 9, 12):
        assert world.kill_at(part * count // 3, products, after_commit=part == 6)
        world.later(3600.0)
    events = world.run(products)
    held = {hold.product_id for hold in holds(events) if hold.reason is HoldReason.REVIEW}
    videos = [row for row in world.rows(TaskState.STORED) if row.stage == VIDEO]
    assert len(held) > count / 6
    assert len(videos) > count / 3
    assert _assert_no_video_of_a_refused_scene(world) > count / 6
