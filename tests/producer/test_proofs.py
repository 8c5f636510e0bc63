"""Only proof ends what was paid for, and nothing is paid for what cannot succeed."""

import asyncio
import io
import wave

import pytest

from tests.producer.conftest import MakeWorld
from tests.producer.world import HOUR, World, fates, product
from topview_pipeline.inputs import InputError, InputFile
from topview_pipeline.ledger import TaskState
from topview_pipeline.topview.client import TopviewClient
from topview_pipeline.topview.errors import TooLarge
from topview_pipeline.topview.timeouts import within

DAY = 24 * HOUR


def test_no_answer_after_seven_days_expires_nothing(world: World) -> None:
    """A machine that was off for eight days comes back offline, or with a wrong key."""
    world.run([product("a")], wait_seconds=0.0)
    world.control("PUT", "credentials", revoked=True)
    world.later(8 * DAY)
    world.run([product("a")], wait_seconds=60.0)
    assert [row.state for row in world.rows(TaskState.STALLED)] == [TaskState.STALLED]
    world.later(2 * HOUR)
    world.run([product("a")], wait_seconds=60.0)
    assert world.rows(TaskState.EXPIRED) == []


def test_our_own_size_limit_after_seven_days_expires_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result is still at Topview; it is our rule that keeps it out of the store."""

    async def too_large(*_: object, **__: object) -> None:
        raise TooLarge("more bytes than allowed", doing="downloading")

    monkeypatch.setattr(TopviewClient, "download", too_large)
    world.run([product("a")], stages=["bgRemovedImage"])
    assert len(world.rows(TaskState.SUCCEEDED)) == 1
    world.skew = 8 * DAY  # ours alone: Topview still has it
    world.run([product("a")], stages=["bgRemovedImage"])
    assert world.rows(TaskState.EXPIRED) == []
    assert len(world.rows(TaskState.SUCCEEDED)) == 1


def test_a_recording_that_is_none_costs_no_scene(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world()
    read = world.inputs.read

    def no_recording(ref: str, *, kind: str) -> InputFile:
        if kind == "audio":
            raise InputError("not a recording", ref, "Save it as MP3.")
        return read(ref, kind=kind)

    monkeypatch.setattr(world.inputs, "read", no_recording)
    told = fates(world.run([product("a", script=None, audio="speech")]))
    assert told["a", "replacedImages"] == "failed"
    assert world.counters()["charged"] == 0


def test_a_recording_too_long_for_its_mode_costs_no_scene(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world()
    read = world.inputs.read
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 1, 1000, 0, "NONE", "not compressed"))
        sound.writeframes(b"\x80" * 30_000)

    def thirty_seconds(ref: str, *, kind: str) -> InputFile:
        if kind == "audio":
            return InputFile(file.getvalue(), world.inputs.sha256(ref), "wav")
        return read(ref, kind=kind)

    monkeypatch.setattr(world.inputs, "read", thirty_seconds)
    told = fates(world.run([product("a", script=None, audio="speech", mode="avatar2")]))
    assert told["a", "replacedImages"] == "failed"
    assert world.counters()["charged"] == 0


def test_a_cancellation_that_comes_with_the_answer_is_not_swallowed() -> None:
    """A producer that ends would wait for a poll that goes on for an hour."""

    async def main() -> bool:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        caller = asyncio.ensure_future(within(60.0, answer))
        await asyncio.sleep(0)
        answer.set_result("done")
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.wait({caller})
        return caller.cancelled()

    assert asyncio.run(main())


def test_what_takes_too_long_is_a_timeout() -> None:
    with pytest.raises(asyncio.TimeoutError, match=r"longer than 0\.01 seconds"):
        asyncio.run(within(0.01, asyncio.sleep(60)))
