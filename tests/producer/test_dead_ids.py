"""Ids of files die at Topview: they are uploaded anew once. Dead scenes: test_dead_scenes.py."""

from tests.producer.conftest import MakeWorld
from tests.producer.world import HOUR, World, everything, fates, product
from topview_pipeline.ledger import TaskState
from topview_pipeline.producer import Failed


def test_a_forgotten_template_is_uploaded_again_once(make_world: MakeWorld) -> None:
    world = make_world(forget_after=HOUR)
    world.run([product("a")])
    world.later(2 * HOUR)
    puts = world.counters()["uploads"]["puts"]
    assert fates(world.run([product("b")])) == everything("made", "b")
    # b's photo, and both files of its scene: Topview does not say which of the ids is dead.
    assert world.counters()["uploads"]["puts"] == puts + 3
    assert world.counters()["refused"] == {"4004": 1}


def test_a_forgotten_cut_out_is_uploaded_from_the_store(make_world: MakeWorld) -> None:
    world = make_world(forget_after=HOUR)
    world.run([product("a")], stages=["bgRemovedImage"])
    world.later(2 * HOUR)
    told = fates(world.run([product("a")], stages=["replacedImages"]))
    assert told == {("a", "replacedImages"): "made"}
    assert world.counters()["submits"] == {"remove_background": 1, "image_replace": 2}
    assert [row.stage for row in world.rows(TaskState.RELEASED)] == ["replacedImages"]
    # Whoever shares it takes the newer id, and another run does not upload it again.
    world.run([product("a", image_edit_prompt="elsewhere")], stages=["replacedImages"])
    world.assert_nothing_paid_twice()


def test_a_dead_id_that_cannot_be_made_anew_is_the_products_fault(world: World) -> None:
    events = world.run([product("a", image=None, product_image_file_id="0" * 32)])
    assert fates(events) == everything("failed", "a")
    (first, *_) = events
    assert isinstance(first, Failed)
    assert "4004" in first.what
    assert world.submits() == 1


def test_a_second_4004_is_final(world: World) -> None:
    events = world.run([product("a", template_image=None, avatar_id="0" * 32)])
    told = fates(events)
    assert told["a", "replacedImages"] == "failed"
    assert world.counters()["submits"]["image_replace"] == 2
    world.run([product("a", template_image=None, avatar_id="0" * 32)])
    assert world.counters()["submits"]["image_replace"] == 2


def test_a_voice_that_topview_does_not_know_is_not_the_images_fault(world: World) -> None:
    world.run([product("a")], stages=["bgRemovedImage", "replacedImages"])
    events = world.run([product("a", voice_id="0" * 32)], stages=["finishedVideo"])
    assert fates(events)["a", "finishedVideo"] == "failed"
    (failed,) = (event for event in events if isinstance(event, Failed))
    assert "voiceId" in failed.what


def test_a_flaky_network_does_not_blame_the_request_for_a_dead_image(
    make_world: MakeWorld,
) -> None:
    for seed in range(5):
        world = make_world(forget_after=HOUR, seed=seed)
        world.run([product("a")])
        world.later(2 * HOUR)
        world.set_faults(err500=0.4, http429=0.2)
        try:
            told = fates(world.run([product("a", script="Other.")], stages=["finishedVideo"]))
        except Exception as error:  # noqa: BLE001 - the probe met the fault too
            assert "no usable answer" in str(error)  # noqa: PT017
            continue
        assert told == {("a", "finishedVideo"): "held"}
