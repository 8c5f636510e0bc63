"""What is stored is free; what changed is made anew, and only that."""

from pathlib import Path
from typing import Any

import pytest

from tests.producer.conftest import MakeWorld
from tests.producer.world import DAY, World, everything, fates, product
from topview_pipeline.ledger import HeldReason, TaskState
from topview_pipeline.producer import Failed, Held, Made


def _submits(world: World) -> dict[str, int]:
    submits: dict[str, int] = world.counters()["submits"]
    return submits


def test_a_second_run_pays_nothing(world: World) -> None:
    first = world.run([product("a")])
    submitted = world.submits()
    second = world.run([product("a")])
    assert fates(second) == everything("made", "a")
    assert world.submits() == submitted
    assert [e.task.id for e in first if isinstance(e, Made)] == [
        e.task.id for e in second if isinstance(e, Made)
    ]
    assert all(e.task.materialized_at for e in second if isinstance(e, Made))


@pytest.mark.parametrize(
    ("changes", "new"),
    [
        ({"script": "Other words."}, {"image2Video": 2}),
        ({"mode": "pro"}, {"image2Video": 2}),
        ({"image_edit_prompt": "on a table"}, {"image_replace": 2, "image2Video": 2}),
        ({"template_image": "other"}, {"image_replace": 2, "image2Video": 2}),
        ({"image": "x"}, {"remove_background": 2, "image_replace": 2, "image2Video": 2}),
    ],
    ids=["script", "mode", "prompt", "template", "photo"],
)
def test_a_change_makes_anew_what_it_shapes_and_no_more(
    world: World, changes: dict[str, Any], new: dict[str, int]
) -> None:
    before = {"remove_background": 1, "image_replace": 1, "image2Video": 1}
    world.run([product("a")])
    assert _submits(world) == before
    assert fates(world.run([product("a", **changes)])) == everything("made", "a")
    assert _submits(world) == before | new
    world.run([product("a")])  # back again: everything is still there
    assert _submits(world) == before | new


def test_other_bytes_under_the_same_name_are_another_photo(world: World) -> None:
    world.run([product("a")], stages=["bgRemovedImage"])
    world.inputs.contents["photo of a"] = world.inputs.data("another photo")
    world.run([product("a")], stages=["bgRemovedImage"])
    assert _submits(world) == {"remove_background": 2}


def test_a_photo_that_changes_between_reading_and_uploading_is_not_sent(world: World) -> None:
    read = world.inputs.sha256

    def sha256(ref: str) -> str:
        before = read(ref)
        if ref.startswith("photo"):
            world.inputs.contents[ref] = world.inputs.data(f"newer {ref}")
        return before

    world.inputs.sha256 = sha256  # type: ignore[method-assign]  # the file changes just then
    (failed, *_) = world.run([product("a")])
    assert isinstance(failed, Failed)
    assert "changed while the run was working" in failed.what
    assert world.submits() == 0


def test_a_task_that_ran_when_its_inputs_changed_is_finished_first(world: World) -> None:
    world.run([product("a")], stages=["bgRemovedImage"], wait_seconds=0.0)
    events = world.run([product("a", image="new photo")], stages=["bgRemovedImage"])
    old, new = (event for event in events if isinstance(event, Made))
    assert (old.order_id, new.order_id is None) == (None, False)
    assert old.inputs != new.inputs
    assert len(world.rows(TaskState.STORED)) == 2
    assert _submits(world) == {"remove_background": 2}


def test_one_stage_works_on_the_upstream_last_stored_and_makes_no_other(world: World) -> None:
    (failed,) = world.run([product("a")], stages=["finishedVideo"])
    assert isinstance(failed, Failed)
    assert "materialize replacedImages first" in failed.mend
    assert world.submits() == 0
    world.run([product("a")])
    changed = product("a", image="new photo", script="Other words.")
    world.run([changed], stages=["finishedVideo"])
    assert _submits(world)["image2Video"] == 2
    assert _submits(world)["remove_background"] == 1


def _stored_files(world: World, name: str) -> list[Path]:
    return sorted((world.folder / "store").rglob(name))


def test_a_deleted_file_is_downloaded_again_and_not_paid_again(world: World) -> None:
    world.run([product("a")])
    (video,) = _stored_files(world, "video.mp4")
    whole = video.read_bytes()
    video.unlink()
    submitted = world.submits()
    assert fates(world.run([product("a")])) == everything("made", "a")
    assert video.read_bytes() == whole
    assert world.submits() == submitted


def test_two_runs_that_miss_the_same_file_bring_it_back_together(world: World) -> None:
    world.run([product("a")])
    for file in _stored_files(world, "*.p*g"):
        file.unlink()
    one, other = world.run_together(([product("a")], {}), ([product("a")], {}))
    assert fates(one) == fates(other) == everything("made", "a")
    assert world.submits() == 3


def test_a_file_deleted_after_topview_threw_it_away_is_expired_and_only_force_pays(
    world: World,
) -> None:
    world.run([product("a")])
    world.later(8 * DAY)
    (video,) = _stored_files(world, "video.mp4")
    video.unlink()
    events = world.run([product("a")])
    (held,) = (event for event in events if isinstance(event, Held))
    assert held.reason is HeldReason.EXPIRED
    assert held.until is None
    assert _submits(world)["image2Video"] == 1
    assert fates(world.run([product("a")], stages=["finishedVideo"], force=True)) == {
        ("a", "finishedVideo"): "made"
    }
    assert _submits(world)["image2Video"] == 2


def test_a_cut_out_of_the_free_kind_that_expired_is_made_anew_by_itself(world: World) -> None:
    world.run([product("a")], stages=["bgRemovedImage"])
    world.later(8 * DAY)
    for file in _stored_files(world, "cutout.png"):
        file.unlink()
    told = fates(world.run([product("a")], stages=["bgRemovedImage"]))
    assert told == {("a", "bgRemovedImage"): "made"}
    assert _submits(world) == {"remove_background": 2}


def test_a_store_that_is_not_mounted_holds_and_pays_nothing(world: World) -> None:
    world.run([product("a")])
    store = world.folder / "store"
    store.rename(world.folder / "elsewhere")
    submitted = world.submits()
    told = fates(world.run([product("a")]))
    assert set(told.values()) == {"held"}
    (world.folder / "elsewhere").rename(store)
    assert fates(world.run([product("a")])) == everything("made", "a")
    assert world.submits() == submitted


def test_the_real_accounts_work_is_not_taken_for_the_sandboxs(make_world: MakeWorld) -> None:
    world = make_world()
    other = make_world(uid="AnotherUid0000000002")
    world.run([product("a")], stages=["bgRemovedImage"])
    other.run([product("a")], stages=["bgRemovedImage"])
    (row,), (another,) = world.rows(), other.rows()
    assert row.fingerprint != another.fingerprint
