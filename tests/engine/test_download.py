"""Finished at Topview is paid for: it comes into the store, whatever the network and disk do."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from typing import Any

import pytest

from tests.engine.conftest import MakeWorld
from tests.engine.gateway import Late
from tests.engine.world import CUT_OUT, DAY, HOUR, Outcome, World, everything, fates, product
from topview_pipeline.engine import Held, HoldReason
from topview_pipeline.ledger import TaskState
from topview_pipeline.stages.stage import Download
from topview_pipeline.store import Store, StoreError
from topview_pipeline.topview.client import TopviewClient
from topview_pipeline.topview.errors import TooLarge

STORAGE = "/aigc.s3/"


def _files(world: World, name: str) -> list[Path]:
    return sorted((world.folder / "store").rglob(name))


# URLs.


def test_urls_that_expire_while_downloads_queue_are_signed_again(make_world: MakeWorld) -> None:
    world = make_world(url_seconds=2, concurrency=10, sigma=0.01)
    world.gateway.on(STORAGE, Late(3.0))
    names = [f"p{number}" for number in range(10)]
    world.clock.loop.call_later(60.0, world.gateway.calm)
    fate = fates(world.run([product(name) for name in names], **CUT_OUT))
    assert set(fate.values()) == {"made"}
    assert world.counters()["downloads"]["AccessDenied"] > 0
    assert world.submits() == len(names)
    world.assert_nothing_lost()


def test_nothing_signed_and_no_key_is_kept_in_ledger_or_store(world: World) -> None:
    world.run([product("a")])
    kept = (world.folder / "ledger.db").read_bytes() + (world.folder / "ledger.db-wal").read_bytes()
    kept += b"".join(file.read_bytes() for file in _files(world, "*.json"))
    assert b"Signature" not in kept
    assert world.settings.api_key.encode() not in kept


# The disk.


def _full(*_args: object, **_options: object) -> None:
    raise StoreError("the disk is full", "store", "Free space.")


async def _no_space(*_args: object, **_options: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def _forbidden(*_: object) -> None:
    raise PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize(
    ("of", "name", "trouble", "words"),
    [
        (Store, "keep", _full, "the disk is full"),
        (TopviewClient, "download", _no_space, "No space left on device"),
        (Path, "replace", _forbidden, "not allowed"),
    ],
)
def test_a_store_in_trouble_holds_the_product_and_the_next_run_downloads_it_unpaid(
    world: World, monkeypatch: pytest.MonkeyPatch, of: type, name: str, trouble: Any, words: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(of, name, trouble)
        events = world.run([product("a"), product("b")])
    assert fates(events) == everything("held", "a", "b")
    for held in events:
        assert isinstance(held, Held)
        if held.stage == "bgRemovedImage":
            assert (held.reason, held.until is None) == (HoldReason.DOWNLOAD, False)
            assert words in held.what
            assert "\n" not in held.what
    assert [row.state for row in world.rows()] == [TaskState.SUCCEEDED] * 2
    assert list((world.folder / "store" / ".incoming").glob("*")) == []
    world.later(HOUR)
    assert fates(world.run([product("a"), product("b")])) == everything("made", "a", "b")
    assert world.submits() == 6
    world.assert_nothing_lost()


def test_a_run_that_cannot_download_and_lives_on_keeps_no_other_run_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one cannot write a's cut-out and goes on with b; the other one wants a, too."""

    async def both() -> tuple[list[Outcome], list[Outcome], float]:
        with monkeypatch.context() as patch:
            patch.setattr(world.store, "keep", _full)
            one = asyncio.create_task(world.run_async([product("a"), product("b")], slots=1))
            while not world.rows(TaskState.SUCCEEDED):
                await asyncio.sleep(0.1)
        assert [row.worker for row in world.rows(TaskState.SUCCEEDED)] == [None]
        other = await world.run_async([product("a")], wait_seconds=30.0, **CUT_OUT)
        took = world.clock()
        return other, await one, took

    other, one, took = world.clock.run(both())
    assert fates(other) == {("a", "bgRemovedImage"): "made"}
    assert fates(one) == everything("held", "a") | everything("made", "b")
    stored = [row.stored_at for row in world.rows(TaskState.STORED) if row.product_id == "b"]
    assert took < max(at for at in stored if at is not None)
    world.assert_nothing_lost()


def test_a_result_that_is_no_picture_is_held_and_asked_for_again_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_video(result: Any) -> tuple[Download, ...]:
        return (Download("cutout.png", result.bg_removed_image_path, "video"),)

    with monkeypatch.context() as patch:
        patch.setattr(world.stages[0], "downloads", as_video)
        (held, *_) = world.run([product("a")])
    assert isinstance(held, Held)
    assert held.reason is HoldReason.DOWNLOAD
    assert held.until is not None
    assert fates(world.run([product("a")])) == everything("made", "a")
    assert world.submits() == 3


# A file that is gone from the store.


def test_a_deleted_file_is_downloaded_again_and_not_paid_again(world: World) -> None:
    world.run([product("a")])
    (video,) = _files(world, "video.mp4")
    whole = video.read_bytes()
    video.unlink()
    assert fates(world.run([product("a")])) == everything("made", "a")
    assert video.read_bytes() == whole
    assert world.submits() == 3


def test_two_runs_that_miss_the_same_files_bring_them_back_together(world: World) -> None:
    world.run([product("a")])
    for file in _files(world, "*.p*g"):
        file.unlink()
    one, other = world.run_together(([product("a")], {}), ([product("a")], {}))
    assert fates(one) == fates(other) == everything("made", "a")
    assert world.submits() == 3


def test_a_store_that_is_not_mounted_holds_and_pays_nothing(world: World) -> None:
    world.store.identity(create=True)
    world.run([product("a")])
    store, elsewhere = world.folder / "store", world.folder / "elsewhere"
    store.rename(elsewhere)
    store.mkdir()  # the empty mount point
    assert set(fates(world.run([product("a")])).values()) == {"held"}
    assert set(fates(world.run([product("b")])).values()) == {"held"}
    store.rmdir()
    elsewhere.rename(store)
    assert fates(world.run([product("a")])) == everything("made", "a")
    assert world.submits() == 3


# Out of reach: only Topview's own word says so.


def test_a_file_that_topview_threw_away_too_is_expired_and_only_force_pays(world: World) -> None:
    world.run([product("a")])
    world.later(8 * DAY)
    (video,) = _files(world, "video.mp4")
    video.unlink()
    for _ in range(2):
        (held,) = (event for event in world.run([product("a")]) if isinstance(event, Held))
        assert (held.reason, held.until) == (HoldReason.EXPIRED, None)
    assert world.counters()["submits"]["image2Video"] == 1
    forced = world.run([product("a")], stages=["finishedVideo"], force=True)
    assert fates(forced) == {("a", "finishedVideo"): "made"}
    assert world.counters()["submits"]["image2Video"] == 2


def test_a_cut_out_of_the_free_kind_that_expired_is_made_again_by_itself(world: World) -> None:
    world.run([product("a")], **CUT_OUT)
    world.later(8 * DAY)
    for file in _files(world, "cutout.png"):
        file.unlink()
    assert fates(world.run([product("a")], **CUT_OUT)) == {("a", "bgRemovedImage"): "made"}
    assert [row.state for row in world.rows()] == [TaskState.EXPIRED, TaskState.STORED]
    assert world.submits() == 2


def test_our_own_size_limit_expires_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result is still at Topview; it is our rule that keeps it out of the store."""

    async def too_large(*_: object, **__: object) -> None:
        raise TooLarge("more bytes than allowed", doing="downloading")

    monkeypatch.setattr(TopviewClient, "download", too_large)
    for skew in (0.0, 8 * DAY):  # our clock alone: Topview still has it
        world.skew = skew
        world.run([product("a")], **CUT_OUT)
        assert [row.state for row in world.rows()] == [TaskState.SUCCEEDED]
