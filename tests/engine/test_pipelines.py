"""Two pipelines of one account, with products of the same ids, over one ledger and one store."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.engine.conftest import MakeWorld
from tests.engine.test_heal import lose_ledger
from tests.engine.test_reconcile import lose
from tests.engine.world import (
    ALL_STAGES,
    CUT_OUT,
    DAY,
    Death,
    World,
    everything,
    fates,
    product,
)
from tests.postgres import Postgres
from topview_pipeline.engine import Made
from topview_pipeline.ledger import DEAD_AFTER_SECONDS, Ledger, TaskState

AB = [product(name) for name in "ab"]


@pytest.fixture
def on_postgresql(make_world: MakeWorld, postgres: Postgres) -> World:
    """The ledger's own tests run on both databases; here the one that two machines share."""
    return make_world(ledger_url=postgres.emptied())


@pytest.fixture
def acme(world: World) -> Ledger:
    """The other pipeline."""
    return world.other("acme")


def files_of(world: World) -> dict[Path, bytes]:
    found = world.folder.glob("store/*/*/*/*/*")
    return {path: path.read_bytes() for path in found}


@pytest.mark.parametrize("at_once", [True, False])
def test_identical_work_is_paid_once_and_each_has_its_own_products(
    on_postgresql: World, at_once: bool
) -> None:
    world = on_postgresql
    acme = world.other("acme")
    if at_once:
        mine, theirs = world.run_together((AB, {}), (AB, {"ledger": acme}))
    else:
        mine, theirs = world.run(AB), world.run(AB, ledger=acme)
    assert fates(mine) == fates(theirs) == everything("made", *"ab")
    assert world.submits() == 2 * len(ALL_STAGES)
    for ledger in (world.ledger, acme):
        assert set(ledger.tasks.last_made_ids()) == set(everything("made", *"ab"))
        assert ledger.orphans.all() == []


def test_namesakes_of_other_contents_keep_their_files(world: World, acme: Ledger) -> None:
    """Both call a product "a", and nobody's video becomes the other shop's."""
    world.run(AB)
    before = files_of(world)
    others = [product(name, image=f"another photo of {name}") for name in "ab"]
    assert fates(world.run(others, ledger=acme)) == everything("made", *"ab")
    assert world.submits() == 4 * len(ALL_STAGES)
    after = files_of(world)
    assert {path: after[path] for path in before} == before
    assert len(after) == 2 * len(before) > 0
    for stage in ALL_STAGES:
        mine, theirs = (of.tasks.last_made("a", stage) for of in (world.ledger, acme))
        assert mine is not None
        assert theirs is not None
        assert (mine.pipeline, theirs.pipeline) == ("topview", "acme")
        assert mine.artifacts != theirs.artifacts


@pytest.mark.parametrize(
    ("write", "wait"),
    [(7, 1800.0), (9, 1800.0), (14, 1800.0), (7, 0.0)],
    ids=["pending", "stored and not reported", "succeeded", "the other does not wait"],
)
def test_a_kill_of_the_one_that_pays_costs_neither_a_second_task(
    world: World, acme: Ledger, write: int, wait: float
) -> None:
    """The other waits for its row, brings it home, and the dead one's next run has its own."""
    dying = world.open_ledger()
    death = Death(write, after_commit=True)

    async def die() -> None:
        with death.of(dying._database):
            await world.run_async(AB, ledger=dying)

    async def together() -> list[Any]:
        started = asyncio.ensure_future(die())
        await asyncio.sleep(1.0)
        theirs = await world.run_async(AB, ledger=acme, wait_seconds=wait)
        await asyncio.wait({started})
        return theirs

    theirs = world.clock.run(together())
    assert death.came
    if wait:
        assert fates(theirs) == everything("made", *"ab")
        assert {row.pipeline for row in world.rows()} == {"topview", "acme"}
    world.later(DEAD_AFTER_SECONDS + 1.0)
    # Its resume reports what the other brought home, as its own products', and the run the rest.
    resumed = world.resume(AB)
    assert {event.task.pipeline for event in resumed if isinstance(event, Made)} <= {"topview"}
    if wait:
        assert resumed
    assert fates(world.run(AB)) == everything("made", *"ab")
    assert fates(world.run(AB, ledger=acme)) == everything("made", *"ab")
    assert world.submits() == 2 * len(ALL_STAGES)
    world.assert_nothing_lost()
    assert world.ledger.orphans.all() == acme.orphans.all() == []
    dying.close()


def test_what_a_removed_pipeline_left_is_brought_home_by_another(
    world: World, acme: Ledger
) -> None:
    """Nobody has its name any more, and Topview keeps a result for seven days."""
    world.run(AB, wait_seconds=0.0, **CUT_OUT)
    acme.catalogue.tick("acme.csv")
    world.ledger.catalogue.tick("topview.csv")
    world.later(DAY / 2)
    world.ledger.catalogue.tick("topview.csv")
    world.later(DAY - 60.0)
    assert acme.orphans.all() == [], "it may be back"
    world.later(61.0)
    assert [row.product_id for row in acme.orphans.all()] == ["a", "b"]
    assert world.resume(ledger=acme) == [], "an event is its own pipeline's"
    assert {row.state for row in world.rows()} == {TaskState.STORED}
    assert acme.orphans.all() == []
    # Under its new name the work is found.
    assert fates(world.run(AB, ledger=acme, **CUT_OUT)) == dict.fromkeys(
        [(name, "bgRemovedImage") for name in "ab"], "made"
    )
    assert world.submits() == 2
    world.assert_nothing_lost()


def test_what_another_brought_home_can_be_reported_while_that_one_goes_on(
    world: World, acme: Ledger
) -> None:
    """Its run may take days."""
    world.run(AB, wait_seconds=0.0, **CUT_OUT)
    seen: list[str] = []
    look = world.ledger.orphans.all
    world.clock.loop.call_later(15.0, lambda: seen.extend(row.state for row in look()))
    assert fates(world.run(AB, ledger=acme)) == everything("made", *"ab")
    assert seen == [TaskState.STORED] * 2


def test_a_lost_answer_of_another_is_found_and_its_task_left_to_its_own_run(world: World) -> None:
    lose(world, "a")
    acme = world.other("acme")
    events = world.run([product("b")], ledger=acme, account_exclusive=True)
    assert fates(events) == everything("made", "b")
    (orphan,) = world.ledger.orphans.all()
    assert (orphan.product_id, orphan.state) == ("a", TaskState.PENDING)
    assert fates(world.resume()) == {("a", "replacedImages"): "made"}


def test_slots_that_anothers_dead_run_holds_come_free_and_its_events_stay_its_own(
    make_world: MakeWorld,
) -> None:
    world = make_world(concurrency=1)
    acme = world.other("acme")
    world.run([product("a")], wait_seconds=0.0)
    assert world.ledger.tasks.slots_taken() == 1
    events = world.run([product("c")], ledger=acme)
    assert fates(events) == everything("made", "c")
    assert [row.state for row in world.rows()] == [TaskState.STORED] * 4
    assert fates(world.resume()) == {("a", "bgRemovedImage"): "made"}
    assert world.resume() == []


@pytest.mark.parametrize("payer", [0, 1])
def test_force_in_one_pipeline_never_makes_the_other_pay(
    world: World, acme: Ledger, payer: int
) -> None:
    ledgers = [world.ledger, acme]
    mine, other = ledgers[payer], ledgers[1 - payer]
    world.run(AB, ledger=mine)
    world.run(AB, ledger=other)
    paid = world.submits()
    world.run(AB, ledger=other, force=True, **CUT_OUT)
    assert world.submits() == paid + 2
    before = mine.tasks.last_made_ids()
    assert fates(world.run(AB, ledger=mine)) == everything("made", *"ab")
    assert mine.tasks.last_made_ids() == before
    assert world.submits() == paid + 2


def test_the_store_heals_the_work_of_both(make_world: MakeWorld) -> None:
    world = make_world()
    world.run(AB)
    paid = world.submits()
    lose_ledger(world)
    acme = world.other("acme")
    namesakes = [product("b", image="photo of a", script="This is a.")]
    assert fates(world.run(namesakes, ledger=acme)) == everything("made", "b")
    assert fates(world.run(AB)) == everything("made", *"ab")
    assert world.submits() == paid
    assert {row.pipeline for row in world.rows()} == {"topview"}
    assert world.ledger.orphans.all() == []
