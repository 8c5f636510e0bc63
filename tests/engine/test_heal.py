"""The ledger is lost or restored from a backup: the store heals it, and nothing is paid twice."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from tests.engine.conftest import MakeWorld
from tests.engine.gateway import envelope
from tests.engine.world import CUT_OUT, DAY, HOUR, World, everything, fates, product
from topview_pipeline.catalogue import Product
from topview_pipeline.engine import Held, HoldReason
from topview_pipeline.ledger import TaskState
from topview_pipeline.store import StoreError


def backup_of(world: World) -> bytes:
    """The ledger's file as it is now."""
    world.ledger.close()
    backup = (world.folder / "ledger.db").read_bytes()
    world.ledger = world.open_ledger()
    return backup


def lose_ledger(world: World, backup: bytes | None = None) -> None:
    """The ledger's file is gone; the next process finds none, or a backup."""
    world.ledger.close()
    for file in world.folder.glob("ledger.db*"):
        file.unlink()
    if backup is not None:
        (world.folder / "ledger.db").write_bytes(backup)
    world.ledger = world.open_ledger()


def known_rows(world: World) -> list[dict[str, Any]]:
    """The stored rows, without what only their own ledger can know."""
    own = {"id", "worker", "reported_at", "last_query_at", "credit_limit", "stored_at"}
    own |= {"canary_group", "booked_at"}  # when the query saw the end; the record has the end
    rows = [asdict(row) for row in world.rows(TaskState.STORED)]
    kept = [{name: value for name, value in row.items() if name not in own} for row in rows]
    return sorted(kept, key=lambda row: str(row["topview_task_id"]))


def twins(*names: str) -> list[Product]:
    """Products with the same photo."""
    return [product(name, image="the same photo") for name in names]


def test_an_empty_ledger_beside_a_full_store_is_healed_for_nothing(world: World) -> None:
    products = [*twins("a", "b"), product("c")]
    world.run(products)
    rows, paid, spent = known_rows(world), world.submits(), world.ledger.budget.today()
    lose_ledger(world)
    assert fates(world.run(products)) == everything("made", *"abc")
    assert known_rows(world) == rows
    assert world.ledger.budget.today() == spent
    assert world.submits() == paid
    whats = [event.what for event in world.ledger.history.events(world.rows()[0].id)]
    assert whats == ["healed", "reported", "reported"]  # of both products that share it


def test_forced_work_is_not_forced_again_and_the_next_force_goes_beyond_it(world: World) -> None:
    products = twins("a", "b")
    world.run(products)
    world.run(products, force=True, run_id="forced")
    paid = world.submits()
    lose_ledger(world)
    world.run(products, force=True, root_run_id="forced")  # the same run, executed again
    world.run(products)
    assert world.submits() == paid
    lose_ledger(world)
    world.run(products[:1], force=True, **CUT_OUT)
    assert world.submits() == paid + 1
    assert [row.generation for row in world.rows()] == [0, 1, 2]


def test_what_was_forced_after_a_refusal_is_found_behind_the_gap(world: World) -> None:
    """The store has nothing of the generation that Topview refused."""
    world.gateway.on("image2Video/submit", envelope(None, code="4000"))
    assert fates(world.run([product("a")]))["a", "finishedVideo"] == "failed"
    world.gateway.calm()
    world.run([product("a")], stages=["finishedVideo"], force=True)
    paid = world.submits()
    lose_ledger(world)
    assert fates(world.run([product("a")])) == everything("made", "a")
    assert world.submits() == paid
    world.assert_nothing_paid_twice()


def test_an_older_backup_gets_what_it_lacks(world: World) -> None:
    """Also the attempt that came to a result after the one that the backup saw fail."""
    world.run([product("a")])
    world.set_faults(fail=1.0)
    world.run([product("b")], wait_seconds=20.0)
    world.set_faults()
    backup = backup_of(world)
    products = [product("a", script="Something else."), product("b"), product("c")]
    world.run(products)
    paid = world.submits()
    lose_ledger(world, backup)
    world.later(HOUR)
    assert fates(world.run(products)) == everything("made", *"abc")
    assert world.submits() == paid


def test_a_file_that_topview_has_no_more_is_held_and_not_paid_again(make_world: MakeWorld) -> None:
    world = make_world(forget_after=HOUR)
    world.run([product("a")])
    (video,) = (world.folder / "store").rglob("video.mp4")
    video.write_bytes(b"half")
    lose_ledger(world)
    world.later(8 * DAY)
    for _ in range(2):
        assert fates(world.run([product("a")]))["a", "finishedVideo"] == "held"
    assert world.submits() == 3


def test_without_the_store_nothing_is_sent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> None:
        raise StoreError("it does not answer", "store", "Mount it.")

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "find", unreachable)
        assert fates(world.run([product("a")])) == everything("held", "a")
    assert world.submits() == 0
    assert fates(world.run([product("a")])) == everything("made", "a")


@pytest.mark.parametrize("damage", ["{", '{"account": "lacks the rest"}'])
def test_a_damaged_result_is_named_and_not_paid_again(world: World, damage: str) -> None:
    world.run([product("a"), product("b")], **CUT_OUT)
    damaged, _ = sorted((world.folder / "store").rglob("index/*.json"))
    damaged.write_text(damage)
    lose_ledger(world)
    events = world.run([product("a"), product("b")], **CUT_OUT)
    (held,) = (event for event in events if isinstance(event, Held))
    assert held.reason is HoldReason.DOWNLOAD
    assert damaged.name in held.what
    assert world.submits() == 2
