"""The next slot: later stages first, in a run's tail the longest chains; never one too many."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.conftest import MakeWorld
from tests.engine.world import DAY, HOUR, everything, fates, product
from topview_pipeline.catalogue import Product
from topview_pipeline.engine.slots import WaitingLine
from topview_pipeline.ledger import TaskState

CUT, SCENE, VIDEO = "cut", "scene", "video"
WHOLE = (CUT, SCENE, VIDEO)
SECONDS = {CUT: 3.0, SCENE: 20.0, VIDEO: 45.0}
CHAINS = (WHOLE, (SCENE, VIDEO), (VIDEO,))


def _line(expected: int) -> WaitingLine[str]:
    line: WaitingLine[str] = WaitingLine(SECONDS.__getitem__)
    for _ in range(expected):
        line.expect(WHOLE)
    return line


@pytest.mark.parametrize(
    ("left", "first"),
    [
        (100, ((VIDEO,), "scene")),  # finished videos come early while there is plenty of work
        (4, (WHOLE, "new")),  # the tail begins with the longest chain
    ],
)
def test_the_order_goes_by_the_work_left(left: int, first: tuple[tuple[str, ...], str]) -> None:
    line = _line(expected=100)
    for stage in WHOLE * (100 - left):
        line.finished(stage)
    for chain, item in zip(CHAINS, ("new", "cut", "scene"), strict=True):
        line.join(chain, item)
    assert line.first(4) == first


@given(
    st.lists(st.tuples(st.sampled_from(CHAINS), st.integers(0, 9), st.booleans()), max_size=40),
    st.integers(1, 20),
    st.integers(0, 60),
)
def test_all_who_joined_and_did_not_leave_are_served_once_and_in_their_order(
    moves: list[tuple[tuple[str, ...], int, bool]], slots: int, expected: int
) -> None:
    line: WaitingLine[int] = WaitingLine(SECONDS.__getitem__)
    for _ in range(expected):
        line.expect(WHOLE)
    waiting: list[tuple[tuple[str, ...], int]] = []
    for chain, item, joins in moves:
        if joins and (chain, item) not in waiting:
            line.join(chain, item)
            waiting.append((chain, item))
        elif not joins:
            line.leave(chain, item)
            waiting = [pair for pair in waiting if pair != (chain, item)]
    assert len(line) == len(waiting)
    served = []
    while (first := line.first(slots)) is not None:
        served.append(first)
        line.leave(*first)
    for chain in CHAINS:
        assert [one for one in served if one[0] == chain] == [
            one for one in waiting if one[0] == chain
        ]


@pytest.mark.parametrize("clock_set", [0.0, -DAY])
def test_slots_taken_by_others_are_waited_for(make_world: MakeWorld, clock_set: float) -> None:
    """Topview refuses with 4007: the account's other user, or another machine, has the slots."""
    world = make_world(concurrency=4)
    world.control("PUT", "slots", concurrency=1)
    tasks = world.app.state.world.tasks
    world.clock.loop.call_later(100.0, setattr, world, "skew", clock_set)
    world.clock.loop.call_later(200.0, setattr, tasks, "concurrency", 4)
    started = world.clock.loop.time()
    assert fates(world.run([product(n) for n in "abcd"])) == everything("made", *"abcd")
    assert world.clock.loop.time() - started < HOUR
    assert 0 < world.counters()["refused"]["4007"] < 30
    assert world.rows(TaskState.FAILED, TaskState.UNKNOWN) == []


def test_a_run_keeps_to_fewer_slots_than_the_account_has(make_world: MakeWorld) -> None:
    world = make_world(concurrency=4)
    world.run([product(name) for name in "abcd"], slots=2, stages=["bgRemovedImage"])
    assert world.counters()["slots"]["peak"] == 2


def test_a_row_that_a_dead_run_reserved_frees_its_slot_in_time(make_world: MakeWorld) -> None:
    world = make_world(concurrency=1)
    cut_out = {"stages": ["bgRemovedImage"], "deadline_seconds": {"remove_background": 60.0}}
    for write in range(1, 30):
        # Another product each time: nothing is left that makes the way shorter.
        world.kill_at(write, [product(f"p{write}")], after_commit=True, **cut_out)
        if world.rows(TaskState.RESERVED):
            break
    assert world.ledger.tasks.slots_taken() == 1
    fate = fates(world.run([product("other")], wait_seconds=HOUR, **cut_out))
    assert fate == {("other", "bgRemovedImage"): "made"}


@pytest.mark.slow
def test_a_small_run_does_not_wait_for_the_end_of_a_large_one(make_world: MakeWorld) -> None:
    """A backfill has filled the slots for hours; one product is wanted now."""
    world = make_world(concurrency=2)
    many = [product(f"p{number:02}") for number in range(20)]
    ends: dict[str, float] = {}

    async def run(name: str, products: list[Product], after: float) -> None:
        await asyncio.sleep(after)
        assert set(fates(await world.run_async(products, run_id=name)).values()) == {"made"}
        ends[name] = world.clock.loop.time() - after

    async def both() -> None:
        await asyncio.gather(run("large", many, 0.0), run("small", [product("now")], 60.0))

    world.clock.run(both())
    assert ends["small"] < ends["large"] / 3
    assert world.counters()["slots"]["peak"] == 2
