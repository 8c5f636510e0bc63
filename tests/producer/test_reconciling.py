"""Lost answers in the credit log: brought home, released in time, or left to a person."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.producer.conftest import MakeWorld
from tests.producer.world import World, everything, fates, product
from topview_pipeline.ledger import HeldReason, TaskState
from topview_pipeline.producer import Held
from topview_pipeline.producer.findings import Leave, Rules
from topview_pipeline.producer.reconciling import Report, reconcile

SCENE_DEADLINE = 1200.0
A_MOMENT = 300.0
"""Longer than the lost task runs."""


def lose(world: World, *names: str) -> None:
    """The answers to the submits of these products' scenes are lost; Topview accepted them."""
    products = [product(name) for name in names]
    world.run(products, stages=["bgRemovedImage"])
    world.set_faults(drop_submit=1.0)
    world.run(products)
    world.set_faults()
    assert len(world.rows(TaskState.UNKNOWN)) == len(names)


def lose_uncharged(world: World, name: str = "a") -> None:
    """As `lose`, but the lost task fails there."""
    world.run([product(name)], stages=["bgRemovedImage"])
    world.set_faults(drop_submit=1.0, fail=1.0)
    world.run([product(name)])
    world.set_faults()


def look(world: World, rules: Rules | None = None) -> Report:
    """A look at the log outside of a run, as the sensor does it."""

    async def once() -> Report:
        async with world.client() as client:
            return await reconcile(client, world.ledger, rules or Rules(), who="sensor")

    return world.clock.run(once())


def test_on_an_account_of_ours_alone_the_lost_task_comes_home(make_world: MakeWorld) -> None:
    world = make_world()
    lose(world, "a")
    world.later(A_MOMENT)
    submitted = world.counters()["submits"]["image_replace"]
    told = fates(world.run([product("a")], account_exclusive=True))
    assert told == everything("made", "a") | {("a", "bgRemovedImage"): "made"}
    assert world.counters()["submits"]["image_replace"] == submitted
    world.assert_nothing_paid_twice()
    assert world.counters()["orphan_tasks"] == []


def test_a_shared_account_leaves_it_to_a_person_and_the_run_names_the_charge(world: World) -> None:
    lose(world, "a")
    world.later(A_MOMENT)
    held = {event.stage: event for event in world.run([product("a")]) if isinstance(event, Held)}
    assert "one charge fits" in held["replacedImages"].detail
    assert held["replacedImages"].until is None
    world.later(10 * SCENE_DEADLINE)
    assert look(world).released == ()


def test_a_run_ends_with_a_look_and_brings_home_what_that_adopts(make_world: MakeWorld) -> None:
    world = make_world()
    lose(world, "a")
    # At the start it still runs; another product keeps the run going until it is done.
    told = fates(world.run([product("b")], account_exclusive=True))
    assert told == everything("made", "b") | {("a", "replacedImages"): "made"}
    assert fates(world.catch_up([product("a")])) == {
        ("a", "replacedImages"): "made",
        ("a", "finishedVideo"): "made",
    }
    world.assert_nothing_paid_twice()


def test_two_lost_answers_and_one_charge_are_never_mixed_up(make_world: MakeWorld) -> None:
    world = make_world()
    lose(world, "a", "b")
    world.later(A_MOMENT)
    assert world.counters()["succeeded"]["image_replace"] == 2
    world.app.state.world.state.entries.pop()
    report = look(world, Rules(exclusive=True))
    assert report.adopted == ()
    assert len(report.left) == 2
    assert all("task row" in (report.why_left(one.row.id) or "") for one in report.left)


def test_what_was_never_charged_is_released_after_two_deadlines_and_made(world: World) -> None:
    lose_uncharged(world)
    (row,) = world.rows(TaskState.UNKNOWN)
    world.later(2 * SCENE_DEADLINE - 60.0)
    assert look(world).released == ()
    assert world.catch_up([product("a")]) == []
    world.later(120.0)
    assert [released.id for released in look(world).released] == [row.id]
    event = world.ledger.browsing.history(row.id)[-1]
    assert (event.what, event.who) == ("released", "sensor")
    assert "read to its end" in event.detail["why"]
    assert fates(world.catch_up([product("a")])) == {
        ("a", "replacedImages"): "made",
        ("a", "finishedVideo"): "made",
    }
    world.assert_nothing_paid_twice()


def test_a_clock_set_forward_does_not_make_it_two_deadlines(world: World) -> None:
    world.run([product("a")], stages=["bgRemovedImage"])
    world.set_faults(drop_submit=1.0)
    world.run([product("a")], wait_seconds=0.0)  # the lost task still runs
    world.set_faults()
    world.skew += 24 * 3600.0
    assert look(world).released == ()
    world.run([product("a")])
    world.skew -= 24 * 3600.0
    world.run([product("a")])
    assert len(world.rows(TaskState.UNKNOWN)) == 1
    world.assert_nothing_paid_twice()


@pytest.mark.parametrize("skew", [-24 * 3600.0, 24 * 3600.0])
def test_a_clock_that_was_wrong_at_the_submit_pays_nothing_twice(world: World, skew: float) -> None:
    world.skew = skew
    lose(world, "a")
    world.skew = 0.0
    for _ in range(6):
        look(world)
        world.later(30 * 3600.0 / 4)
    world.run([product("a")])
    world.assert_nothing_paid_twice()


def test_a_colleagues_task_is_neither_taken_nor_taken_for_ours(make_world: MakeWorld) -> None:
    world = make_world()
    lose_uncharged(world)
    entry = {"task_type": "pa2_replace_product_image", "cost": 2.0, "task_id": "colleague"}
    world.control("POST", "credit_entries", **entry)
    world.later(3 * SCENE_DEADLINE)
    report = look(world)
    assert (report.adopted, report.released) == ((), ())
    ((finding),) = report.left
    assert [one.topview_task_id for one in finding.candidates] == ["colleague"]
    # Said to be ours alone, it is asked for at Topview first: that task is none of ours.
    report = look(world, Rules(exclusive=True))
    assert report.adopted == ()
    assert "does not know the task" in (report.why_left(finding.row.id) or "")


class Cutting:
    """The sandbox, whose credit log breaks off at a page; `broken` switches it."""

    def __init__(self, app: Any, page: int, status: int) -> None:
        self._app = app
        self._page = f"pageNo={page}".encode()
        self._status = status
        self.asked = 0
        self.broken = True

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/user/credit/logs":
            await self._app(scope, receive, send)
            return
        self.asked += 1
        if self.broken and self._page in scope["query_string"]:
            start = {"type": "http.response.start", "status": self._status, "headers": []}
            await send(start)
            await send({"type": "http.response.body", "body": b"bad gateway"})
        else:
            await self._app(scope, receive, send)


def server_of(world: World) -> Cutting:
    assert isinstance(world.server, Cutting)
    return world.server


@pytest.mark.parametrize(("page", "status"), [(1, 502), (2, 502), (1, 401)])
def test_a_log_that_fails_or_breaks_off_releases_and_adopts_nothing(
    make_world: MakeWorld, page: int, status: int
) -> None:
    world = make_world(server=lambda app: Cutting(app, page, status))
    lose_uncharged(world)
    for number in range(150):
        entry = {"task_type": "m2v", "cost": 2.0, "task_id": f"other {number}"}
        world.control("POST", "credit_entries", **entry)
    world.later(3 * SCENE_DEADLINE)
    report = look(world, Rules(exclusive=True))
    assert (report.adopted, report.released) == ((), ())
    assert report.trouble is not None
    assert fates(world.run([product("a")]))["a", "replacedImages"] == "held"
    server_of(world).broken = False
    assert look(world).trouble is None
    world.later(3 * SCENE_DEADLINE)
    look(world)
    assert [row.stage for row in world.rows(TaskState.RELEASED)] == ["replacedImages"]


def test_a_run_without_lost_answers_never_asks_for_the_log(make_world: MakeWorld) -> None:
    world = make_world(server=lambda app: Cutting(app, 1, 502))
    assert fates(world.run([product("a")])) == everything("made", "a")
    assert fates(world.run([product("a")])) == everything("made", "a")
    assert look(world) == Report()
    assert server_of(world).asked == 0


def test_a_log_that_cannot_be_had_holds_up_no_other_product(make_world: MakeWorld) -> None:
    world = make_world(server=lambda app: Cutting(app, 1, 502))
    lose(world, "a")
    world.run([product("b")])
    before = world.machine()
    events = []

    async def watch() -> None:
        events.extend(await world.produce([product("b"), product("a")]))

    world.clock.run(watch())
    assert fates(events)["b", "finishedVideo"] == "made"
    assert fates(events[:3]) == everything("made", "b")
    assert world.machine() - before < 45.0


def test_a_row_of_a_dead_run_is_looked_for_by_the_next_one(make_world: MakeWorld) -> None:
    world = make_world()
    world.run([product("a")], stages=["bgRemovedImage"])
    for write in range(1, 40):
        if not world.kill_at(write, [product("a")], after_commit=False):
            break
        if any(row.state is TaskState.RESERVED for row in world.rows()):
            break
    world.later(A_MOMENT)
    submits = world.submits()
    world.run([product("a")], account_exclusive=True)
    assert world.submits() <= submits + 1
    world.assert_nothing_paid_twice()
    world.assert_nothing_lost()


def test_what_is_stalled_after_it_was_adopted_late_had_its_time(make_world: MakeWorld) -> None:
    world = make_world()
    lose(world, "a")
    world.later(3 * SCENE_DEADLINE)
    (adopted,) = look(world, Rules(exclusive=True)).adopted
    assert adopted.deadline_at > world.machine()
    assert fates(world.catch_up([product("a")]))["a", "replacedImages"] == "made"


def test_free_work_alone_asks_topview_for_nothing(make_world: MakeWorld) -> None:
    world = make_world(server=lambda app: Cutting(app, 1, 502))
    world.set_faults(drop_submit=1.0)
    world.run([product("a")])
    report = look(world)
    assert not report.asked
    assert isinstance(report.left[0].verdict, Leave)
    world.later(600.0)
    assert len(look(world).released) == 1
    assert server_of(world).asked == 0


def test_the_look_is_told_in_the_order_that_waits(world: World) -> None:
    lose_uncharged(world)
    (order,) = [
        one for one in world.ledger.orders.open_orders() if one.held_reason is HeldReason.UNKNOWN
    ]
    world.run([product("a")])
    (order,) = [one for one in world.ledger.orders.open_orders() if one.id == order.id]
    assert "not in the credit log yet" in (order.held_detail or "")


def test_a_persons_stop_does_not_wait_for_the_log(make_world: MakeWorld) -> None:
    world = make_world(server=Deaf)
    lose(world, "a")
    world.later(A_MOMENT)
    before = world.machine()
    world.run([product("a")], stop_after=1.0)
    assert world.machine() - before < 5.0
    before = world.machine()
    told = fates(world.run([product("a")]))
    assert told["a", "replacedImages"] == "held"
    assert world.machine() - before < 60.0


class Deaf:
    """The sandbox, whose credit log never answers."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/user/credit/logs":
            await asyncio.sleep(3600.0)
        await self._app(scope, receive, send)
