"""Failed tasks: three attempts by itself, one more for each run that a person starts."""

from tests.producer.conftest import MakeWorld
from tests.producer.world import World, everything, fates, product
from topview_pipeline.ledger import HeldReason, TaskState
from topview_pipeline.producer import Failed, Held

_CUTOUT = {"stages": ["bgRemovedImage"]}


def _attempts(world: World) -> int:
    return len(world.rows(TaskState.FAILED))


def test_three_attempts_by_itself_then_it_says_so(make_world: MakeWorld) -> None:
    world = make_world(faults={"fail": 1.0})
    (failed,) = world.run([product("a")], **_CUTOUT)
    assert isinstance(failed, Failed)
    assert "failed 3 times" in failed.what
    assert "one more attempt" in failed.mend
    assert _attempts(world) == 3


def test_each_explicit_run_gives_one_more_attempt(make_world: MakeWorld) -> None:
    world = make_world(faults={"fail": 1.0})
    world.run([product("a")], **_CUTOUT)
    for attempts in (4, 5):
        assert fates(world.run([product("a")], **_CUTOUT)) == {("a", "bgRemovedImage"): "failed"}
        assert _attempts(world) == attempts
    world.set_faults()
    assert fates(world.run([product("a")], **_CUTOUT)) == {("a", "bgRemovedImage"): "made"}


def test_products_that_share_a_photo_share_its_attempts(make_world: MakeWorld) -> None:
    world = make_world(faults={"fail": 1.0})
    products = [product("a", image="photo"), product("b", image="photo")]
    world.run(products, **_CUTOUT)
    assert _attempts(world) == 3
    world.run(products, **_CUTOUT)
    assert _attempts(world) == 4


def test_attempts_lie_further_and_further_apart(make_world: MakeWorld) -> None:
    world = make_world(faults={"fail": 1.0})
    world.run([product("a")], **_CUTOUT)
    first, second, third = world.rows(TaskState.FAILED)
    assert first.closed_at is not None
    assert second.closed_at is not None
    assert second.reserved_at - first.closed_at >= 30.0
    assert third.reserved_at - second.closed_at >= 60.0


def test_the_sensors_run_waits_until_the_retry_is_due(make_world: MakeWorld) -> None:
    world = make_world(faults={"fail": 1.0})
    events = world.run([product("a")], wait_seconds=20.0, **_CUTOUT)
    (held,) = events
    assert isinstance(held, Held)
    assert held.reason is HeldReason.RETRY
    assert held.until is not None
    world.set_faults()
    assert world.catch_up([product("a")]) == []
    assert _attempts(world) == 1
    world.later(held.until - world.machine() + 1.0)
    assert fates(world.catch_up([product("a")])) == {("a", "bgRemovedImage"): "made"}


def test_a_refusal_is_final_until_force(make_world: MakeWorld) -> None:
    world = make_world(faults={"moderation": 1.0})
    first = world.run([product("a")])
    assert fates(first) == everything("failed", "a")
    world.set_faults()
    again = world.run([product("a")])
    assert fates(again) == everything("failed", "a")
    (refused, *_) = again
    assert isinstance(refused, Failed)
    assert "Security problem" in refused.what
    assert "UTC" in refused.what
    assert world.submits() == 1
    told = fates(world.run([product("a")], force=True))
    assert told == everything("made", "a")


def test_a_refused_product_whose_photo_was_changed_is_sent(make_world: MakeWorld) -> None:
    world = make_world(faults={"moderation": 1.0})
    world.run([product("a")])
    world.set_faults()
    assert fates(world.run([product("a", image="better")])) == everything("made", "a")


def test_a_failed_task_for_policy_is_not_tried_again(world: World) -> None:
    world.run([product("a")], wait_seconds=0.0, **_CUTOUT)
    for task in world.app.state.world.state.tasks.values():
        task.planned_error = "The image violates our content policy: https://x/y?token=secret"
    events = world.run([product("a")], **_CUTOUT)
    assert fates(events) == {("a", "bgRemovedImage"): "failed"}
    assert world.submits() == 1
    (row,) = world.rows()
    assert row.retryable is False
    assert "secret" not in str(row.error_message)
