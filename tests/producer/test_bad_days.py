"""Days when ledger, clock, store or Topview misbehave in the middle of a run.

What the ledger says after, that nothing was submitted or paid for again, and what the user is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.producer.conftest import MakeWorld
from tests.producer.gateway import Gateway
from tests.producer.world import HOUR, World, everything, fates, product
from topview_pipeline.artifacts import ArtifactStore
from topview_pipeline.ledger import HeldReason, LedgerUnavailable, TaskState
from topview_pipeline.producer import Held


class Break:
    """Breaks a world's ledger when the sandbox gets a call, and mends it again."""

    def __init__(self, world: World, how: str) -> None:
        self._file = world.folder / "ledger.db"
        self._engine = world.ledger._database._engine
        self._how = how
        self._other: sqlite3.Connection | None = None
        self.is_on = False
        sa.event.listen(self._engine, "begin", self._begun)

    def on(self) -> None:
        """It happens now."""
        self.is_on = True
        if self._how == "locked":
            self._other = sqlite3.connect(self._file, isolation_level=None)
            self._other.execute("BEGIN EXCLUSIVE")
        elif self._how == "overwritten":
            self._whole = self._everything()
            self._engine.dispose()
            self._file.write_bytes(self._whole[:100] + b"\xa5" * (len(self._whole) - 100))

    def off(self) -> None:
        """The other program ends, somebody makes room, the file comes back from a backup."""
        self.is_on = False
        if self._other is not None:
            self._other.close()
        if self._how == "overwritten":
            self._engine.dispose()
            for rest in self._file.parent.glob("ledger.db-*"):
                rest.unlink()
            self._file.write_bytes(self._whole)
        self._engine.dispose()

    def _everything(self) -> bytes:
        with contextlib.closing(sqlite3.connect(self._file)) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return self._file.read_bytes()

    def _begun(self, connection: sa.Connection) -> None:
        if self._how == "full":
            pages = 1 if self.is_on else 2**30  # SQLite takes the size it has for the least
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        if self._how == "read-only":
            connection.exec_driver_sql(f"PRAGMA query_only={'ON' if self.is_on else 'OFF'}")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("topview_pipeline.ledger.engines.LOCK_WAIT_SECONDS", 0.02)


def _at(world: World, ending: str, act: Callable[[], None]) -> None:
    """Once, when the sandbox gets a call whose path ends so."""
    gateway = world.server
    assert isinstance(gateway, Gateway)

    def rule(path: str, _query: Mapping[str, str]) -> None:
        if path.endswith(ending):
            gateway.rules.remove(rule)
            act()

    gateway.rules.append(rule)


def _long(name: str) -> Any:
    """A product whose requests do not fit into what is left of a page."""
    return product(name, image_edit_prompt="so " * 3000)


@pytest.mark.parametrize("how", ["locked", "full", "read-only", "overwritten"])
def test_a_ledger_that_breaks_before_a_reservation_submits_nothing(
    make_world: MakeWorld, how: str
) -> None:
    world = make_world(server=Gateway)
    world.run([_long("a")], stages=["bgRemovedImage"])
    trouble = Break(world, how)
    _at(world, "upload/check", trouble.on)  # the last call before the POST

    with pytest.raises(LedgerUnavailable, match=r"This step was not written") as told:
        world.run([_long("a")])

    assert "\n" not in str(told.value)
    assert world.counters()["submits"] == {"remove_background": 1}
    trouble.off()
    assert [row.state for row in world.rows()] == [TaskState.STORED]
    assert {order.stage for order in world.ledger.orders.open_orders()} >= {"replacedImages"}
    world.later(HOUR)
    assert fates(world.run([_long("a")])) == everything("made", "a")
    assert world.submits() == 3
    world.assert_nothing_lost()


def test_a_ledger_that_is_locked_after_the_answer_is_asked_again(make_world: MakeWorld) -> None:
    world = make_world(server=Gateway)
    trouble = Break(world, "locked")

    def for_a_while() -> None:
        trouble.on()
        world.clock.loop.call_later(20.0, trouble.off)

    _at(world, "remove_background/submit", for_a_while)
    assert fates(world.run([product("a")])) == everything("made", "a")
    assert world.submits() == 3


@pytest.mark.parametrize("how", ["locked", "read-only"])
def test_an_id_that_cannot_be_written_down_is_in_the_message_and_nothing_is_sent_again(
    make_world: MakeWorld, how: str
) -> None:
    world = make_world(server=Gateway)
    world.run([product("a")], stages=["bgRemovedImage"])
    trouble = Break(world, how)
    _at(world, "image_replace/submit", trouble.on)

    with pytest.raises(LedgerUnavailable) as told:
        world.run([product("a")])

    trouble.off()
    (task,) = [task for task in _tasks(world) if task["kind"] == "image_replace"]
    assert task["id"] in str(told.value)
    assert "Could not be written down" in str(told.value)
    (row,) = world.rows(TaskState.RESERVED, TaskState.UNKNOWN)
    assert f"task row {row.id} was accepted" in str(told.value)

    world.watcher.dead.add(str(row.owner))
    world.later(HOUR)
    told_next = fates(world.run([product("a")]))
    assert world.counters()["submits"]["image_replace"] == 1
    assert told_next["a", "replacedImages"] in ("held", "made")  # made: the credit log has it
    world.assert_nothing_paid_twice()


def _tasks(world: World) -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = world.control("GET", "tasks")
    return tasks


def test_a_clock_that_jumps_forward_and_back_again_changes_nothing(make_world: MakeWorld) -> None:
    """As when a machine wakes up wrong, and is set right by its time service."""
    world = make_world()
    for after, skew in ((2.0, 30 * 86400.0), (9.0, -2 * HOUR), (30.0, 8 * 86400.0), (31.0, 0.0)):
        world.clock.loop.call_later(after, setattr, world, "skew", skew)
    told = fates(world.run([product("a"), product("b")]))
    assert set(told.values()) <= {"made", "held"}
    assert world.rows(TaskState.EXPIRED, TaskState.FAILED) == []
    for _ in range(3):
        world.later(HOUR)
        told = fates(world.run([product("a"), product("b")]))
    assert told == everything("made", "a", "b")
    assert world.submits() == 6
    world.assert_nothing_lost()


class SlowStorage:
    """Stands before the sandbox: a download takes so many seconds."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.seconds = 3.0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].startswith("/aigc.s3/") and scope["method"] == "GET":
            await asyncio.sleep(self.seconds)
        await self._app(scope, receive, send)


def test_urls_that_expire_while_their_downloads_queue_are_signed_anew(
    make_world: MakeWorld,
) -> None:
    world = make_world(server=SlowStorage, url_seconds=10, concurrency=8, sigma=0.01)
    names = "abcdefgh"
    told = fates(world.run([product(name) for name in names], parallel_transfers=1))
    assert told == everything("made", *names)
    assert world.counters()["downloads"]["AccessDenied"] > 0
    assert world.submits() == 3 * len(names)
    world.assert_nothing_paid_twice()
    world.assert_nothing_lost()


@contextlib.contextmanager
def _incoming_on_a_full_disk(store: ArtifactStore) -> Iterator[None]:
    """The kernel itself refuses every byte, as on a disk without room."""
    incoming = store.incoming

    @contextlib.contextmanager
    def full() -> Iterator[Path]:
        with incoming() as path:
            path.unlink()
            path.symlink_to("/dev/full")
            yield path

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "incoming", full)
        yield


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has it")
@pytest.mark.parametrize("stage", ["bgRemovedImage", "replacedImages"])
def test_a_disk_without_room_keeps_the_row_and_leaves_no_part_of_a_file(
    world: World, stage: str
) -> None:
    earlier = ["bgRemovedImage"] if stage == "replacedImages" else []
    if earlier:
        world.run([product("a")], stages=earlier)
    with _incoming_on_a_full_disk(world.store):
        events = world.run([product("a")])
    held = next(one for one in events if one.stage == stage)
    assert isinstance(held, Held)
    assert held.reason is HeldReason.DOWNLOAD
    assert "No space left on device" in held.detail
    assert "\n" not in held.detail
    assert [row.stage for row in world.rows(TaskState.SUCCEEDED)] == [stage]
    assert list((world.folder / "store" / ".incoming").iterdir()) == []
    paid = world.submits()

    world.later(HOUR)
    assert fates(world.catch_up([product("a")]))["a", stage] == "made"
    assert world.submits() == paid + (1 if earlier else 2)  # the later stages, once each
    world.assert_nothing_paid_twice()
    world.assert_nothing_lost()


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied"), OSError(30, "Read-only file system")]
)
def test_a_store_whose_permissions_change_in_the_middle_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    """Raised by hand: as root nothing is forbidden."""

    def forbidden(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", forbidden)
        events = world.run([product("a")])
    (held, *_) = events
    assert isinstance(held, Held)
    assert held.reason is HeldReason.DOWNLOAD
    assert "not allowed" in held.detail
    assert "TOPVIEW_ARTIFACTS" in held.detail
    assert list((world.folder / "store" / ".incoming").iterdir()) == []
    assert [row.state for row in world.rows()] == [TaskState.SUCCEEDED]

    world.later(HOUR)
    assert fates(world.catch_up([product("a")])) == everything("made", "a")
    assert world.submits() == 3
    world.assert_nothing_lost()
