"""Canaries: of the products with one template, prompt and mode a few go first.

A template that no product looks good in costs a few scenes and not a thousand.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.gateway import envelope
from tests.engine.world import ALL_STAGES, HOUR, World, everything, fates, holds, product
from tests.stages.fakes import PLAIN
from topview_pipeline.catalogue import Product
from topview_pipeline.engine import HoldReason
from topview_pipeline.engine.gate import Canaries, ReviewRules
from topview_pipeline.ledger import Review, ReviewDecision, TaskState, Tried
from topview_pipeline.stages import SCENE as SCENES
from topview_pipeline.stages import VIDEO as VIDEOS
from topview_pipeline.stages import PreconditionError, Stage

SCENE, VIDEO = "replacedImages", "finishedVideo"
PRODUCTS = [product(f"p{number}") for number in range(4)]
REFUSED = {"outcome": "failed", "why": "Every scene is one flat colour."}


def _went(world: World, stage: str = SCENE) -> list[str]:
    """The products whose stage was submitted."""
    rows = world.rows()
    return sorted({row.product_id for row in rows if row.stage == stage})


def _waiting(events: list[Any]) -> list[str]:
    return sorted(hold.product_id for hold in holds(events) if hold.reason is HoldReason.CANARY)


def _review(world: World, decision: ReviewDecision, *names: str) -> None:
    rows = {row.product_id: row for row in world.rows(TaskState.STORED) if row.stage == SCENE}
    found = {(name, rows[name].fingerprint): Review(None, decision) for name in names}
    world.ledger.reviews.decide(found, who="ann", why="seen")


def _run(world: World, products: list[Product] = PRODUCTS, **options: Any) -> list[Any]:
    return world.run(products, **{"canary": 2} | options)


def test_two_go_first_and_the_others_follow_with_the_next_run(world: World) -> None:
    events = _run(world)
    assert _went(world) == ["p0", "p1"]
    assert _waiting(events) == ["p2", "p3"]
    (hold,) = {(hold.stage, hold.what, hold.fix) for hold in holds(events)}
    assert hold[0] == SCENE
    assert "scene of p0, p1" in hold[1]
    assert "--canary 0" in hold[2]
    names = [one.product_id for one in PRODUCTS]
    assert fates(_run(world)) == everything("made", *names)


def test_those_that_go_first_are_sent_first(world: World) -> None:
    """They would wait at the end of the line for each other's row, and all others for them."""
    others = [product(f"q{number}", template_image=f"other {number}") for number in range(4)]
    for stage in ALL_STAGES[:2]:
        _run(world, [*PRODUCTS[:3], *others], canary=3, slots=1, stages=[stage])
    rows = [row for row in world.rows() if row.stage == SCENE]
    assert [row.product_id for row in rows][:3] == ["p0", "p1", "p2"]


def test_a_photo_that_answers_late_does_not_go_past_those_that_go_first(world: World) -> None:
    """Without a canary group in its row no later run would count it either."""
    read = world.files.sha256
    failed: list[str] = []

    def sha256(ref: str) -> str:
        if ref == PLAIN.template_image and not failed:
            failed.append(ref)
            raise PreconditionError("its server answered 503", fix="Try again.")
        return read(ref)

    world.files.sha256 = sha256  # type: ignore[method-assign]
    _run(world, canary=1)
    assert failed
    assert len(_went(world)) == 1


@pytest.mark.slow
def test_other_templates_prompts_and_modes_have_their_own(world: World) -> None:
    modes = {"mode": "avatar4"}, {"mode": "avatar4Fast"}
    others = {"image_edit_prompt": "On grass."}, {"template_image": "other"}, *modes
    groups = [
        [product(f"{place}{number}", **change) for number in range(2)]
        for place, change in enumerate(({}, *others))
    ]
    events = _run(world, [one for group in groups for one in group], canary=1)
    first = ["00", "10", "20", "30"]
    assert _went(world) == first, "of a mode a scene only has to know if it needs a face"
    assert _went(world, VIDEO) == first
    assert _waiting(events) == ["01", "11", "21", "31", "40", "41"]
    _run(world, [one for group in groups for one in group], canary=1)
    assert _went(world, VIDEO) == ["00", "01", "10", "11", "20", "21", "30", "31", "40"]


@pytest.mark.parametrize(
    ("changes", "scenes"),
    [
        ({"canary": 0}, 4),
        ({"run_canary": 0}, 4),
        ({"canary": 0, "run_canary": 1}, 1),
        ({"canary": 9}, 4),
        ({"gate": "off"}, 4),
    ],
)
def test_nobody_waits_where_nothing_is_asked_for(
    world: World, changes: dict[str, Any], scenes: int
) -> None:
    _run(world, stages=ALL_STAGES[:2], **changes)
    assert len(_went(world)) == scenes


def test_where_scenes_are_approved_the_others_wait_for_a_person(world: World) -> None:
    for _ in range(2):
        assert len(_waiting(_run(world, gate="approve"))) == 2
    _review(world, "approved", "p0")
    assert "are approved" in next(
        hold.fix for hold in holds(_run(world, gate="approve")) if hold.reason is HoldReason.CANARY
    )
    _review(world, "approved", "p1")
    assert _waiting(_run(world, gate="approve")) == []
    assert _went(world) == [one.product_id for one in PRODUCTS]


def test_a_scene_that_a_run_brings_home_lets_the_others_go_in_the_next(world: World) -> None:
    """One that asks after it is stored would else be paid in the same run, unseen by a person."""
    first = PRODUCTS[:1]
    _run(world, first, stages=ALL_STAGES[:1])
    _run(world, first, stages=[SCENE], wait_seconds=0.0)
    world.later(HOUR)
    events = _run(world, PRODUCTS[:2], canary=1, stages=ALL_STAGES[:2])
    assert ("p0", SCENE) in fates(events)
    assert (_went(world), _waiting(events)) == (["p0"], ["p1"])


def test_a_refused_photo_does_not_block_the_others_for_ever(world: World) -> None:
    """It never comes to its scene: the next product goes in its place, in the same run."""
    world.files.contents["photo of p0"] = b"no picture"
    events = _run(world, canary=1)
    assert fates(events)["p0", "bgRemovedImage"] == "failed"
    (other,) = _went(world)
    assert other == "p1"
    assert len(_waiting(events)) == 2


def test_a_template_without_a_person_costs_no_scene_more_where_the_mode_needs_a_face(
    world: World,
) -> None:
    """A scene without a face is a warning of the check, and its video cannot be made."""
    world.set_faults(no_face=1.0)
    speak = [product(f"p{number}", mode="avatar4") for number in range(4)]
    for _ in range(2):
        events = _run(world, speak, canary=1)
        assert fates(events)["p0", VIDEO] == "failed"
        assert (_went(world), len(_waiting(events))) == (["p0"], 3)
    _review(world, "rejected", "p0")
    assert len(_waiting(_run(world, speak, canary=1))) == 2
    assert _went(world) == ["p0", "p1"]
    still = [product("still-1"), product("still-2")]
    _run(world, still, canary=1)
    assert fates(_run(world, still, canary=1)) == everything("made", "still-1", "still-2")


def test_a_canary_that_topview_refuses_gives_its_place_to_the_next_in_the_same_run(
    world: World,
) -> None:
    world.run(PRODUCTS, stages=ALL_STAGES[:1])
    world.gateway.on("image_replace/submit", envelope(None, code="6001"), times=1)
    events = _run(world, canary=1)
    assert (fates(events)["p0", SCENE], fates(events)["p1", VIDEO]) == ("failed", "made")
    assert (_went(world), len(_waiting(events))) == (["p0", "p1"], 2)


def test_after_a_persons_rejection_the_next_one_shows_the_template(world: World) -> None:
    _run(world, canary=1, gate="approve")
    _review(world, "rejected", "p0")
    assert _waiting(_run(world, canary=1, gate="approve")) == ["p2", "p3"]
    assert _went(world) == ["p0", "p1"]


@pytest.mark.parametrize("canary", [1, 3])
def test_runs_that_begin_at_the_same_moment_send_as_many_as_one(world: World, canary: int) -> None:
    """As those of a backfill: each counts what the ledger has when its row is reserved."""
    world.run(PRODUCTS, stages=ALL_STAGES[:1])
    halves = PRODUCTS[:2], PRODUCTS[2:]
    both = world.run_together(*((half, {"canary": canary}) for half in halves))
    assert len(_went(world)) == canary
    assert sum(len(_waiting(events)) for events in both) == 4 - canary


@pytest.mark.slow
@pytest.mark.parametrize("after_commit", [False, True], ids=["before", "after"])
def test_no_kill_sends_a_third(world: World, after_commit: bool) -> None:
    """A killed run forgets who had a place; the rows say it, an unknown one included."""
    write, died = 1, True
    while died:
        write += 9
        some = [product(f"{n}-{write}", template_image=f"template {write}") for n in "abc"]
        died = world.kill_at(write, some, after_commit=after_commit, canary=2, gate="approve")
        for most in (range(3), (2,)):
            _run(world, some, gate="approve")
            assert sum(name.endswith(f"-{write}") for name in _went(world)) in most
            world.later(3600.0)  # a free task whose answer was lost is sent again
        assert write < 120
    world.assert_nothing_paid_twice()


def _canaries(*tried: Tried, canary: int = 1, **reviews: Review) -> Canaries:
    return Canaries(
        ReviewRules(canary=canary),
        lambda _: tried,
        lambda product_id, _: reviews.get(product_id, Review()),
    )


PASSED = Tried(7, "r", "old", "f", TaskState.STORED, {"outcome": "passed", "why": ""}, True)


def _goes(canaries: Canaries, one: Product, stage: Stage = SCENES) -> bool:
    return canaries.turn(one, stage, "r").hold is None


@pytest.mark.parametrize(
    ("row", "decision", "goes"),
    [
        ({}, None, True),
        ({"quality": REFUSED}, None, False),
        ({"quality": REFUSED}, "approved", True),
        ({"quality": REFUSED}, "rejected", None),
        ({"quality": None, "is_reported": False}, None, False),
        ({"quality": None}, None, True),
        ({"state": TaskState.UNKNOWN}, None, False),
        ({"state": TaskState.PENDING}, None, False),
        ({"state": TaskState.FAILED}, None, None),
        ({"state": TaskState.EXPIRED}, None, None),
    ],
)
def test_what_a_row_of_an_earlier_run_says(
    row: dict[str, Any], decision: ReviewDecision | None, goes: bool | None
) -> None:
    """True: it passed, all go; False: it has the place; None: another one takes the place."""
    canaries = _canaries(PASSED._replace(**row), old=Review(None, decision))
    went = [_goes(canaries, one) for one in PRODUCTS[:2]]
    assert went == {True: [True, True], False: [False, False], None: [True, False]}[goes]


def test_a_video_that_failed_its_check_gives_its_place_to_the_next() -> None:
    """`review` decides about scenes: nobody could let the others go."""
    canaries = _canaries(PASSED._replace(quality=REFUSED))
    assert [_goes(canaries, one, VIDEOS) for one in PRODUCTS[:2]] == [True, False]
    assert _goes(canaries, product("old"), VIDEOS), "it may be forced"


@pytest.mark.parametrize("leaves", [True, False], ids=["the catalogue", "its template"])
def test_a_refused_canary_that_went_another_way_does_not_hold_the_others_for_ever(
    world: World, leaves: bool
) -> None:
    """Its row was taken away or changed, as its check says: no decision about it is left."""
    world.set_faults(no_product=1.0)
    for _ in range(2):
        assert len(_waiting(_run(world, canary=1))) == 3
    world.set_faults()
    if leaves:
        left = [one.product_id for one in PRODUCTS[1:]]
        world.ledger.catalogue.accept(products=[one.product_id for one in PRODUCTS])
        world.ledger.catalogue.accept(products=left)
    else:
        _run(world, [product("p0", template_image="another")], canary=1)
    assert len(_waiting(_run(world, PRODUCTS[1:], canary=1))) == 2
    assert _went(world) == ["p0", "p1"]


@pytest.mark.parametrize("decision", [None, "rejected"])
def test_one_that_was_here_before_may_be_forced(decision: ReviewDecision | None) -> None:
    row = PASSED._replace(product_id="p0")
    assert _goes(_canaries(row, canary=2, p0=Review(None, decision)), PRODUCTS[0])


def test_a_place_is_free_again_when_its_product_ended_before_it_came_to_it() -> None:
    canaries, (first, second, third, *_) = _canaries(), PRODUCTS
    for one in (first, second, third):
        canaries.join(one, "r")
    turn = canaries.turn(second, VIDEOS, "r")
    assert (turn.hold is None, turn.may_end) == (False, True)
    assert not canaries.leave(third, "r"), "nobody waits for it"
    assert canaries.leave(first, "r")
    assert _goes(canaries, second)
    assert canaries.turn(third, VIDEOS, "r").may_end, "the second one may still fail"
    rows = [PASSED._replace(product_id="p1", state=TaskState.PENDING)]
    canaries.tried = lambda _: rows
    canaries.leave(second, "r")
    turn = canaries.turn(third, VIDEOS, "r")
    assert (turn.hold is None, turn.may_end) == (False, False), "it is made: the next run knows"
