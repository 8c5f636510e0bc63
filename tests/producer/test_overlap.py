"""Two runs over the same products, and two products over the same photo."""

from tests.producer.conftest import MakeWorld
from tests.producer.world import World, everything, fates, product
from topview_pipeline.producer import Made


def test_two_producers_at_once_over_the_same_products_pay_once(world: World) -> None:
    products = [product(name) for name in "abc"]
    one, other = world.run_together((products, {}), (products, {}))
    assert fates(one) == everything("made", *"abc")
    assert fates(other) == everything("made", *"abc")
    assert world.submits() == 9
    world.assert_nothing_paid_twice()
    world.assert_nothing_lost()


def test_two_producers_over_different_products_share_the_slots(world: World) -> None:
    one, other = world.run_together(
        ([product(name) for name in "abc"], {}), ([product(name) for name in "xyz"], {})
    )
    assert fates(one) | fates(other) == everything("made", *"abcxyz")
    assert world.counters()["slots"]["peak"] == 4
    world.assert_nothing_paid_twice()


def test_a_run_over_one_stage_and_a_run_over_all_meet(world: World) -> None:
    one, other = world.run_together(
        ([product("a")], {"stages": ["bgRemovedImage"]}), ([product("a")], {})
    )
    assert fates(one) == {("a", "bgRemovedImage"): "made"}
    assert fates(other) == everything("made", "a")
    assert world.submits() == 3


def test_a_run_that_waits_learns_why_the_other_run_failed(make_world: MakeWorld) -> None:
    world = make_world(faults={"moderation": 1.0})
    one, other = world.run_together(([product("a")], {}), ([product("a")], {}))
    assert fates(one) == fates(other) == everything("failed", "a")
    assert world.submits() == 1


def test_products_that_share_a_photo_pay_once_and_both_are_told(world: World) -> None:
    products = [product("a", image="photo"), product("b", image="photo", script="Other words.")]
    events = world.run(products)
    assert fates(events) == everything("made", "a", "b")
    made = {(e.product_id, e.stage): e.task.id for e in events if isinstance(e, Made)}
    assert made["a", "bgRemovedImage"] == made["b", "bgRemovedImage"]
    assert made["a", "replacedImages"] == made["b", "replacedImages"]
    assert made["a", "finishedVideo"] != made["b", "finishedVideo"]
    assert world.counters()["submits"] == {
        "remove_background": 1,
        "image_replace": 1,
        "image2Video": 2,
    }


def test_products_that_share_a_photo_forced_in_one_run_pay_once(world: World) -> None:
    products = [product("a", image="photo"), product("b", image="photo")]
    world.run(products, stages=["bgRemovedImage"])
    told = fates(world.run(products, stages=["bgRemovedImage"], force=True, run_id="forced"))
    assert told == {("a", "bgRemovedImage"): "made", ("b", "bgRemovedImage"): "made"}
    assert world.submits() == 2
    # Re-executed, as Dagster does after a failure: the same root run wants the same generation.
    world.run(products, stages=["bgRemovedImage"], force=True, root_run_id="forced")
    assert world.submits() == 2
    world.run(products, stages=["bgRemovedImage"], force=True)
    assert world.submits() == 3


def test_a_forced_run_killed_and_gone_on_with_by_the_sensor_pays_once(world: World) -> None:
    products = [product("a", image="photo"), product("b", image="photo")]
    world.run(products, stages=["bgRemovedImage"])
    options = {"stages": ["bgRemovedImage"], "force": True, "run_id": "forced"}
    for write in range(1, 60):
        world.kill_at(write, products, after_commit=True, **options)
        if len(world.ledger.orders.open_orders()) == 2:
            break
    assert fates(world.catch_up(products)) == {
        ("a", "bgRemovedImage"): "made",
        ("b", "bgRemovedImage"): "made",
    }
    world.run(products, stages=["bgRemovedImage"], force=True, root_run_id="forced")
    assert world.submits() == 2


def test_after_a_forced_video_only_the_video_is_new(world: World) -> None:
    world.run([product("a")])
    told = fates(world.run([product("a")], stages=["finishedVideo"], force=True))
    assert told == {("a", "finishedVideo"): "made"}
    assert world.counters()["submits"]["image2Video"] == 2
    assert world.submits() == 4
    world.run([product("a")])  # a plain run goes on with what was forced
    assert world.submits() == 4


def test_a_second_run_waits_for_the_first_ones_task_instead_of_sending_it(
    world: World,
) -> None:
    slow, quick = world.run_together(
        ([product("a")], {"stages": ["bgRemovedImage"]}),
        ([product("a")], {"stages": ["bgRemovedImage"], "wait_seconds": 0.0}),
    )
    assert fates(slow) == {("a", "bgRemovedImage"): "made"}
    assert fates(quick)["a", "bgRemovedImage"] in ("parked", "made")
    assert world.submits() == 1
