"""Finished at Topview is paid for: it comes into the store, whatever the network and disk do."""

import asyncio
import errno
from typing import Any

import pytest

from tests.producer.conftest import MakeWorld
from tests.producer.gateway import Gateway, never_done
from tests.producer.world import DAY, HOUR, World, everything, fates, product
from topview_pipeline.artifacts import StoreError
from topview_pipeline.ledger import HeldReason, TaskState
from topview_pipeline.producer import Event, Held


def test_a_url_that_expires_before_the_download_is_signed_anew(make_world: MakeWorld) -> None:
    world = make_world(url_seconds=1)
    download = world.client().__class__.download
    late = iter([5.0, 5.0, 5.0])

    async def delayed(self: Any, *args: Any, **options: Any) -> Any:
        import asyncio

        await asyncio.sleep(next(late, 0.0))  # queued behind other downloads
        return await download(self, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("topview_pipeline.topview.client.TopviewClient.download", delayed)
        assert fates(world.run([product("a")])) == everything("made", "a")
    assert world.counters()["downloads"]["AccessDenied"] == 3
    world.assert_nothing_paid_twice()
    world.assert_nothing_lost()


def test_a_full_disk_holds_the_product_and_the_next_run_downloads_it_unpaid(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object, **_options: object) -> None:
        raise StoreError("the disk is full", "store", "Free space.")

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "keep", full)
        events = world.run([product("a"), product("b")])
    held = [event for event in events if isinstance(event, Held) and "bg" in event.stage]
    assert {event.reason for event in held} == {HeldReason.DOWNLOAD}
    assert all("the disk is full" in event.detail for event in held)
    assert len(world.rows(TaskState.SUCCEEDED)) == 2
    world.later(2 * HOUR)
    assert fates(world.catch_up([product("a"), product("b")])) == everything("made", "a", "b")
    assert world.submits() == 6
    world.assert_nothing_lost()


def test_a_disk_that_fills_up_during_a_download_holds_the_product(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_space(*_args: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("topview_pipeline.topview.client.TopviewClient.download", no_space)
        told = fates(world.run([product("a")]))
    assert told == everything("held", "a")
    assert list((world.folder / "store").rglob("*.part")) == []
    assert fates(world.run([product("a")])) == everything("made", "a")
    assert world.submits() == 3


def test_a_run_that_cannot_download_and_lives_on_keeps_no_other_run_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one cannot write a's cut-out and goes on with b; the other one wants a, too."""
    keep = world.store.keep
    troubles = iter([StoreError("the disk is full", "store", "Free space.")])

    def full_once(*args: Any, **options: Any) -> Any:
        for trouble in troubles:
            raise trouble
        return keep(*args, **options)

    monkeypatch.setattr(world.store, "keep", full_once)

    async def both() -> tuple[list[Event], list[Event], float]:
        one = asyncio.create_task(world.produce([product("a"), product("b")], slots=1))
        await asyncio.sleep(5.0)
        assert [row.owner for row in world.rows(TaskState.SUCCEEDED)] == [None]
        other = await world.produce([product("a")], stages=["bgRemovedImage"], wait_seconds=30.0)
        took = world.clock()
        return other, await one, took

    other, one, took = world.clock.run(both())
    assert fates(other) == {("a", "bgRemovedImage"): "made"}
    assert fates(one) == everything("held", "a") | everything("made", "b")
    stored = [row.stored_at for row in world.rows(TaskState.STORED) if row.product_id == "b"]
    assert took < max(at for at in stored if at is not None)
    world.assert_nothing_lost()


def test_a_result_that_is_no_picture_is_held_and_asked_for_again_later(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world()
    with monkeypatch.context() as patch:
        patch.setattr("topview_pipeline.producer.fetching.downloads_of", _as_video)
        (held, *_) = world.run([product("a")])
    assert isinstance(held, Held)
    assert held.reason is HeldReason.DOWNLOAD
    assert held.until is not None
    assert fates(world.run([product("a")])) == everything("made", "a")
    assert world.submits() == 3


def _as_video(result: Any) -> Any:
    from topview_pipeline.stages.results import Download

    return (Download("cutout.png", result.bg_removed_image_path, "video"),)


def test_finished_and_not_fetched_for_seven_days_is_expired(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "keep", _broken_store)
        world.run([product("a")], stages=["bgRemovedImage"])
    world.run([product("b")])
    world.later(8 * DAY)
    # The free kind is made anew by itself.
    assert fates(world.run([product("a")], stages=["bgRemovedImage"])) == {
        ("a", "bgRemovedImage"): "made"
    }
    assert [row.product_id for row in world.rows(TaskState.EXPIRED)] == ["a"]


def _broken_store(*_args: object, **_options: object) -> None:
    raise StoreError("not to be reached", "store", "Mount it.")


def test_a_task_that_never_ends_is_stalled_named_and_asked_hourly(make_world: MakeWorld) -> None:
    world = make_world(server=Gateway)
    gateway = world.server
    assert isinstance(gateway, Gateway)
    gateway.rules.append(never_done)
    started = world.machine()
    (held, *_) = world.run([product("a")])
    assert isinstance(held, Held)
    assert held.reason is HeldReason.STALLED
    assert 600.0 <= world.machine() - started < 700.0
    (row,) = world.rows(TaskState.STALLED)
    assert "10 minutes" in str(row.error_message)

    def queries() -> int:
        return sum(path.endswith("/query") for path in gateway.calls)

    asked = queries()
    world.run([product("a")])
    assert queries() == asked
    world.later(HOUR)
    world.run([product("a")])
    assert queries() == asked + 1
    gateway.rules.clear()
    world.later(HOUR)
    assert fates(world.catch_up([product("a")])) == everything("made", "a")
    assert world.submits() == 3


def test_a_stalled_paid_task_is_expired_after_seven_days(make_world: MakeWorld) -> None:
    world = make_world(server=Gateway)
    assert isinstance(world.server, Gateway)
    world.run([product("a")], stages=["bgRemovedImage"])
    world.server.rules.append(never_done)
    assert fates(world.run([product("a")]))["a", "replacedImages"] == "held"
    world.later(8 * DAY)
    events = world.run([product("a")])
    (held,) = (e for e in events if isinstance(e, Held) and e.stage == "replacedImages")
    assert held.reason is HeldReason.EXPIRED
    assert world.counters()["submits"]["image_replace"] == 1


def test_a_task_id_that_is_known_already_is_not_believed(make_world: MakeWorld) -> None:
    world = make_world(server=Gateway)
    assert isinstance(world.server, Gateway)
    world.run([product("a")], stages=["bgRemovedImage"])
    (row,) = world.rows()

    def same_again(path: str, _query: object) -> Any | None:
        from tests.producer.gateway import envelope

        if not path.endswith("/submit"):
            return None
        return envelope({"taskId": row.topview_task_id, "status": "success"})

    world.server.rules.append(same_again)
    told = fates(world.run([product("b")]))
    assert told == everything("held", "b")
    assert [other.product_id for other in world.rows(TaskState.UNKNOWN)] == ["b"]


def test_an_answer_about_another_task_is_no_answer(make_world: MakeWorld) -> None:
    world = make_world(server=Gateway)
    assert isinstance(world.server, Gateway)

    def mixed_up(path: str, query: Any) -> Any | None:
        from tests.producer.gateway import envelope

        if not path.endswith("remove_background/query"):
            return None
        return envelope({"taskId": "f" * 32, "status": "fail", "errorMsg": "not ours"})

    world.server.rules.append(mixed_up)
    told = fates(world.run([product("a")]))
    assert told == everything("held", "a")
    assert [row.state for row in world.rows()] == [TaskState.STALLED]


def test_nothing_signed_is_kept_in_ledger_or_store(world: World) -> None:
    world.run([product("a")])
    kept = (world.folder / "ledger.db").read_bytes() + (world.folder / "ledger.db-wal").read_bytes()
    kept += b"".join(file.read_bytes() for file in (world.folder / "store").rglob("*.json"))
    assert b"Signature" not in kept
    assert world.settings.api_key.encode() not in kept
