"""`kill -9` at every write to the ledger, before it and right after its commit; then a restart."""

import pytest

from tests.engine.world import ALL_STAGES, HOUR, World, everything, fates, product
from topview_pipeline.ledger import TaskState

_MORE_THAN_A_RUN = 80


def _kill_and_restart(world: World, write: int, *, after_commit: bool) -> bool:
    """One life and the next, for a new product; tells whether the first was really cut short."""
    name = f"p{write}"
    products = [product(name, template_image=f"template of {name}")]
    died = world.kill_at(write, products, after_commit=after_commit)
    fate = fates(world.run(products))
    unknown = [row.stage for row in world.rows(TaskState.UNKNOWN) if row.product_id == name]
    stored = [row for row in world.rows(TaskState.STORED) if row.product_id == name]
    if unknown:
        # Died between the reservation and the answer: only Topview can tell.
        (stage,) = unknown
        assert fate[name, stage] == "held"
        assert len(stored) == ALL_STAGES.index(stage)
    else:
        assert fate == everything("made", name)
    assert world.resume(products) == []
    world.later(HOUR)  # past the deadlines, so that an unknown row holds no slot
    return died


@pytest.mark.slow
@pytest.mark.parametrize("after_commit", [False, True], ids=["before", "after"])
def test_no_kill_at_any_write_pays_twice_or_loses_anything(
    world: World, after_commit: bool
) -> None:
    write = 1
    while _kill_and_restart(world, write, after_commit=after_commit):
        write += 1
        assert write < _MORE_THAN_A_RUN
    assert write > 20
    # What was never sent is void in time; what was charged stays a person's question.
    assert world.rows(TaskState.VOID if after_commit else TaskState.UNKNOWN)
    world.assert_nothing_paid_twice()
    world.assert_nothing_lost()


@pytest.mark.slow
@pytest.mark.parametrize("after_commit", [False, True], ids=["before", "after"])
def test_a_kill_of_the_sensors_run_loses_nothing(world: World, after_commit: bool) -> None:
    """Orphans in every state: a pending task, a failed one that is due, one not yet reported."""
    for write in range(1, _MORE_THAN_A_RUN):
        pending, failed, stored = (product(f"{name}{write}") for name in ("p", "f", "s"))
        cut_out = {"stages": ["bgRemovedImage"]}
        world.run([stored], report=False, **cut_out)
        world.set_faults(fail=1.0)
        world.run([failed], wait_seconds=20.0, **cut_out)
        world.set_faults()
        world.run([pending], wait_seconds=0.0, **cut_out)
        world.later(60.0)
        died = world.kill_at(
            write, [pending, failed, stored], after_commit=after_commit, sensor=True
        )
        for _ in range(3):
            world.resume([pending, failed, stored])
            world.later(HOUR)
        ends = {row.product_id: row.state for row in world.rows()}
        states = {ends[one.product_id] for one in (pending, failed, stored)}
        # Of the free kind: what may have been sent is void in time, and left to a person's run.
        assert states <= {TaskState.STORED, TaskState.VOID, TaskState.UNKNOWN}
        assert ends[pending.product_id] is ends[stored.product_id] is TaskState.STORED
        if not died:
            break
    assert write > 8
    assert world.ledger.orphans.all() == []


def test_a_run_killed_again_and_again_still_comes_to_its_end(world: World) -> None:
    products = [product(name) for name in "abc"]
    for write in (7, 11, 15, 19, 23, 27):
        world.kill_at(write, products, after_commit=write % 2 == 0)
    world.later(HOUR)
    fate = fates(world.run(products))
    unknown = {row.product_id for row in world.rows(TaskState.UNKNOWN)}
    assert {name for (name, _), how in fate.items() if how != "made"} <= unknown
    world.assert_nothing_lost()


def test_the_next_run_does_not_wait_for_a_dead_one(world: World) -> None:
    world.kill_at(12, [product("a")], after_commit=True)
    started = world.machine()
    world.run([product("a")])
    assert world.machine() - started < 300.0
