"""Lost answers in the credit log: brought home, void in time, or left to a person."""

from __future__ import annotations

import pytest

from tests.engine.conftest import MakeWorld
from tests.engine.gateway import Late, Raw
from tests.engine.world import CUT_OUT, HOUR, MEDIANS, World, everything, fates, product
from topview_pipeline.engine import Held
from topview_pipeline.engine.credit_log import Leave, Rules
from topview_pipeline.engine.reconcile import Reconciled, reconcile
from topview_pipeline.ledger import TaskState
from topview_pipeline.sandbox.config import Contract, Date

SCENE_DEADLINE = 1200.0
A_MOMENT = 300.0
"""Longer than the lost task runs."""
LOG = "/user/credit/logs"


def lose(world: World, *names: str, **faults: float) -> None:
    """The answers to the submits of these products' scenes are lost; Topview accepted them."""
    products = [product(name) for name in names]
    world.run(products, **CUT_OUT)
    world.set_faults(drop_submit=1.0, **faults)
    world.run(products)
    world.set_faults()
    assert len(world.rows(TaskState.UNKNOWN)) == len(names)


def lose_uncharged(world: World) -> None:
    """As `lose`, but the lost task fails there."""
    lose(world, "a", fail=1.0)


def look(world: World, *, exclusive: bool = False) -> Reconciled:
    """A look at the log outside of a run, as the sensor does it."""

    async def once() -> Reconciled:
        async with world.client() as client:
            stages = {stage.key: stage for stage in world.stages}
            rules = Rules(exclusive=exclusive)
            return await reconcile(client, world.ledger, rules, stages=stages, who="sensor")

    return world.clock.run(once())


# A charge is found.


def test_on_an_account_of_ours_alone_the_lost_task_comes_home(world: World) -> None:
    lose(world, "a")
    world.later(A_MOMENT)
    assert fates(world.run([product("a")], account_exclusive=True)) == everything("made", "a")
    assert world.counters()["submits"]["image_replace"] == 1
    assert world.counters()["orphan_tasks"] == []


@pytest.mark.parametrize(
    ("log_date", "apart"), [("creation", A_MOMENT), ("creation", 45.0), ("success", A_MOMENT)]
)
def test_two_lost_answers_come_home_apart_where_the_log_dates_by_creation(
    make_world: MakeWorld, log_date: Date, apart: float
) -> None:
    medians = {"remove_background": 3.0, "image_replace": 100.0, "image2Video": 45.0}
    world = make_world(contract=Contract(log_date=log_date), medians=medians)
    world.run([product(name) for name in "cde"])  # from these the meaning is learnt
    world.run([product(name) for name in "ab"], **CUT_OUT)
    world.set_faults(drop_submit=1.0)
    for name in "ab":
        world.run([product(name)])
        world.later(apart)
    world.set_faults()
    world.later(A_MOMENT)
    fate = fates(world.run([product("a"), product("b")], account_exclusive=True))
    if log_date == "creation":
        assert fate == everything("made", "a") | everything("made", "b")
    else:
        assert fate["a", "replacedImages"] == fate["b", "replacedImages"] == "held"
    assert world.counters()["submits"]["image_replace"] == 5


def test_a_shared_account_leaves_it_to_a_person_and_the_run_names_the_charge(world: World) -> None:
    lose(world, "a")
    world.later(A_MOMENT)
    held = {event.stage: event for event in world.run([product("a")]) if isinstance(event, Held)}
    assert "one charge fits" in held["replacedImages"].what
    assert held["replacedImages"].until is None
    world.later(10 * SCENE_DEADLINE)
    assert look(world).voided == ()


def test_a_run_ends_with_a_look_and_brings_home_what_that_adopts(world: World) -> None:
    lose(world, "a")
    # At the start it still runs; another product keeps the run going until it is done.
    fate = fates(world.run([product("b")], account_exclusive=True))
    assert fate == everything("made", "b") | {("a", "replacedImages"): "made"}
    assert fates(world.run([product("a")])) == everything("made", "a")


def test_a_task_that_is_adopted_late_has_its_deadline_before_it(world: World) -> None:
    lose(world, "a")
    world.later(3 * SCENE_DEADLINE)
    (adopted,) = look(world, exclusive=True).adopted
    assert adopted.deadline_at > world.machine()
    assert fates(world.resume()) == {("a", "replacedImages"): "made"}


def test_a_colleagues_task_is_neither_taken_nor_taken_for_ours(world: World) -> None:
    lose_uncharged(world)
    entry = {"task_type": "pa2_replace_product_image", "cost": 2.0, "task_id": "colleague"}
    world.control("POST", "credit_entries", **entry)
    world.later(3 * SCENE_DEADLINE)
    report = look(world)
    assert (report.adopted, report.voided) == ((), ())
    ((finding),) = report.left
    assert [one.topview_task_id for one in finding.candidates] == ["colleague"]
    # Said to be ours alone, it is asked for at Topview first: that task is none of ours.
    report = look(world, exclusive=True)
    assert report.adopted == ()
    assert "does not know the task" in (report.why_left(finding.row.id) or "")


def test_a_row_of_a_dead_run_is_looked_for_by_the_next_one(world: World) -> None:
    world.run([product("a")], **CUT_OUT)
    for write in range(1, 20):
        world.kill_at(write, [product("a")], after_commit=False)
        if world.rows(TaskState.RESERVED):
            break
    world.later(A_MOMENT)
    assert fates(world.run([product("a")], account_exclusive=True)) == everything("made", "a")
    assert world.counters()["submits"]["image_replace"] == 1
    world.assert_nothing_lost()


# No charge is found.


def test_what_was_never_charged_is_void_after_two_deadlines_and_made(world: World) -> None:
    lose_uncharged(world)
    (row,) = world.rows(TaskState.UNKNOWN)
    world.later(2 * SCENE_DEADLINE - 60.0)
    assert look(world).voided == ()
    held = {event.stage: event for event in world.run([product("a")]) if isinstance(event, Held)}
    assert "not in the credit log yet" in held["replacedImages"].what
    world.later(120.0)
    assert [voided.id for voided in look(world).voided] == [row.id]
    event = world.ledger.history.events(row.id)[-1]
    assert (event.what, event.who) == ("void", "sensor")
    assert "read to its end" in event.detail["why"]
    assert fates(world.run([product("a")])) == everything("made", "a")


def test_a_short_deadline_in_the_settings_does_not_make_a_running_task_void(
    make_world: MakeWorld,
) -> None:
    """The log lists finished tasks only: what still runs at Topview is not in it."""
    short = {"deadline_seconds": {"image_replace": 60.0}}
    world = make_world(medians=MEDIANS | {"image_replace": 300.0}, config=short)
    world.run([product("a")], **CUT_OUT)
    world.set_faults(drop_submit=1.0)
    world.run([product("a")])
    world.set_faults()
    look(world)
    world.later(125.0)
    assert look(world).voided == ()
    world.run([product("a")])
    world.later(HOUR)
    world.run([product("a")])
    world.assert_nothing_paid_twice()


def test_free_work_alone_asks_topview_for_nothing(world: World) -> None:
    world.set_faults(drop_submit=1.0)
    world.run([product("a")])
    report = look(world)
    assert not report.asked
    assert isinstance(report.left[0].verdict, Leave)
    world.later(600.0)
    assert len(look(world).voided) == 1
    assert world.gateway.count(LOG) == 0


# The log cannot be read.


def _break_page(world: World, page: int, status: int) -> None:
    answer = Raw(status, b"bad gateway")
    world.gateway.on(LOG, lambda query: answer if query.get("pageNo") == str(page) else None)


@pytest.mark.parametrize(("page", "status"), [(1, 502), (2, 502), (1, 401)])
def test_a_log_that_breaks_off_settles_nothing(world: World, page: int, status: int) -> None:
    lose_uncharged(world)
    for number in range(150):
        entry = {"task_type": "pa2_image2video", "cost": 2.0, "task_id": f"other {number}"}
        world.control("POST", "credit_entries", **entry)
    world.later(3 * SCENE_DEADLINE)
    _break_page(world, page, status)
    report = look(world, exclusive=True)
    assert (report.adopted, report.voided) == ((), ())
    assert report.trouble is not None
    assert fates(world.run([product("a")]))["a", "replacedImages"] == "held"
    world.gateway.calm()
    assert look(world).trouble is None
    world.later(3 * SCENE_DEADLINE)
    look(world)
    assert [row.stage for row in world.rows(TaskState.VOID)] == ["replacedImages"]


def test_a_run_without_lost_answers_never_asks_for_the_log(world: World) -> None:
    for _ in range(2):
        assert fates(world.run([product("a")])) == everything("made", "a")
    assert look(world) == Reconciled()
    assert world.gateway.count(LOG) == 0


def test_a_log_that_cannot_be_had_holds_up_no_other_product(world: World) -> None:
    lose(world, "a")
    world.run([product("b")])
    world.gateway.on(LOG, Raw(502, b"bad gateway"))
    started = world.machine()
    events = world.run([product("b"), product("a")])
    before_the_log = [event for event in events if not isinstance(event, Held)]
    assert before_the_log == events[: len(before_the_log)]
    assert fates(before_the_log) == everything("made", "b") | {("a", "bgRemovedImage"): "made"}
    assert world.machine() - started < 45.0


def test_a_log_that_never_answers_keeps_no_run_from_its_end(world: World) -> None:
    lose(world, "a")
    world.later(A_MOMENT)
    world.gateway.on(LOG, Late(HOUR))
    started = world.machine()
    world.run([product("a")], stop_after=1.0)
    assert world.machine() - started < 5.0
    started = world.machine()
    assert fates(world.run([product("a")]))["a", "replacedImages"] == "held"
    assert world.machine() - started < 60.0
