"""Runs as a whole: every fault, runs that overlap, wait times, a person's stop, calls that hang."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.conftest import MakeWorld
from tests.engine.gateway import Late, status
from tests.engine.world import (
    ALL_FAULTS,
    ALL_STAGES,
    CUT_OUT,
    HOUR,
    World,
    everything,
    fates,
    product,
)
from topview_pipeline.engine import Held, HoldReason, Made
from topview_pipeline.engine.engine import _ANSWER_SECONDS
from topview_pipeline.engine.product_run import ProductRun
from topview_pipeline.engine.submit import Submitter
from topview_pipeline.ledger import Review, TaskState

RUINS = ("empty_cutout", "no_product", "no_face")
DELAYS_ONLY = ("busy", "http429", "slow_query", "nourl", "cut_download", "notfound_grace")

# Every fault of the world, alone and all at once: nothing twice, nothing lost, all named.


@pytest.mark.parametrize("fault", ALL_FAULTS)
def test_a_fault_that_strikes_often_costs_nothing_twice(make_world: MakeWorld, fault: str) -> None:
    seed = 4 if fault in RUINS else 3  # one draw a task: with some seeds none of two strikes
    world = make_world(faults={fault: 0.4}, seed=seed, slow_seconds=3.0, grace_seconds=10.0)
    products = [product(name) for name in "ab"]
    fate = fates(world.run(products, wait_seconds=24 * HOUR))
    assert set(fate) == set(everything("any", *"ab"))
    assert world.counters()["faults"][fault] > 0
    if fault in DELAYS_ONLY:
        assert set(fate.values()) == {"made"}
    world.set_faults()
    world.run(products)
    world.assert_nothing_lost()


# Runs that overlap.


@pytest.mark.parametrize("names", ["ab", "bc", "xy"])
def test_two_runs_at_once_pay_once_and_share_the_slots(world: World, names: str) -> None:
    ab, others = ([product(name) for name in some] for some in ("ab", names))
    one, other = world.run_together((ab, {}), (others, {}))
    assert fates(one) == everything("made", *"ab")
    assert fates(other) == everything("made", *names)
    assert world.submits() == 3 * len({*"ab", *names})
    world.assert_nothing_lost()


@pytest.mark.parametrize("wait", [0.0, 1800.0])
def test_a_second_run_waits_for_the_first_ones_task(world: World, wait: float) -> None:
    one, other = world.run_together(
        ([product("a")], {}), ([product("a")], {"wait_seconds": wait, **CUT_OUT})
    )
    assert fates(one) == everything("made", "a")
    assert fates(other)["a", "bgRemovedImage"] == ("made" if wait else "held")
    assert world.submits() == 3


def test_a_run_that_waits_learns_why_the_other_run_failed(make_world: MakeWorld) -> None:
    world = make_world(faults={"moderation": 1.0})
    one, other = world.run_together(([product("a")], {}), ([product("a")], {}))
    assert fates(one) == fates(other) == everything("failed", "a")
    assert world.submits() == 1


# Wait times.


def test_no_wait_fills_the_slots_and_the_next_runs_go_on_until_all_is_made(world: World) -> None:
    products = [product(f"p{number}") for number in range(6)]
    started = world.machine()
    events = world.run(products, wait_seconds=0.0)
    assert world.machine() - started < 3.0
    assert [row.state for row in world.rows()] == [TaskState.PENDING] * 4
    assert fates(events) == everything("held", *(f"p{number}" for number in range(6)))
    for _ in range(30):
        world.later(60.0)
        if set(fates(world.run(products, wait_seconds=0.0)).values()) == {"made"}:
            break
    assert {row.state for row in world.rows()} == {TaskState.STORED}
    assert world.submits() == 18


def test_a_product_that_does_not_move_is_held_and_the_others_are_made(world: World) -> None:
    world.run([product("stuck")], wait_seconds=0.0)
    (row,) = world.rows()
    world.gateway.on("/query", status("running", of=row.topview_task_id))
    never = {"remove_background": 1e6}
    both = [product("stuck"), product("a")]
    events = world.run(both, wait_seconds=120.0, deadline_seconds=never)
    assert fates(events) == everything("made", "a") | everything("held", "stuck")
    whats = {event.stage: event.what for event in events if isinstance(event, Held)}
    assert whats["bgRemovedImage"] == "the run's wait time (TOPVIEW_WAIT_SECONDS) is over"
    assert whats["finishedVideo"] == "waits for the cut-out"


def test_a_run_that_waits_says_why_topview_takes_nothing(world: World) -> None:
    world.set_faults(busy=1.0)
    held, *_ = world.run([product("a")], wait_seconds=60.0)
    assert isinstance(held, Held)
    assert (held.reason, "refused for now" in held.what) == (HoldReason.WAITING, True)


# A person's stop.


def test_a_stop_sends_nothing_new_and_what_runs_comes_home_later(world: World) -> None:
    products = [product(f"p{number}") for number in range(8)]
    events = world.run(products, stop_after=4.0)
    assert all(isinstance(event, Made) for event in events)
    submitted = world.submits()
    assert submitted < 8
    assert world.rows(TaskState.RESERVED, TaskState.UNKNOWN) == []
    world.resume(products)
    assert {row.state for row in world.rows()} == {TaskState.STORED}
    assert world.submits() == submitted
    world.assert_nothing_lost()


@pytest.mark.parametrize("ledger_seconds", [0.0, 0.2], ids=["SQLite", "a server far away"])
def test_a_stop_at_any_moment_leaves_no_row_reserved(
    make_world: MakeWorld, ledger_seconds: float
) -> None:
    world = make_world(concurrency=2)
    for tenths in range(0, 60, 8):
        products = [product(f"p{tenths}-{number}") for number in range(3)]
        late = {"ledger_seconds": ledger_seconds, "stop_after": tenths / 10}
        world.run(products, **late, **CUT_OUT)
        assert world.rows(TaskState.RESERVED, TaskState.UNKNOWN) == []


@pytest.mark.slow
def test_no_call_of_a_far_ledger_holds_up_the_event_loop(make_world: MakeWorld) -> None:
    """Each of them would stop all polls and submits for as long as its server takes."""
    world = make_world(concurrency=2)
    far: dict[str, Any] = {"ledger_seconds": 0.05, "day_limit": 1000.0}
    world.set_faults(drop_submit=0.3, fail=0.3)
    products = [product(f"p{number}") for number in range(4)]
    world.run(products, canary=1, gate="approve", stop_after=30.0, **far)
    world.set_faults()
    world.later(HOUR)
    world.resume(products, **far)
    world.assert_nothing_paid_twice()
    for row in world.rows(TaskState.STORED):
        decision = Review(decision="again" if row.product_id == "p0" else "approved")
        key = row.product_id, row.fingerprint
        world.ledger.reviews.decide({key: decision}, who="Ada", why="a look at it")
    world.run(products, **far)
    world.run(products[1:], stages=ALL_STAGES[2:], force=True, **far)
    assert {row.stage for row in world.rows(TaskState.STORED)} == {*ALL_STAGES}


def test_a_reader_that_goes_away_leaves_everything_for_the_next_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster's database is full, so the op that stores the events fails."""

    def no_room(*_: object, **__: object) -> None:
        raise OSError("no space left for the event")

    with monkeypatch.context() as patch:
        patch.setattr(world.ledger.tasks, "reported", no_room)
        with pytest.raises(OSError, match="no space left"):
            world.run([product("a"), product("b")])
    assert world.rows(TaskState.RESERVED, TaskState.UNKNOWN) == []
    world.later(60.0)
    assert fates(world.run([product("a"), product("b")])) == everything("made", "a", "b")
    world.assert_nothing_lost()


# Topview takes a call and does not answer.

_PRODUCTS = [product(f"p{number}") for number in range(20)]
_SLOTS = 6


@pytest.fixture
def hanging(make_world: MakeWorld) -> World:
    return make_world(concurrency=_SLOTS)


def _seconds_of_a_run(world: World, **options: Any) -> tuple[float, set[str]]:
    started = world.machine()
    fate = fates(world.run(_PRODUCTS, **options))
    return world.machine() - started, set(fate.values())


@pytest.mark.parametrize("wait", [0.0, 60.0])
def test_queries_that_never_answer_keep_no_run_too_long(hanging: World, wait: float) -> None:
    hanging.gateway.on("/query", Late(HOUR))
    seconds, fate = _seconds_of_a_run(hanging, wait_seconds=wait)
    assert wait <= seconds < max(wait, _ANSWER_SECONDS) + 15.0
    assert fate == {"held"}
    assert [row.state for row in hanging.rows()] == [TaskState.PENDING] * _SLOTS


@pytest.mark.parametrize("part", ["/query", "/detail"], ids=["queries", "the first question"])
def test_a_stop_does_not_wait_for_answers_that_can_be_had_again(hanging: World, part: str) -> None:
    hanging.gateway.on(part, Late(HOUR))
    seconds, fate = _seconds_of_a_run(hanging, stop_after=20.0)
    assert seconds == pytest.approx(20.0, abs=0.5)
    assert fate == set()
    assert hanging.rows(TaskState.RESERVED, TaskState.UNKNOWN) == []


@pytest.mark.parametrize("ends", [{"stop_after": 25.0}, {"wait_seconds": 1.0}])
def test_a_run_ends_after_the_answer_to_a_submit(hanging: World, ends: dict[str, float]) -> None:
    hanging.gateway.on("/submit", Late(40.0))
    seconds, _ = _seconds_of_a_run(hanging, **ends)
    assert 40.0 <= seconds < 60.0
    assert [row.state for row in hanging.rows()] == [TaskState.PENDING] * _SLOTS


def test_a_short_wait_still_lets_the_first_answers_come(hanging: World) -> None:
    hanging.run(_PRODUCTS[:4], wait_seconds=0.0)
    hanging.later(HOUR / 4)
    hanging.gateway.on("/query", Late(5.0))
    hanging.run(_PRODUCTS[:4], wait_seconds=0.0)
    stored = [row for row in hanging.rows(TaskState.STORED) if row.stage == "bgRemovedImage"]
    assert len(stored) == 4


def test_a_list_that_hangs_delays_the_scenes_and_stops_none(hanging: World) -> None:
    hanging.gateway.on("/voice/query", Late(HOUR))
    assert fates(hanging.run([product("a")])) == everything("made", "a")


# Many products begin while the first ones are at Topview.


@pytest.mark.slow
def test_an_answer_waits_for_few_beginnings_while_enough_products_are_in_line(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real answer takes several rounds of the loop: connect, write, wait, read and so on."""
    world.gateway.on("", Late(0.0))
    run, post = ProductRun.run, Submitter._post
    begun: list[ProductRun] = []
    waited_for: list[int] = []

    async def counted(self: ProductRun) -> None:
        begun.append(self)
        await run(self)

    async def noticed(self: Submitter, *args: Any) -> Any:
        before = len(begun)
        answer = await post(self, *args)
        waited_for.append(len(begun) - before)
        return answer

    monkeypatch.setattr(ProductRun, "run", counted)
    monkeypatch.setattr(Submitter, "_post", noticed)
    products = [product(f"p{number}") for number in range(60)]
    assert set(fates(world.run(products, **CUT_OUT)).values()) == {"made"}
    assert max(waited_for) < 8
