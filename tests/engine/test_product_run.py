"""One product's way: what is reused and made again, retries, force, and credit limits."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.conftest import MakeWorld
from tests.engine.gateway import status
from tests.engine.world import CUT_OUT, DAY, HOUR, Outcome, World, everything, fates, product
from topview_pipeline.engine import Failed, Held, HoldReason, Made
from topview_pipeline.ledger import TaskState
from topview_pipeline.prices import PriceList
from topview_pipeline.settings import DEFAULT_PRICES

SCENE: dict[str, Any] = {"stages": ["replacedImages"]}
DONE = {("a", "bgRemovedImage"): "made"}


def _submits(world: World) -> dict[str, int]:
    submits: dict[str, int] = world.counters()["submits"]
    return submits


def _task_ids(events: list[Outcome]) -> dict[tuple[str, str], int]:
    return {(e.product_id, e.stage): e.task.id for e in events if isinstance(e, Made)}


def _reasons(events: list[Outcome]) -> set[HoldReason]:
    return {event.reason for event in events if isinstance(event, Held)}


# What is stored is free, and what changed is made again, and only that.


@pytest.mark.parametrize(
    ("changes", "new"),
    [
        ({}, {}),
        ({"script": "Other words."}, {"image2Video": 2}),
        ({"mode": "pro"}, {"image2Video": 2}),
        ({"image_edit_prompt": "on a table"}, {"image_replace": 2, "image2Video": 2}),
        ({"template_image": "other"}, {"image_replace": 2, "image2Video": 2}),
        ({"image": "x"}, {"remove_background": 2, "image_replace": 2, "image2Video": 2}),
    ],
    ids=["nothing", "script", "mode", "prompt", "template", "photo"],
)
def test_a_change_makes_again_what_it_shapes_and_no_more(
    world: World, changes: dict[str, Any], new: dict[str, int]
) -> None:
    first = _task_ids(world.run([product("a")]))
    before = _submits(world)
    assert fates(world.run([product("a", **changes)])) == everything("made", "a")
    assert _submits(world) == before | new
    assert _task_ids(world.run([product("a")])) == first  # back again: everything is there
    assert _submits(world) == before | new


def test_a_file_counts_by_its_bytes_and_not_by_its_name(world: World) -> None:
    world.run([product("a")], **CUT_OUT)
    world.files.contents["moved"] = world.files.data("photo of a")
    world.run([product("a", image="moved")], **CUT_OUT)
    assert world.submits() == 1
    world.files.contents["photo of a"] = world.files.data("another photo")
    world.run([product("a")], **CUT_OUT)
    assert world.submits() == 2


def test_a_stage_alone_is_made_from_what_the_product_last_made(world: World) -> None:
    (failed,) = world.run([product("a")], stages=["finishedVideo"])
    assert isinstance(failed, Failed)
    assert "Materialize replacedImages first" in failed.fix
    assert world.submits() == 0
    world.run([product("a")])
    changed = product("a", image="new photo", script="Other words.")
    world.run([changed], stages=["finishedVideo"])
    assert _submits(world) == {"remove_background": 1, "image_replace": 1, "image2Video": 2}


def test_products_that_share_a_photo_pay_once_and_each_is_reported(world: World) -> None:
    products = [product("a", image="photo"), product("b", image="photo", script="Other words.")]
    events = world.run(products)
    assert fates(events) == everything("made", "a", "b")
    made = _task_ids(events)
    assert made["a", "replacedImages"] == made["b", "replacedImages"]
    assert _submits(world) == {"remove_background": 1, "image_replace": 1, "image2Video": 2}


# Failed tasks, and the sensor's run that tries them again.


def test_three_attempts_by_itself_and_one_more_for_each_run_of_a_person(world: World) -> None:
    world.set_faults(fail=1.0)
    pair = [product(name, image="photo") for name in "ab"]  # they share the attempts, too
    events = world.run(pair, **CUT_OUT)
    for failed in events:
        assert isinstance(failed, Failed)
        assert "failed 3 times" in failed.what
        assert "one more attempt" in failed.fix
    first, second, third = world.rows(TaskState.FAILED)  # further and further apart
    assert second.reserved_at - float(first.closed_at or 0) >= 30.0
    assert third.reserved_at - float(second.closed_at or 0) >= 60.0
    assert world.resume(pair) == []
    assert set(fates(world.run(pair, **CUT_OUT)).values()) == {"failed"}
    assert len(world.rows(TaskState.FAILED)) == 4
    world.set_faults()
    assert set(fates(world.run(pair, **CUT_OUT)).values()) == {"made"}


@pytest.mark.parametrize("way_out", [{"force": True}, {"image": "better"}])
def test_a_refusal_is_final_until_force_or_a_change(world: World, way_out: dict[str, Any]) -> None:
    world.set_faults(moderation=1.0)
    assert fates(world.run([product("a")])) == everything("failed", "a")
    world.set_faults()
    refused, *_ = again = world.run([product("a")])
    assert fates(again) == everything("failed", "a")
    assert isinstance(refused, Failed)
    assert "Security problem" in refused.what
    assert "UTC" in refused.what
    assert world.submits() == 1
    force = way_out.pop("force", False)
    assert fates(world.run([product("a", **way_out)], force=force)) == everything("made", "a")


def _fail_once(world: World, **options: Any) -> float:
    """A cut-out that failed, held until its next attempt is due; when that is."""
    world.set_faults(fail=1.0)
    held, *_ = world.run([product("a")], wait_seconds=20.0, **{**CUT_OUT, **options})
    world.set_faults()
    assert isinstance(held, Held)
    assert held.reason is HoldReason.RETRY
    assert held.until is not None
    return held.until


def test_the_sensors_run_tries_a_failed_task_again_when_it_is_due(world: World) -> None:
    until = _fail_once(world)
    assert world.resume([product("a")]) == []
    world.later(until - world.machine() + 1.0)
    assert fates(world.resume([product("a")])) == DONE
    assert [row.attempt for row in world.rows()] == [1, 2]
    assert {row.root_run_id for row in world.rows()} == {"run-1"}


@pytest.mark.parametrize("since", ["other inputs", "force", "force for a twin"])
def test_the_sensor_does_not_try_again_what_is_not_wanted_now(world: World, since: str) -> None:
    _fail_once(world)
    one = product("a", image="newer") if since == "other inputs" else product("a")
    if since == "force":
        world.run([one], force=True, **CUT_OUT)
    elif since == "force for a twin":
        world.run([product("b", image=one.image)], force=True, **CUT_OUT)
    submitted = world.submits()
    world.later(HOUR)
    assert world.resume([one]) == []
    assert world.submits() == submitted


def test_a_forced_attempt_that_failed_is_tried_again(world: World) -> None:
    world.run([product("a")], **CUT_OUT)
    _fail_once(world, force=True)
    world.later(HOUR)
    assert fates(world.resume([product("a")])) == DONE
    assert [(row.generation, row.attempt) for row in world.rows()] == [(0, 1), (1, 1), (1, 2)]


# Force.


def test_force_makes_only_what_it_names_and_a_plain_run_goes_on_with_it(world: World) -> None:
    world.run([product("a")])
    forced = world.run([product("a")], stages=["finishedVideo"], force=True)
    assert fates(forced) == {("a", "finishedVideo"): "made"}
    assert _submits(world) == {"remove_background": 1, "image_replace": 1, "image2Video": 2}
    world.run([product("a")])
    assert world.submits() == 4


def test_products_that_share_a_photo_are_forced_once_for_a_root_run(world: World) -> None:
    pair = [product(name, image="photo") for name in "ab"]
    world.run(pair, **CUT_OUT)
    fate = fates(world.run(pair, force=True, run_id="forced", **CUT_OUT))
    assert set(fate.values()) == {"made"}
    assert world.submits() == 2
    # Executed again, as Dagster does after a crash: the same root run wants the same generation.
    world.run(pair, force=True, root_run_id="forced", **CUT_OUT)
    assert world.submits() == 2
    world.run(pair, force=True, **CUT_OUT)
    assert world.submits() == 3


def test_a_forced_run_killed_anywhere_and_executed_again_pays_once(world: World) -> None:
    world.run([product("a")])
    video: dict[str, Any] = {"stages": ["finishedVideo"], "force": True}
    for write in range(1, 9):
        world.kill_at(write, [product("a")], after_commit=True, root_run_id="forced", **video)
    world.later(2 * HOUR)
    world.run([product("a")], root_run_id="forced", **video)
    videos = [row for row in world.rows() if row.stage == "finishedVideo"]
    assert {row.generation for row in videos} == {0, 1}
    assert world.counters()["succeeded"]["image2Video"] <= 2


# Credit limits: held, not failed, and gone on with when there is room.

PRICES = PriceList.parse("image_replace=1, image2video/avatar2=0.4/s", "a list")
PRODUCTS = [product(f"p{number}") for number in range(4)]


@pytest.fixture
def priced(make_world: MakeWorld) -> World:
    return make_world(config={"prices": PRICES})


def _spent(world: World) -> float:
    spent: float = world.counters()["charged"]
    return spent


def test_a_day_never_costs_more_than_its_limit(priced: World) -> None:
    before = 0.0
    for _ in range(12):
        halves = ((half, {"day_limit": 3.0}) for half in (PRODUCTS[:2], PRODUCTS[2:]))
        events = [event for run in priced.run_together(*halves) for event in run]
        assert _spent(priced) - before <= 3.0
        if not _reasons(events):
            break
        assert _reasons(events) <= {HoldReason.DAY_LIMIT, HoldReason.UPSTREAM}
        priced.run(PRODUCTS, day_limit=3.0)
        assert _spent(priced) - before <= 3.0
        before = _spent(priced)
        priced.later(DAY)
    assert set(fates(events).values()) == {"made"}


def test_another_run_goes_on_beyond_the_limit_of_a_run(priced: World) -> None:
    assert _reasons(priced.run(PRODUCTS[:2], credit_limit=2.0)) >= {HoldReason.RUN_LIMIT}
    assert _spent(priced) <= 2.0
    assert fates(priced.run(PRODUCTS[:2])) == everything("made", "p0", "p1")
    assert [row.estimate for row in priced.rows() if row.stage == "replacedImages"] == [1.0] * 2


def test_a_retry_by_the_sensor_counts_against_the_first_runs_limit(priced: World) -> None:
    priced.run(PRODUCTS[:2], **CUT_OUT)
    priced.gateway.on("image_replace/query", status("fail"), times=1)
    limited: dict[str, Any] = {"credit_limit": 1.5, "root_run_id": "root", **SCENE}
    assert _reasons(priced.run(PRODUCTS[:1], wait_seconds=20.0, **limited)) == {HoldReason.RETRY}
    assert _reasons(priced.run(PRODUCTS[1:2], **limited)) == set()
    priced.later(HOUR)
    submitted = priced.submits()
    assert _reasons(priced.resume(PRODUCTS)) == {HoldReason.RUN_LIMIT}
    assert priced.submits() == submitted


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ({"day_limit": 100.0}, HoldReason.DAY_LIMIT),
        ({"credit_limit": 100.0}, HoldReason.RUN_LIMIT),
    ],
)
def test_no_scene_is_paid_whose_video_has_no_known_price_under_a_limit(
    world: World, limit: dict[str, Any], reason: HoldReason
) -> None:
    """On a first catalogue in lite the scenes would be paid, and no video could be."""
    one = product("mug", mode="lite")
    held = [event for event in world.run([one], **limit) if isinstance(event, Held)]
    assert [(event.stage, event.reason) for event in held] == [
        ("replacedImages", reason),
        ("finishedVideo", HoldReason.UPSTREAM),
    ]
    assert "TOPVIEW_PRICES, for example image2video/lite=0.5" in held[0].what
    assert held[0].fix == "add the price, or run without a limit"
    assert _spent(world) == 0.0
    with_price = PriceList.parse("finishedVideo/Lite=0.5", "mine", over=DEFAULT_PRICES.prices)
    assert fates(world.run([one], prices=with_price, **limit)) == everything("made", "mug")


def test_a_short_script_costs_no_more_than_a_limit_that_it_just_misses(world: World) -> None:
    """Two words are no single second, and each started second of the video is paid."""
    one = product("mug", mode="avatar4", script="A mug.")
    (held,) = (event for event in world.run([one], credit_limit=1.15) if isinstance(event, Held))
    assert held.reason is HoldReason.RUN_LIMIT
    assert held.what.startswith("it would cost about 0.2 credits (the default price list)")
    assert fates(world.run([one], credit_limit=0.2)) == everything("made", "mug")


def test_a_charge_above_its_estimate_is_the_next_ones_estimate_at_once(world: World) -> None:
    cheap = PriceList.parse("image_replace=0.1, image2video=0.1", "a list")
    one, other = product("one"), product("other", template_image="another")
    events = world.run([one, other], credit_limit=1.3, prices=cheap, slots=1)
    assert _reasons(events) >= {HoldReason.RUN_LIMIT}
    held = next(event for event in events if isinstance(event, Held))
    assert "(the most that such tasks cost so far)" in held.what
