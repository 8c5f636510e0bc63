"""The plan for every situation a product can be in, and how much of it a limit takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.engine.world import product
from tests.plan.conftest import MUG, Situation, inputs_of, summary
from topview_pipeline.catalogue import ChangeNotAccepted, InputError, Product, check_made_again
from topview_pipeline.engine.gate import ReviewRules
from topview_pipeline.ledger import Review, ReviewDecision, TaskState
from topview_pipeline.plan import PlannedStage, first_products
from topview_pipeline.settings import Gate
from topview_pipeline.stages import CUT_OUT, SCENE, STAGES, VIDEO, Inputs, Stage

SCENE_AFTER = ("replacedImages", "makes the cut-out first", 1.0)
VIDEO_AFTER = ("finishedVideo", "makes the scene first", 4.0)
TWIN = replace(MUG, product_id="twin", script="Other words.")


def test_a_new_product_needs_everything_and_is_priced_before_its_scenes_are_known(
    situation: Situation,
) -> None:
    new = [("bgRemovedImage", 0.0), ("replacedImages", 1.0), ("finishedVideo", 4.0)]
    assert summary(situation.plan()) == [(stage, "new", price) for stage, price in new]


def test_a_price_that_nothing_says_is_unknown_and_not_zero(situation: Situation) -> None:
    assert situation.plan(replace(MUG, mode="pro"))[-1].credits is None


def test_what_is_up_to_date_is_not_planned(situation: Situation) -> None:
    situation.done(*STAGES)
    assert situation.plan() == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"image": "new"}, [("bgRemovedImage", "photo changed", 0.0), SCENE_AFTER, VIDEO_AFTER]),
        ({"image_edit_prompt": "on it"}, [("replacedImages", "scene changed", 1.0), VIDEO_AFTER]),
        ({"script": "Buy it."}, [("finishedVideo", "script changed", 4.0)]),
    ],
)
def test_a_change_plans_what_it_shapes_and_all_after_it(
    situation: Situation, changes: dict[str, Any], expected: list[tuple[str, str, float]]
) -> None:
    situation.done(*STAGES)
    planned = situation.plan(replace(MUG, **changes))
    assert summary(planned) == expected
    assert all(one.again for one in planned)


@pytest.mark.parametrize(
    ("state", "more", "reason", "credits_needed"),
    [
        (TaskState.RESERVED, {"worker": "alive"}, "another run is making it", 0.0),
        (TaskState.RESERVED, {}, "unknown: the submit's answer was lost", 0.0),
        (TaskState.PENDING, {"worker": "alive"}, "another run is making it", 0.0),
        (TaskState.PENDING, {}, "pending at Topview", 0.0),
        (TaskState.SUCCEEDED, {}, "finished at Topview, not yet in the store", 0.0),
        (TaskState.FAILED, {}, "failed before", 4.0),
        (TaskState.UNKNOWN, {}, "unknown: the submit's answer was lost", 0.0),
        (TaskState.OVERDUE, {}, "overdue at Topview", 0.0),
        (TaskState.EXPIRED, {}, "expired: only force remakes it", 0.0),
        (TaskState.VOID, {}, "new", 4.0),
    ],
)
def test_only_what_can_be_submitted_again_costs(
    situation: Situation, state: TaskState, more: dict[str, Any], reason: str, credits_needed: float
) -> None:
    situation.done(CUT_OUT, SCENE)
    situation.row(VIDEO, state, **more)
    assert summary(situation.plan()) == [("finishedVideo", reason, credits_needed)]


def test_the_latest_attempt_decides(situation: Situation) -> None:
    situation.done(CUT_OUT, SCENE)
    for state in (TaskState.FAILED, TaskState.PENDING, TaskState.VOID):
        situation.row(VIDEO, state)
    assert summary(situation.plan()) == [("finishedVideo", "pending at Topview", 0.0)]


def test_a_cut_out_out_of_reach_is_made_again_free_and_nothing_after_it_is(
    situation: Situation,
) -> None:
    """The same photo: its fingerprint, and so all that was made from it, is the same."""
    situation.done(*STAGES)
    situation.set_state(CUT_OUT, TaskState.EXPIRED)
    assert summary(situation.plan()) == [("bgRemovedImage", "expired", 0.0)]


@pytest.mark.parametrize(
    ("state", "more", "reason"),
    [
        (
            TaskState.FAILED,
            {"retryable": False},
            "refused before: sent again only with force or changed inputs",
        ),
        (TaskState.EXPIRED, {}, "expired: only force remakes it"),
    ],
)
def test_nothing_is_promised_after_what_cannot_be_made(
    situation: Situation, state: TaskState, more: dict[str, Any], reason: str
) -> None:
    situation.done(CUT_OUT)
    situation.row(SCENE, state, **more)
    planned = situation.plan()
    assert summary(planned) == [
        ("replacedImages", reason, 0.0),
        ("finishedVideo", "the scene cannot be made", 0.0),
    ]
    assert not any(one.moves for one in planned)


def test_what_is_on_its_way_is_free_and_what_comes_after_is_not(situation: Situation) -> None:
    situation.done(CUT_OUT)
    situation.row(SCENE, TaskState.PENDING)
    pending = ("replacedImages", "pending at Topview", 0.0)
    assert summary(situation.plan()) == [pending, ("finishedVideo", "new", 4.0)]


@pytest.mark.parametrize("state", [TaskState.UNKNOWN, TaskState.OVERDUE])
def test_what_waits_for_an_answer_is_priced_for_it_is_paid_when_that_comes(
    situation: Situation, state: TaskState
) -> None:
    situation.row(CUT_OUT, state)
    first, *later = planned = situation.plan()
    assert (first.credits, first.submits) == (0.0, False)
    assert summary(later) == [
        ("replacedImages", "waits for the cut-out", 1.0),
        ("finishedVideo", "waits for the scene", 4.0),
    ]
    assert not any(one.moves for one in planned)


def test_what_was_not_reported_is_reported_for_nothing(situation: Situation) -> None:
    situation.done(*STAGES)
    situation.done(VIDEO, one=replace(MUG, script="Buy it."))  # and now back to the former words
    assert summary(situation.plan()) == [("finishedVideo", "in the store, not yet reported", 0.0)]


def test_force_makes_everything_again_at_its_price(situation: Situation) -> None:
    situation.done(*STAGES)
    assert [one.credits for one in situation.plan(force=True)] == [0.0, 1.0, 4.0]
    video = situation.plan(wanted=[VIDEO], force=True)
    assert summary(video) == [("finishedVideo", "forced", 4.0)]
    situation.row(VIDEO, TaskState.PENDING, generation=1)
    (refused,) = situation.plan(wanted=[VIDEO], force=True)
    assert (refused.outcome, refused.credits) == ("failed", 0.0), "a run refuses to pay twice"


def test_a_forced_generation_is_what_counts_from_then_on(situation: Situation) -> None:
    situation.done(*STAGES)
    situation.done(VIDEO, generation=1)
    assert situation.plan() == []


def test_what_another_pipeline_paid_is_free_and_its_force_costs_a_namesake_nothing(
    situation: Situation,
) -> None:
    situation.row(CUT_OUT, TaskState.STORED, pipeline="other")
    first = situation.plan(wanted=[CUT_OUT])
    assert summary(first) == [("bgRemovedImage", "in the store, not yet reported", 0.0)]
    situation.rows.clear()
    situation.done(*STAGES)
    situation.row(SCENE, TaskState.STORED, generation=1, pipeline="other")
    assert situation.plan() == []


def test_a_stage_alone_goes_by_what_was_last_made_even_when_that_is_stale(
    situation: Situation,
) -> None:
    situation.done(*STAGES)
    assert situation.plan(replace(MUG, image="new photo"), wanted=[SCENE, VIDEO]) == []


def test_a_stage_alone_without_its_upstream_says_what_is_missing(situation: Situation) -> None:
    (planned,) = situation.plan(wanted=[VIDEO])
    assert planned.reason == "there is no replacedImages of this product"
    assert (planned.credits, planned.moves) == (0.0, False)


def test_a_persons_choice_makes_the_video_again(situation: Situation) -> None:
    situation.done(*STAGES)
    scene = situation.made["mug", "replacedImages"]
    situation.reviews["mug", scene.fingerprint] = Review(1)  # taken anyway
    assert situation.plan() == []
    situation.reviews["mug", scene.fingerprint] = Review(2)
    assert summary(situation.plan()) == [("finishedVideo", "another scene was chosen", 4.0)]
    other = replace(MUG, script="Buy it.")
    assert summary(situation.plan(other)) == [("finishedVideo", "script changed", 4.0)]
    chosen = replace(MUG, chosen_image=2)
    situation.reviews.clear()
    assert summary(situation.plan(chosen)) == [("finishedVideo", "another scene was chosen", 4.0)]


def test_a_scene_without_a_face_is_the_one_that_a_person_decides_about(
    situation: Situation,
) -> None:
    """Its number is what `review` lists: another product's row would be approved in its place."""
    other = product("other")
    situation.done(CUT_OUT, one=other)
    situation.done(CUT_OUT, SCENE)
    faceless = [{"imageId": "1", "faceExistence": False}]
    made = situation.made["mug", "replacedImages"]
    scene = made._replace(result={"taskId": "t", "replaceProductResult": faceless})
    situation.rows[scene.work] = [scene]
    speaks = replace(MUG, mode="avatar4")
    (video,) = situation.plan(speaks)
    assert (video.outcome, video.looked_at) == ("failed", scene.id)


REFUSED = {"outcome": "failed", "why": "Every scene is one flat colour."}


def _review(situation: Situation, decision: ReviewDecision) -> None:
    scene = situation.made["mug", "replacedImages"]
    situation.reviews["mug", scene.fingerprint] = Review(None, decision)


@pytest.mark.parametrize(
    ("quality", "decision", "gate", "planned"),
    [
        (None, None, "quality", ("new", 4.0, None)),
        (REFUSED, None, "off", ("new", 4.0, None)),
        (REFUSED, None, "quality", ("the scene failed its check: Every scene", 0.0, "held")),
        (REFUSED, "approved", "approve", ("new", 4.0, None)),
        (None, None, "approve", ("the scene waits for a person", 0.0, "held")),
        (None, "rejected", "quality", ("a person rejected the scene", 0.0, "held")),
        (None, "rejected", "off", ("a person rejected the scene", 0.0, "held")),
    ],
)
def test_the_gate_holds_the_video_and_its_credits(
    situation: Situation,
    quality: dict[str, str] | None,
    decision: ReviewDecision | None,
    gate: Gate,
    planned: tuple[str, float, str | None],
) -> None:
    situation.done(CUT_OUT, SCENE)
    scene = situation.made["mug", "replacedImages"]._replace(quality=quality)
    situation.rows[scene.work], situation.made["mug", "replacedImages"] = [scene], scene
    if decision is not None:
        _review(situation, decision)
    (video,) = situation.plan(rules=ReviewRules(gate))
    assert video.reason.startswith(planned[0])
    assert (video.credits, video.outcome) == planned[1:]
    assert bool(video.fix) is (video.outcome is not None)


def test_a_scene_that_is_still_made_is_followed_by_a_wait_for_a_person(
    situation: Situation,
) -> None:
    planned = situation.plan(rules=ReviewRules("approve"))
    assert [(one.stage, one.outcome, one.credits) for one in planned] == [
        ("bgRemovedImage", None, 0.0),
        ("replacedImages", None, 1.0),
        ("finishedVideo", "held", 0.0),
    ]


def test_a_refused_cut_out_holds_the_scene_and_what_comes_after_it(situation: Situation) -> None:
    situation.done(CUT_OUT)
    bad = situation.made["mug", "bgRemovedImage"]._replace(quality=REFUSED)
    situation.rows[bad.work] = [bad]
    scene, video = situation.plan()
    assert (scene.outcome, scene.credits) == ("held", 0.0)
    assert (video.reason, video.outcome) == ("waits for the scene", "held")


def test_a_scene_that_a_person_asked_for_again_is_made_again_and_its_video_after_it(
    situation: Situation,
) -> None:
    situation.done(*STAGES)
    _review(situation, "again")
    assert summary(situation.plan()) == [
        ("replacedImages", "a person asked for a remake", 1.0),
        ("finishedVideo", "makes the scene first", 4.0),
    ]
    situation.done(SCENE, generation=1)
    assert [one.stage for one in situation.plan()] == ["finishedVideo"]


def _missing(stage: Stage, one: Product) -> Inputs:
    if stage is CUT_OUT and one.product_id in ("mug", "missing"):
        raise InputError("there is no such file", "mug.png", "Put it there.")
    return inputs_of(stage, one)


def test_a_missing_photo_is_named_and_nothing_after_it_costs(situation: Situation) -> None:
    plan = situation.plan(inputs_of=_missing)
    assert summary(plan) == [
        ("bgRemovedImage", "mug.png: there is no such file", 0.0),
        ("replacedImages", "the cut-out cannot be made", 0.0),
        ("finishedVideo", "the scene cannot be made", 0.0),
    ]
    assert [one.looked_at for one in plan] == [None] * 3, "no result is there to review"


def _hangs(stage: Stage, one: Product) -> str | None:
    return "https://slow/a.png" if stage is CUT_OUT and one.product_id == "mug" else None


def test_a_photo_that_was_not_looked_at_is_wanted_and_no_reason_to_refuse_the_run(
    situation: Situation,
) -> None:
    """Its host hangs while the run is planned; the product finds out, when its turn comes."""
    unread = "photo not checked yet: https://slow/a.png"
    new = situation.plan(unread_of=_hangs)
    assert summary(new)[0] == ("bgRemovedImage", unread, 0.0)
    assert [one.credits for one in new] == [0.0, 1.0, 4.0]
    situation.done(*STAGES)
    as_before = situation.plan(unread_of=_hangs)
    assert summary(as_before) == [
        ("bgRemovedImage", unread, 0.0),
        ("replacedImages", "waits for the cut-out", 0.0),
        ("finishedVideo", "waits for the cut-out", 0.0),
    ]
    unknown = situation.plan(replace(MUG, image="new photo"), unread_of=_hangs)
    assert [one.credits for one in unknown] == [0.0, 1.0, 4.0]
    for one in (*new, *as_before, *unknown):
        assert (one.moves, one.again, one.is_read) == (True, False, False)


# Work that products share is planned as it is paid: once.


def _shared(planned: list[PlannedStage]) -> list[tuple[str, float | None, str | None]]:
    return [(one.product_id, one.credits, one.made_with) for one in planned]


def test_work_that_two_products_share_is_paid_once(situation: Situation) -> None:
    planned = situation.plan(MUG, TWIN)
    mug, twin = [("mug", cost, None) for cost in (0.0, 1.0, 4.0)], ("twin", 0.0, "mug")
    assert _shared(planned) == [*mug, twin, twin, ("twin", 4.0, None)]
    assert [one.submits for one in planned] == [True, True, True, False, False, True]
    assert planned[4].why == "new, with mug"
    for one in (MUG, TWIN):
        situation.done(*STAGES, one=one)
    assert _shared(situation.plan(MUG, TWIN, force=True)) == _shared(planned)


def test_a_chosen_image_parts_what_is_else_shared(situation: Situation) -> None:
    same = replace(MUG, product_id="same")
    assert [one.made_with for one in situation.plan(MUG, same)[3:]] == ["mug"] * 3
    other = replace(same, chosen_image=2)
    assert [one.made_with for one in situation.plan(MUG, other)[3:]] == ["mug", "mug", None]


# What a limit takes, and what the guard refuses.


def test_a_limit_is_not_used_up_by_products_that_no_run_makes_progress_with(
    situation: Situation,
) -> None:
    """Refused and unknown ones come first in the catalogue, and are named each time."""
    names = ("refused", "unknown", "missing", "new", "newer")
    products = refused, unknown, *_ = [product(name) for name in names]
    situation.row(CUT_OUT, TaskState.FAILED, refused, retryable=False)
    situation.row(CUT_OUT, TaskState.UNKNOWN, unknown)
    planned = situation.plan(*products, inputs_of=_missing)

    def first(limit: int | None) -> list[str]:
        return list(dict.fromkeys(one.product_id for one in first_products(planned, limit)))

    assert first(1) == ["refused", "unknown", "missing", "new"]
    assert first(2) == first(9) == first(None) == list(names)


def test_a_slip_in_a_default_is_refused_and_new_products_are_not(situation: Situation) -> None:
    """A template for all products was changed: everything made would be made, and paid, again."""
    products = [product(f"p{number}") for number in range(8)]
    for one in products:
        situation.done(*STAGES, one=one)

    def again(*planned_for: Product) -> set[str]:
        return {one.product_id for one in situation.plan(*planned_for) if one.again}

    changed = [replace(one, template_image="another") for one in products]
    new = [product(f"new{number}") for number in range(20)]
    rules = {"where": "catalogue.csv"}
    check_made_again(8, again(*products, *new), **rules)
    check_made_again(8, again(*changed[:4], *products[4:]), **rules)
    with pytest.raises(ChangeNotAccepted, match="8 of its 8 products with results"):
        check_made_again(8, again(*changed), **rules)
