"""A video and its scene: forgotten images, a person's choice, and proofs before a scene is paid."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.engine.conftest import MakeWorld
from tests.engine.gateway import Answer, Query, envelope, status
from tests.engine.world import HOUR, Outcome, World, everything, fates, product
from topview_pipeline.catalogue import InputError, Product
from topview_pipeline.engine import Failed, Held, HoldReason, Made
from topview_pipeline.ledger import Task, TaskState

VIDEO = ("finishedVideo",)
SCENE_AND_VIDEO = ("replacedImages", "finishedVideo")
BOTH: dict[str, Any] = {"stages": SCENE_AND_VIDEO}
BOTH_MADE = {("a", stage): "made" for stage in SCENE_AND_VIDEO}
QUAD = ((0.2, 0.2), (0.6, 0.2), (0.6, 0.8), (0.2, 0.8))
NO_SUCH_ID = "0" * 32


def _rows(world: World, stage: str) -> list[Task]:
    """Those that came to something: ids of files died, too."""
    return [row for row in world.rows() if row.stage == stage and row.state is not TaskState.VOID]


def _generations(world: World) -> list[int]:
    return [row.generation for row in _rows(world, "replacedImages")]


def _failed(events: list[Outcome]) -> Failed:
    return next(event for event in events if isinstance(event, Failed))


def images_sent(world: World) -> list[int]:
    """Numbers of the scenes' images that videos were asked for with."""
    ids = {
        image["imageId"]: number
        for scene in _rows(world, "replacedImages")
        for number, image in enumerate((scene.result or {})["replaceProductResult"], 1)
    }
    videos = _rows(world, "finishedVideo")
    return [ids[(video.request or {})["replaceProductTaskImageId"]] for video in videos]


# Topview forgets the images of a scene.


@pytest.fixture
def forgetful(make_world: MakeWorld) -> World:
    return make_world(forget_after=HOUR)


def _video_of_a_dead_scene(world: World, *, name: str = "a", **changes: Any) -> Product:
    """A product whose scene Topview has forgotten, and whose script is another one since."""
    before = product(name, template_image=f"template of {name}", **changes)
    assert set(fates(world.run([before])).values()) == {"made"}
    world.later(2 * HOUR)
    return replace(before, script="Other words.")


def test_a_dead_scene_is_made_again_where_it_was_asked_for(forgetful: World) -> None:
    changed = _video_of_a_dead_scene(forgetful)
    before = {path: path.read_bytes() for path in forgetful.folder.glob("store/*/*/*/*/*.*")}
    events = forgetful.run([changed], **BOTH)
    made = [event.stage for event in events if isinstance(event, Made)]
    assert made == ["replacedImages", "replacedImages", "finishedVideo"]
    assert (_generations(forgetful), forgetful.paid()) == ([0, 1], (2, 2))
    assert {path: path.read_bytes() for path in before} == before
    # The same again costs nothing.
    assert fates(forgetful.run([changed])) == everything("made", "a")
    assert forgetful.paid() == (2, 2)
    forgetful.assert_nothing_lost()


def test_a_video_alone_fails_and_names_the_command_that_makes_both(forgetful: World) -> None:
    changed = _video_of_a_dead_scene(forgetful)
    failed = _failed(forgetful.run([changed], stages=VIDEO))
    assert "no longer knows the scene of this product" in failed.what
    command = "run --product a --stage replacedImages --stage finishedVideo"
    assert failed.fix == f"remake both: topview-pipeline {command}"
    assert forgetful.paid() == (1, 1)
    assert fates(forgetful.run([changed], **BOTH)) == BOTH_MADE
    assert forgetful.paid() == (2, 2)


def test_a_scene_that_dies_again_is_not_made_a_third_time_in_one_run(world: World) -> None:
    seen: set[str] = set()
    dead: set[str] = set()

    def forgets(_: Query) -> Answer:
        dead.update(seen)
        return envelope(None, code="4004")

    def is_dead(query: Query) -> Answer:
        seen.add(query["taskId"])
        return envelope(None, code="4004") if query["taskId"] in dead else None

    world.gateway.on("image2Video/submit", forgets)
    world.gateway.on("image_replace/query", is_dead)
    pair = [product(name, image="photo", script=f"Words for {name}.") for name in "ab"]
    events = world.run(pair)
    failed = [(event.product_id, event.stage) for event in events if isinstance(event, Failed)]
    assert sorted(failed) == [("a", "finishedVideo"), ("b", "finishedVideo")]
    assert world.paid() == (2, 0)


@pytest.mark.parametrize("how", ["one run", "one after the other", "at once"])
def test_products_that_share_a_dead_scene_share_the_new_one(forgetful: World, how: str) -> None:
    pair = [product(name, image="photo", script="Hello.") for name in "ab"]
    forgetful.run(pair)
    forgetful.later(2 * HOUR)
    a, b = (replace(one, script=f"Words for {one.product_id}.") for one in pair)
    if how == "one run":
        runs = [forgetful.run([a, b], **BOTH)]
    elif how == "at once":
        runs = forgetful.run_together(([a], BOTH), ([b], BOTH), ([a], BOTH))
    else:
        runs = [forgetful.run([a], **BOTH), forgetful.run([b], **BOTH)]
    assert {fate for run in runs for fate in fates(run).values()} == {"made"}
    assert forgetful.paid() == (2, 3)


@pytest.mark.parametrize("why", ["forgotten", "forced"])
def test_a_new_scene_of_one_product_costs_no_new_video_of_another(
    forgetful: World, why: str
) -> None:
    """Both products share the scene's work; only one of them needed the scene again."""
    pair = [product(name, image="photo", script=f"Words of {name}.") for name in "ab"]
    forgetful.run(pair)
    forgetful.later(2 * HOUR)
    payer = forgetful.rows()[0].product_id
    first, second = sorted(pair, key=lambda one: one.product_id != payer)
    again = replace(first, script="Other words.") if why == "forgotten" else first
    forgetful.run([again], force=why == "forced", **BOTH)
    assert _generations(forgetful) == [0, 1]
    paid = forgetful.paid()
    assert fates(forgetful.run([second])) == everything("made", second.product_id)
    assert fates(forgetful.run([again])) == everything("made", again.product_id)
    assert forgetful.paid() == paid


@pytest.mark.slow
@pytest.mark.parametrize("after_commit", [False, True], ids=["before", "after"])
def test_no_kill_while_a_scene_is_made_again_pays_twice_or_loses_anything(
    forgetful: World, after_commit: bool
) -> None:
    for write in range(1, 60):
        changed = _video_of_a_dead_scene(forgetful, name=f"p{write}")
        paid = forgetful.paid()
        died = forgetful.kill_at(write, [changed], after_commit=after_commit, **BOTH)
        forgetful.resume([changed])
        fate = fates(forgetful.run([changed], **BOTH))
        unknown = forgetful.rows(TaskState.UNKNOWN)
        lost = {row.stage for row in unknown if row.product_id == changed.product_id}
        # Died between the reservation and the answer: only Topview can tell.
        assert {fate[changed.product_id, stage] for stage in lost} <= {"held"}
        assert lost or set(fate.values()) == {"made"}
        assert all(now - before <= 1 for now, before in zip(forgetful.paid(), paid, strict=True))
        forgetful.later(3 * HOUR)
        if not died:
            break
    assert write > 12
    forgetful.assert_nothing_lost()


@pytest.mark.parametrize(
    ("times", "fate", "reasons"), [(2, "failed", []), (100, "held", [HoldReason.WAITING])]
)
def test_odd_answers_do_not_have_a_living_scene_paid_again(
    world: World, times: int, fate: str, reasons: list[HoldReason]
) -> None:
    """Topview refuses a video for an id in it, and says that its finished scene runs again."""
    world.run([product("a")])
    world.gateway.on("image2Video/submit", envelope(None, code="4004"))
    world.gateway.on("image_replace/query", status("running"), times=times)
    events = world.run([product("a", script="Other words.")], **BOTH)
    assert fates(events) == BOTH_MADE | {("a", "finishedVideo"): fate}
    assert [event.reason for event in events if isinstance(event, Held)] == reasons
    assert (_generations(world), world.paid()) == ([0], (1, 1))


def test_a_voice_that_topview_does_not_know_is_not_the_images_fault(forgetful: World) -> None:
    changed = replace(_video_of_a_dead_scene(forgetful), voice_id=NO_SUCH_ID)
    events = forgetful.run([changed], **BOTH, unknown_ids="fail")
    assert f"no voice {NO_SUCH_ID}" in _failed(events).what
    assert forgetful.paid() == (1, 1)


# A person prefers another image: only the video is made, and paid, again.


def _script_version(events: list[Outcome]) -> str:
    (made,) = (e for e in events if isinstance(e, Made) and e.stage == "finishedVideo")
    return made.inputs["productScript"]


@pytest.mark.parametrize(
    ("column", "choices", "sent"),
    [
        (None, [2], [1, 2]),
        (2, [1], [2, 1]),  # over the catalogue's column
        (None, [2, 1], [1, 2]),  # back to what is there
        (2, [2], [2]),  # taken anyway
    ],
)
def test_a_persons_choice_decides_which_image_speaks(
    world: World, column: int | None, choices: list[int], sent: list[int]
) -> None:
    # In manual mode Topview returns two images.
    one = product("a", location=QUAD, image_edit_prompt=None, chosen_image=column)
    versions = [_script_version(world.run([one]))]
    (scene,) = _rows(world, "replacedImages")
    for image in choices:
        world.ledger.reviews.choose("a", scene.fingerprint, image, who="ann", why="prettier")
        versions.append(_script_version(world.run([one])))
    assert images_sent(world) == sent
    assert world.paid() == (1, len(sent))
    # The data version of the script says so, and only where it changed something.
    assert len(set(versions)) == len(sent)


def test_an_image_chosen_of_a_dead_scene_does_not_count_for_the_new_one(forgetful: World) -> None:
    changed = _video_of_a_dead_scene(forgetful, location=QUAD, image_edit_prompt=None)
    (scene,) = _rows(forgetful, "replacedImages")
    forgetful.ledger.reviews.choose("a", scene.fingerprint, 2, who="ann", why="her hand")
    assert fates(forgetful.run([changed], **BOTH)) == BOTH_MADE
    assert images_sent(forgetful) == [1, 1]
    assert forgetful.paid() == (2, 2)


# No scene is paid for when its video could not succeed.


@pytest.mark.parametrize("column", ["voice_id", "caption_id"])
def test_an_id_that_topview_does_not_list_costs_no_scene(world: World, column: str) -> None:
    products = [product("a", **{column: NO_SUCH_ID}), product("b")]
    events = world.run(products, unknown_ids="fail")
    assert not world.warnings
    bad = {("a", stage): "failed" for stage in SCENE_AND_VIDEO}
    assert fates(events) == everything("made", "a", "b") | bad
    assert f"{NO_SUCH_ID} ({column})" in _failed(events).what
    assert str(getattr(product("b"), column)) in _failed(events).fix
    assert world.counters()["submits"]["image_replace"] == 1
    world.run([products[0]])
    (warning,) = world.warnings
    assert f"{NO_SUCH_ID} ({column})" in warning, "the lists may be incomplete"
    assert world.counters()["submits"]["image_replace"] == 2


@pytest.mark.parametrize(
    ("seconds", "mode", "options", "what"),
    [
        (None, "avatar2", {}, "not a recording"),
        (30.0, "avatar2", {}, "the audio lasts 30.0 s"),
        (40.0, "avatar4", {"when_no_face": "avatar2"}, "mode avatar2 lasts at most 28 s"),
        (200.0, "lite", {}, "a video in mode lite lasts 5 s"),
    ],
)
def test_a_recording_that_cannot_be_sent_costs_no_scene(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float | None,
    mode: str,
    options: dict[str, Any],
    what: str,
) -> None:
    def recorded(_data: bytes, ref: str) -> float:
        if seconds is None:
            raise InputError("not a recording", ref, "Save it as MP3.")
        return seconds

    monkeypatch.setattr("topview_pipeline.engine.inputs.audio_seconds", recorded)
    spoken = product("a", script=None, audio="speech", mode=mode)
    failed = _failed(world.run([spoken], **options))
    assert (failed.stage, what in failed.what) == ("replacedImages", True)
    assert world.counters()["charged"] == 0
