"""What a plan says for every situation a product can be in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.planning.world import MUG, World, shape, told
from topview_pipeline.catalogue import Product
from topview_pipeline.inputs import InputError
from topview_pipeline.ledger import TaskState
from topview_pipeline.stages import (
    BG_REMOVED_IMAGE,
    FINISHED_VIDEO,
    REPLACED_IMAGES,
    STAGES,
    Stage,
)
from topview_pipeline.stages.shapes import Shape


def test_a_new_product_needs_everything_and_prices_are_known_before_its_scenes_are(
    world: World,
) -> None:
    assert told(world.plan()) == [
        ("bgRemovedImage", "new", 0.0),
        ("replacedImages", "bgRemovedImage is made anew", 1.0),
        ("finishedVideo", "replacedImages is made anew", 4.0),
    ]


def test_a_price_that_the_ledger_never_saw_is_unknown_and_not_zero(world: World) -> None:
    video = world.plan(replace(MUG, mode="pro"))[-1]
    assert video.credits is None


def test_what_is_up_to_date_is_not_planned(world: World) -> None:
    world.done(*STAGES)
    assert world.plan() == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"image": "new photo"},
            [
                ("bgRemovedImage", "photo changed", 0.0),
                ("replacedImages", "bgRemovedImage is made anew", 1.0),
                ("finishedVideo", "replacedImages is made anew", 4.0),
            ],
        ),
        (
            {"image_edit_prompt": "on the table"},
            [
                ("replacedImages", "scene changed", 1.0),
                ("finishedVideo", "replacedImages is made anew", 4.0),
            ],
        ),
        (
            {"script": "Buy it."},
            [("finishedVideo", "script changed", 4.0)],
        ),
    ],
)
def test_a_change_plans_what_it_shapes_and_all_after_it(
    world: World, changes: dict[str, Any], expected: list[tuple[str, str, float]]
) -> None:
    world.done(*STAGES)
    assert told(world.plan(replace(MUG, **changes))) == expected


@pytest.mark.parametrize(
    ("state", "reason", "credits_needed"),
    [
        (TaskState.RESERVED, "being submitted", 0.0),
        (TaskState.PENDING, "pending at Topview", 0.0),
        (TaskState.SUCCEEDED, "finished at Topview, not yet in the store", 0.0),
        (TaskState.FAILED, "failed before", 4.0),
        (TaskState.UNKNOWN, "unknown: the submit's answer was lost", 0.0),
        (TaskState.STALLED, "stalled at Topview", 0.0),
        (TaskState.EXPIRED, "expired: only force makes it anew", 0.0),
        (TaskState.RELEASED, "new", 4.0),
    ],
)
def test_only_what_can_be_submitted_again_costs(
    world: World, state: TaskState, reason: str, credits_needed: float
) -> None:
    world.done(BG_REMOVED_IMAGE, REPLACED_IMAGES)
    world.row(FINISHED_VIDEO, state)
    assert told(world.plan()) == [("finishedVideo", reason, credits_needed)]


def test_a_scene_that_topview_forgot_is_made_anew_whatever_happened_to_it_before(
    world: World,
) -> None:
    world.done(BG_REMOVED_IMAGE)
    world.row(REPLACED_IMAGES, TaskState.FAILED)
    world.row(REPLACED_IMAGES, TaskState.SUPERSEDED)
    assert told(world.plan()) == [
        ("replacedImages", "Topview forgot its images", 1.0),
        ("finishedVideo", "replacedImages is made anew", 4.0),
    ]


@pytest.mark.parametrize("force", [False, True])
def test_a_video_alone_cannot_be_made_from_a_scene_that_topview_forgot(
    world: World, force: bool
) -> None:
    world.done(BG_REMOVED_IMAGE)
    world.stored["mug", "replacedImages"] = world.row(REPLACED_IMAGES, TaskState.SUPERSEDED)
    assert told(world.plan(stages=[FINISHED_VIDEO], force=force)) == [
        ("finishedVideo", "Topview forgot the images of replacedImages: make it too", 0.0)
    ]


def test_a_video_that_is_there_needs_no_scene_that_topview_still_knows(world: World) -> None:
    world.done(*STAGES)
    scene = world.stored["mug", "replacedImages"]
    world.stored["mug", "replacedImages"] = replace(scene, state=TaskState.SUPERSEDED)
    assert world.plan(stages=[FINISHED_VIDEO]) == []


def test_a_cut_out_out_of_reach_is_made_anew_as_it_costs_nothing(world: World) -> None:
    world.row(BG_REMOVED_IMAGE, TaskState.EXPIRED)
    first, *_ = told(world.plan())
    assert first == ("bgRemovedImage", "expired", 0.0)


def test_what_was_refused_is_free_and_blocks_what_comes_after(world: World) -> None:
    world.done(BG_REMOVED_IMAGE)
    world.row(REPLACED_IMAGES, TaskState.FAILED, retryable=False)
    assert told(world.plan()) == [
        ("replacedImages", "refused before: only sent again with force or changed inputs", 0.0),
        ("finishedVideo", "replacedImages cannot be made", 0.0),
    ]


def test_what_is_on_its_way_is_free_and_what_comes_after_is_not(world: World) -> None:
    world.done(BG_REMOVED_IMAGE)
    world.row(REPLACED_IMAGES, TaskState.PENDING)
    assert told(world.plan()) == [
        ("replacedImages", "pending at Topview", 0.0),
        ("finishedVideo", "replacedImages is made anew", 4.0),
    ]


@pytest.mark.parametrize("state", [TaskState.UNKNOWN, TaskState.STALLED])
def test_what_waits_for_an_answer_is_priced_for_it_is_ordered_and_paid_when_that_comes(
    world: World, state: TaskState
) -> None:
    world.row(BG_REMOVED_IMAGE, state)
    first, *later = world.plan()
    assert (first.credits, first.submits, first.moves) == (0.0, False, False)
    assert told(later) == [
        ("replacedImages", "waits for bgRemovedImage", 1.0),
        ("finishedVideo", "waits for replacedImages", 4.0),
    ]
    assert [order.moves for order in later] == [False, False]


def test_what_comes_after_paid_work_out_of_reach_is_not_promised(world: World) -> None:
    """It stays held until somebody forces the scene, which orders the video anew."""
    world.done(BG_REMOVED_IMAGE)
    world.row(REPLACED_IMAGES, TaskState.EXPIRED)
    assert told(world.plan()) == [
        ("replacedImages", "expired: only force makes it anew", 0.0),
        ("finishedVideo", "replacedImages cannot be made", 0.0),
    ]


def test_a_cut_out_made_anew_asks_for_no_new_scene_and_no_new_video(world: World) -> None:
    """The same photo: its fingerprint, and so all that was made from it, is the same."""
    world.done(*STAGES)
    cut_out = world.stored["mug", "bgRemovedImage"]
    world.rows[cut_out.fingerprint] = [replace(cut_out, state=TaskState.EXPIRED)]
    assert told(world.plan()) == [("bgRemovedImage", "expired", 0.0)]


def test_the_latest_attempt_decides(world: World) -> None:
    world.done(BG_REMOVED_IMAGE, REPLACED_IMAGES)
    world.row(FINISHED_VIDEO, TaskState.FAILED)
    world.row(FINISHED_VIDEO, TaskState.PENDING)
    world.row(FINISHED_VIDEO, TaskState.RELEASED)
    assert told(world.plan()) == [("finishedVideo", "pending at Topview", 0.0)]


def test_what_dagster_has_not_heard_of_is_told_for_nothing(world: World) -> None:
    world.done(*STAGES)
    del world.materialized["mug", "finishedVideo"]
    assert told(world.plan()) == [
        ("finishedVideo", "in the store, and Dagster has not heard of it", 0.0)
    ]


def test_back_to_what_was_before_is_free(world: World) -> None:
    world.done(*STAGES)
    other = replace(MUG, script="Buy it.")
    world.done(FINISHED_VIDEO, one=other)
    assert told(world.plan(MUG)) == [
        ("finishedVideo", "in the store, and Dagster has not heard of it", 0.0)
    ]


def test_an_order_that_was_left_open_is_ended(world: World) -> None:
    world.done(*STAGES)
    world.open_orders.add(("mug", "finishedVideo"))
    assert told(world.plan()) == [("finishedVideo", "ordered", 0.0)]


def test_force_makes_everything_anew_at_its_price(world: World) -> None:
    world.done(*STAGES)
    assert [order.credits for order in world.plan(force=True)] == [0.0, 1.0, 4.0]
    assert told(world.plan(stages=[FINISHED_VIDEO], force=True)) == [
        ("finishedVideo", "forced", 4.0)
    ]


def test_a_forced_generation_is_what_counts_from_then_on(world: World) -> None:
    world.done(*STAGES)
    world.generations["mug", "finishedVideo"] = 1
    world.done(FINISHED_VIDEO)
    assert world.plan() == []


def test_a_stage_alone_goes_by_what_was_last_stored_even_when_that_is_stale(
    world: World,
) -> None:
    world.done(*STAGES)
    changed = replace(MUG, image="new photo")
    assert world.plan(changed, stages=[REPLACED_IMAGES, FINISHED_VIDEO]) == []


def test_a_stage_alone_without_its_upstream_says_what_to_make_first(world: World) -> None:
    ((stage, reason, cost),) = told(world.plan(stages=[FINISHED_VIDEO]))
    assert (stage, cost) == ("finishedVideo", 0.0)
    assert "materialize replacedImages first" in reason


def test_a_missing_photo_is_named_and_nothing_after_it_costs(world: World) -> None:
    def missing(stage: Stage, one: Product) -> Shape:
        if stage is BG_REMOVED_IMAGE:
            raise InputError("there is no such file", "mug.png", "Put it there.")
        return shape(stage, one)

    photo, *later = told(world.plan(shape_of=missing))
    assert photo == ("bgRemovedImage", "mug.png: there is no such file. Put it there.", 0.0)
    assert later == [
        ("replacedImages", "bgRemovedImage cannot be made", 0.0),
        ("finishedVideo", "replacedImages cannot be made", 0.0),
    ]
