"""File ids die at Topview and are made again once; a file that changed is not sent."""

import pytest

from tests.engine.conftest import MakeWorld
from tests.engine.gateway import Late, Raw
from tests.engine.world import HOUR, World, everything, fates, product
from topview_pipeline.catalogue import InputError, InputFile
from topview_pipeline.engine import Failed
from topview_pipeline.ledger import TaskState

SCENE = ["replacedImages"]
NO_SUCH_ID = "0" * 32


def _uploads(world: World) -> int:
    uploads: dict[str, int] = world.counters()["uploads"]
    return uploads.get("puts", 0)


def test_a_file_is_uploaded_once_however_many_products_share_it(world: World) -> None:
    products = [product(name) for name in "abcd"]  # with the same template
    assert fates(world.run(products)) == everything("made", *"abcd")
    assert _uploads(world) == 5


def test_a_forgotten_template_is_uploaded_again_once(make_world: MakeWorld) -> None:
    world = make_world(forget_after=HOUR)
    world.run([product("a")])
    world.later(2 * HOUR)
    before = _uploads(world)
    assert fates(world.run([product("b")])) == everything("made", "b")
    # b's photo, and both files of its scene: Topview does not say which of the ids is dead.
    assert _uploads(world) == before + 3
    assert world.counters()["refused"] == {"4004": 1}


def test_a_forgotten_cut_out_is_uploaded_from_the_store(make_world: MakeWorld) -> None:
    world = make_world(forget_after=HOUR)
    world.run([product("a")], stages=["bgRemovedImage"])
    world.later(2 * HOUR)
    assert fates(world.run([product("a")], stages=SCENE)) == {("a", "replacedImages"): "made"}
    assert world.counters()["submits"] == {"remove_background": 1, "image_replace": 2}
    assert [row.stage for row in world.rows(TaskState.VOID)] == SCENE


def test_a_dead_id_that_cannot_be_made_again_is_the_products_fault(world: World) -> None:
    events = world.run([product("a", image=None, product_image_file_id=NO_SUCH_ID)])
    assert fates(events) == everything("failed", "a")
    assert isinstance(events[0], Failed)
    assert "4004" in events[0].what
    assert world.submits() == 1


def test_a_second_4004_is_final(world: World) -> None:
    for _ in range(2):
        fate = fates(world.run([product("a", template_image=None, avatar_id=NO_SUCH_ID)]))
        assert fate["a", "replacedImages"] == "failed"
        assert world.counters()["submits"]["image_replace"] == 2


def test_a_photo_that_changes_between_hashing_and_uploading_is_not_sent(world: World) -> None:
    read = world.files.sha256

    def sha256(ref: str) -> str:
        before = read(ref)
        if ref.startswith("photo"):
            world.files.contents[ref] = world.files.data(f"newer {ref}")
        return before

    world.files.sha256 = sha256  # type: ignore[method-assign]  # the file changes just then
    (failed, *_) = world.run([product("a")])
    assert isinstance(failed, Failed)
    assert "changed while the run was working" in failed.what
    assert world.submits() == 0


@pytest.mark.parametrize("at", ["sha256", "read"])
def test_a_file_that_cannot_be_read_fails_its_product_and_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    call = getattr(world.files, at)

    def unreadable(ref: str, **options: str) -> InputFile:
        if ref == "photo of a":
            raise InputError("there is no such file", ref, "Put it there.")
        read: InputFile = call(ref, **options)
        return read

    monkeypatch.setattr(world.files, at, unreadable)
    events = world.run([product("a"), product("b")])
    assert fates(events) == everything("failed", "a") | everything("made", "b")
    failed = next(event for event in events if isinstance(event, Failed))
    assert failed.what == "photo of a: there is no such file"
    assert failed.fix == "Put it there."


def test_an_upload_that_topview_cannot_take_now_is_tried_again(world: World) -> None:
    world.gateway.on("/v1/upload/", Raw(503, b"down"), times=5)
    assert fates(world.run([product("a")])) == everything("made", "a")


def test_a_stop_uploads_no_more_than_what_was_under_way(world: World) -> None:
    world.gateway.on("/v1/upload/", Late(5.0))
    world.run([product(f"p{number}") for number in range(40)], stop_after=1.0)
    assert _uploads(world) <= 8
    assert world.submits() == 0
