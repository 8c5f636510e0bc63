"""Topview forgets a scene: it is made anew once, where that was ordered, and never overwritten."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.producer.conftest import MakeWorld
from tests.producer.gateway import Gateway, envelope
from tests.producer.world import HOUR, World, fates, product
from topview_pipeline.catalogue import Product
from topview_pipeline.ledger import HeldReason, OrderState, Task, TaskState
from topview_pipeline.producer import Event, Held, Made

VIDEO = ("finishedVideo",)
SCENE_AND_VIDEO = ("replacedImages", "finishedVideo")
_MORE_THAN_A_RUN = 60


@pytest.fixture
def forgetful(make_world: MakeWorld) -> World:
    return make_world(forget_after=HOUR)


def _video_of_a_dead_scene(world: World, *, name: str = "a", **changes: object) -> Product:
    """A product whose scene Topview has forgotten, and whose script is another one since."""
    before = product(name, template_image=f"template of {name}", **changes)
    assert set(fates(world.run([before])).values()) == {"made"}
    world.later(2 * HOUR)
    return replace(before, script="Other words.")


def _scene_rows(world: World) -> list[Task]:
    """Those that came to something: the cut-out's and template's ids died as well."""
    rows = [row for row in world.rows() if row.stage == "replacedImages"]
    return [row for row in rows if row.state is not TaskState.RELEASED]


def _scenes(world: World) -> list[TaskState]:
    return [row.state for row in _scene_rows(world)]


def _paid(world: World) -> dict[str, int]:
    succeeded = world.counters()["succeeded"]
    return {kind: succeeded.get(kind, 0) for kind in ("image_replace", "image2Video")}


def _only_held(events: list[Event], reason: HeldReason) -> Held:
    (held,) = events
    assert isinstance(held, Held)
    assert held.reason is reason
    assert held.until is None
    return held


def test_a_dead_scene_is_made_anew_where_it_was_ordered(forgetful: World) -> None:
    changed = _video_of_a_dead_scene(forgetful)
    events = forgetful.run([changed], stages=SCENE_AND_VIDEO)
    told = [(event.stage, event.task.id) for event in events if isinstance(event, Made)]
    assert [stage for stage, _ in told] == ["replacedImages", "replacedImages", "finishedVideo"]
    assert told[0][1] != told[1][1]
    assert len(events) == 3
    dead, new = _scene_rows(forgetful)
    assert (dead.state, new.state) == (TaskState.SUPERSEDED, TaskState.STORED)
    assert (dead.fingerprint, dead.generation) == (new.fingerprint, new.generation)
    assert _paid(forgetful) == {"image_replace": 2, "image2Video": 2}
    assert forgetful.ledger.orders.open_orders() == []
    # The same again costs nothing.
    again = forgetful.run([changed])
    assert set(fates(again).values()) == {"made"}
    assert _paid(forgetful) == {"image_replace": 2, "image2Video": 2}
    forgetful.assert_nothing_lost()


def test_the_forgotten_scenes_files_stay_and_the_newest_record_is_known(forgetful: World) -> None:
    changed = _video_of_a_dead_scene(forgetful)
    before = {path: path.read_bytes() for path in forgetful.folder.glob("store/*/**/*.*")}
    forgetful.run([changed], stages=SCENE_AND_VIDEO)
    assert {path: path.read_bytes() for path in before} == before
    dead, new = _scene_rows(forgetful)
    read = [json.loads(path.read_bytes()) for path in forgetful.folder.glob("store/**/result.json")]
    records = [record for record in read if record["fingerprint"] == new.fingerprint]
    newest = max(records, key=lambda record: record["anew"])
    assert {record["topview_task_id"]: record["anew"] for record in records} == {
        dead.topview_task_id: 0,
        new.topview_task_id: 1,
    }
    assert newest["artifacts"] == new.artifacts


def test_a_video_alone_is_held_and_names_the_way_out(forgetful: World) -> None:
    changed = _video_of_a_dead_scene(forgetful)
    command = "run --product a --stage replacedImages --stage finishedVideo"
    for _ in range(2):  # nor does the next run ask Topview about an image known to be dead
        held = _only_held(forgetful.run([changed], stages=VIDEO), HeldReason.DEAD_IMAGE)
        assert command in held.detail
        assert forgetful.counters()["submits"]["image2Video"] == 2
    assert _scenes(forgetful) == [TaskState.SUPERSEDED]
    told = fates(forgetful.run([changed], stages=SCENE_AND_VIDEO))
    assert told == dict.fromkeys([("a", stage) for stage in SCENE_AND_VIDEO], "made")
    assert _paid(forgetful) == {"image_replace": 2, "image2Video": 2}


class _Forgetting:
    """Topview has forgotten a scene whenever a video is to be made from it."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.dead: set[str] = set()

    def __call__(self, path: str, query: Mapping[str, str]) -> Any | None:
        if path.endswith("image2Video/submit"):
            self.dead |= self.seen
            return envelope(None, code="4004")
        if path.endswith("image_replace/query"):
            self.seen.add(query["taskId"])
            return envelope(None, code="4004") if query["taskId"] in self.dead else None
        return None


def test_a_scene_that_dies_again_is_not_made_a_third_time_in_one_run(make_world: MakeWorld) -> None:
    world = make_world(server=Gateway)
    assert isinstance(world.server, Gateway)
    world.server.rules.append(_Forgetting())
    pair = [product(name, image="photo", script=f"Words for {name}.") for name in "ab"]
    events = world.run(pair)
    held = [(event.stage, event.reason) for event in events if isinstance(event, Held)]
    assert Counter(held) == {
        ("replacedImages", HeldReason.DEAD_IMAGE): 2,
        ("finishedVideo", HeldReason.UPSTREAM): 2,
    }
    assert _paid(world) == {"image_replace": 2, "image2Video": 0}
    # The sensor leaves it alone; a person may try once more.
    assert world.catch_up(pair) == []
    world.run(pair, stages=SCENE_AND_VIDEO)
    assert _paid(world) == {"image_replace": 3, "image2Video": 0}


@pytest.mark.parametrize("together", [True, False], ids=["one run", "one after the other"])
def test_products_that_share_a_dead_scene_share_the_new_one(
    forgetful: World, together: bool
) -> None:
    pair = [product(name, image="photo", script="Hello.") for name in "ab"]
    forgetful.run(pair)
    forgetful.later(2 * HOUR)
    pair = [replace(one, script=f"Words for {one.product_id}.") for one in pair]
    if together:
        told = fates(forgetful.run(pair, stages=SCENE_AND_VIDEO))
    else:
        told = fates(forgetful.run(pair[:1], stages=SCENE_AND_VIDEO))
        # It did not order the scene: the other one's new scene is its own, too.
        told |= fates(forgetful.run(pair[1:], stages=VIDEO))
    assert set(told.values()) == {"made"}
    assert _paid(forgetful) == {"image_replace": 2, "image2Video": 3}


def test_two_runs_at_once_make_a_dead_scene_anew_once(forgetful: World) -> None:
    pair = [product(name, image="photo", script="Hello.") for name in "ab"]
    forgetful.run(pair)
    forgetful.later(2 * HOUR)
    a, b = (replace(one, script=f"Words for {one.product_id}.") for one in pair)
    ways = {"stages": SCENE_AND_VIDEO}
    told = [fates(run) for run in forgetful.run_together(([a], ways), ([b], ways), ([a], ways))]
    assert {fate for run in told for fate in run.values()} == {"made"}
    assert _paid(forgetful) == {"image_replace": 2, "image2Video": 3}


@pytest.mark.slow
@pytest.mark.parametrize("after_commit", [False, True], ids=["before", "after"])
def test_no_kill_while_a_scene_is_made_anew_pays_twice_or_loses_anything(
    forgetful: World, after_commit: bool
) -> None:
    for write in range(1, _MORE_THAN_A_RUN):
        changed = _video_of_a_dead_scene(forgetful, name=f"p{write}")
        paid = Counter(_paid(forgetful))
        died = forgetful.kill_at(
            write, [changed], after_commit=after_commit, stages=SCENE_AND_VIDEO
        )
        told = fates(forgetful.catch_up([changed]))
        told |= fates(forgetful.run([changed], stages=SCENE_AND_VIDEO))
        unknown = [
            row.stage
            for row in forgetful.rows(TaskState.UNKNOWN)
            if row.product_id == changed.product_id
        ]
        if unknown:  # died between the reservation and the answer: only Topview can tell
            assert told[changed.product_id, unknown[0]] == "held"
        else:
            assert {told[changed.product_id, stage] for stage in SCENE_AND_VIDEO} == {"made"}
        more = Counter(_paid(forgetful)) - paid
        assert max(more.values(), default=0) <= 1
        if not died:
            break
    assert write > 15
    forgetful.assert_nothing_lost()


def test_a_stop_while_a_scene_is_made_anew_withdraws_that_wish_too(forgetful: World) -> None:
    changed = _video_of_a_dead_scene(forgetful)
    forgetful.run([changed], stages=SCENE_AND_VIDEO, stop_after=8.0, run_id="stopped")
    assert _scenes(forgetful) == [TaskState.SUPERSEDED, TaskState.PENDING]
    forgetful.ledger.orders.withdraw_runs(["stopped"], who="terminated")
    assert forgetful.ledger.orders.open_orders() == []
    forgetful.catch_up([changed])
    assert _scenes(forgetful) == [TaskState.SUPERSEDED, TaskState.STORED]


def test_the_event_of_the_dead_scene_closes_its_own_order_only(forgetful: World) -> None:
    """Dagster stores it while the new scene is being made."""
    changed = _video_of_a_dead_scene(forgetful)
    events = forgetful.run([changed], stages=SCENE_AND_VIDEO, keep=False)
    first, second, _ = (event for event in events if isinstance(event, Made))
    assert first.order_id is not None
    assert second.order_id is not None
    forgetful.ledger.orders.done(first.order_id, first.task.id)
    states = {order.id: order.state for order in forgetful.ledger.orders.of_run("run-2")}
    assert states[first.order_id] is OrderState.DONE
    assert states[second.order_id] is OrderState.OPEN


def test_a_person_is_asked_again_which_image_to_take(forgetful: World) -> None:
    """Two scenes in manual mode; a person chose the second of those that are dead now."""
    quad = ((0.2, 0.2), (0.6, 0.2), (0.6, 0.8), (0.2, 0.8))
    changed = _video_of_a_dead_scene(forgetful, location=quad, image_edit_prompt=None)
    (scene,) = _scene_rows(forgetful)
    choices = forgetful.ledger.choices
    choices.choose("a", scene.fingerprint, 2, who="ann", why="her hand is better")
    events = forgetful.run([changed], stages=SCENE_AND_VIDEO)
    held = _only_held([event for event in events if isinstance(event, Held)], HeldReason.CHOICE)
    assert "image 2" in held.detail
    assert _paid(forgetful) == {"image_replace": 2, "image2Video": 1}
    choices.choose("a", scene.fingerprint, 1, who="ann", why="of the new ones")
    assert fates(forgetful.run([changed], stages=VIDEO)) == {("a", "finishedVideo"): "made"}


def test_the_catalogues_choice_counts_again_once_it_was_changed(forgetful: World) -> None:
    quad = ((0.2, 0.2), (0.6, 0.2), (0.6, 0.8), (0.2, 0.8))
    changed = _video_of_a_dead_scene(
        forgetful, location=quad, image_edit_prompt=None, chosen_image=2
    )
    for stages in (SCENE_AND_VIDEO, VIDEO):
        told = fates(forgetful.run([changed], stages=stages))
        assert told["a", "finishedVideo"] == "held"
    for other in (1, None):
        one = replace(changed, chosen_image=other, script=f"Words for image {other}.")
        assert fates(forgetful.run([one], stages=VIDEO)) == {("a", "finishedVideo"): "made"}
    assert _paid(forgetful) == {"image_replace": 2, "image2Video": 3}


_ODD = {
    "finished without images": lambda task_id: envelope({"taskId": task_id, "status": "success"}),
    "running again": lambda task_id: envelope({"taskId": task_id, "status": "running"}),
    "failed": lambda task_id: envelope({"taskId": task_id, "status": "fail"}),
    "unknown": lambda _: envelope(None, code="4004"),
}


class _BlamesTheRequest:
    """Refuses every video for an id in it; the first questions for its scene are answered oddly."""

    def __init__(self, odd: Callable[[str], Any], *, times: int) -> None:
        self._odd = odd
        self._left = times

    def __call__(self, path: str, query: Mapping[str, str]) -> Any | None:
        if path.endswith("image2Video/submit"):
            return envelope(None, code="4004")
        if path.endswith("image_replace/query") and self._left:
            self._left -= 1
            return self._odd(query["taskId"])
        return None


def _with_a_refused_video(world: World, odd: Callable[[str], Any], times: int) -> Product:
    """A product with a living scene, and other words that Topview refuses."""
    assert isinstance(world.server, Gateway)
    world.run([product("a")])
    world.server.rules.append(_BlamesTheRequest(odd, times=times))
    return product("a", script="Other words.")


@pytest.mark.parametrize("odd", _ODD)
def test_one_odd_answer_does_not_have_a_living_scene_paid_again(
    make_world: MakeWorld, odd: str
) -> None:
    world = make_world(server=Gateway)
    changed = _with_a_refused_video(world, _ODD[odd], times=2)
    told = fates(world.run([changed], stages=SCENE_AND_VIDEO))
    assert told == {("a", "replacedImages"): "made", ("a", "finishedVideo"): "failed"}
    assert _scenes(world) == [TaskState.STORED]
    assert _paid(world) == {"image_replace": 1, "image2Video": 1}


@pytest.mark.parametrize("odd", ["running again", "failed"])
def test_a_scene_that_topview_only_answers_oddly_for_is_held_and_asked_for_again(
    make_world: MakeWorld, odd: str
) -> None:
    world = make_world(server=Gateway)
    changed = _with_a_refused_video(world, _ODD[odd], times=100)
    (held,) = (e for e in world.run([changed], stages=SCENE_AND_VIDEO) if isinstance(e, Held))
    assert held.reason is HeldReason.DEAD_IMAGE
    assert held.until is not None
    assert _scenes(world) == [TaskState.STORED]


def test_an_audio_id_of_the_catalogue_is_blamed_before_the_scene(forgetful: World) -> None:
    """Topview says only that some id is dead, and no list of its own has the audio's."""
    changed = replace(
        _video_of_a_dead_scene(forgetful), script=None, voice_id=None, audio_file_id="0" * 32
    )
    told = fates(forgetful.run([changed], stages=SCENE_AND_VIDEO))
    assert told["a", "finishedVideo"] == "failed"
    assert _scenes(forgetful) == [TaskState.STORED]
    assert _paid(forgetful) == {"image_replace": 1, "image2Video": 1}


@pytest.mark.parametrize("whose", ["its own", "another product's"])
def test_a_video_held_for_a_dead_scene_is_due_when_a_new_scene_is_there(
    forgetful: World, whose: str
) -> None:
    a, b = (product(name, image="photo", script="Hello.") for name in "ab")
    forgetful.run([a, b])
    forgetful.later(2 * HOUR)
    a, b = (replace(one, script=f"Words for {one.product_id}.") for one in (a, b))
    _only_held(forgetful.run([b], stages=VIDEO), HeldReason.DEAD_IMAGE)
    assert forgetful.catch_up([b]) == []
    maker = a if whose == "another product's" else b
    forgetful.run([maker], stages=("replacedImages",))
    assert fates(forgetful.catch_up([b])) == {("b", "finishedVideo"): "made"}
    assert forgetful.ledger.orders.open_orders() == []
    assert _paid(forgetful) == {"image_replace": 2, "image2Video": 2}


def test_a_new_scene_of_other_products_frees_no_video_held_for_a_dead_one(
    forgetful: World,
) -> None:
    changed = _video_of_a_dead_scene(forgetful)
    forgetful.run([changed], stages=VIDEO)
    forgetful.run([product("z", template_image="another")])
    (order,) = forgetful.ledger.orders.open_orders()
    assert order.held_reason is HeldReason.DEAD_IMAGE
