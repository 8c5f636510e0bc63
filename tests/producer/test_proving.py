"""No scene is paid for when its video could not succeed; and nothing is refused on a guess."""

from __future__ import annotations

import io
import wave
from collections.abc import Mapping
from typing import Any

import pytest

from tests.producer.conftest import MakeWorld
from tests.producer.gateway import Gateway, envelope
from tests.producer.world import World, everything, fates, product
from topview_pipeline.inputs import InputFile
from topview_pipeline.producer import Failed
from topview_pipeline.sandbox.catalogues import CUSTOM_VOICES

NO_SUCH_ID = "0" * 32
VOICES = "/v1/voice/query"


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world(server=Gateway)


def _answer(world: World, path: str, answer: Any) -> None:
    """What Topview answers there from now on."""
    assert isinstance(world.server, Gateway)

    def rule(asked: str, _query: Mapping[str, str]) -> Any | None:
        return answer if asked == path else None

    world.server.rules.append(rule)


def _asked(world: World, path: str) -> int:
    assert isinstance(world.server, Gateway)
    return world.server.calls.count(path)


@pytest.mark.parametrize("column", ["voice_id", "caption_id"])
def test_an_id_that_topview_does_not_list_costs_no_scene(world: World, column: str) -> None:
    events = world.run([product("a", **{column: NO_SUCH_ID}), product("b")])
    assert fates(events) == everything("made", "b") | {
        ("a", "bgRemovedImage"): "made",
        ("a", "replacedImages"): "failed",
        ("a", "finishedVideo"): "failed",
    }
    first = next(event for event in events if isinstance(event, Failed))
    assert f"{NO_SUCH_ID} ({column})" in first.what
    kind = column.removesuffix("_id")
    assert f"GET /v1/{kind}/" in first.mend
    assert str(getattr(product("b"), column)) in first.mend
    assert world.counters()["submits"]["image_replace"] == 1


def test_the_accounts_own_voice_is_taken(world: World) -> None:
    told = fates(world.run([product("a", voice_id=CUSTOM_VOICES[0].voice_id)]))
    assert told == everything("made", "a")


@pytest.mark.parametrize(
    "answer",
    [
        envelope(None, code="4000"),
        envelope({"total": 1, "data": [{"voiceId": "the same list, whatever is asked"}]}),
        envelope({"total": 0, "data": []}),
    ],
    ids=["not to be read", "a filter without effect", "empty"],
)
def test_a_list_that_need_not_be_whole_refuses_nothing(world: World, answer: Any) -> None:
    _answer(world, VOICES, answer)
    assert fates(world.run([product("a")])) == everything("made", "a")


def test_the_lists_are_read_once_for_a_run_and_only_when_a_scene_needs_them(world: World) -> None:
    products = [product(name) for name in "abcdefgh"]
    world.run(products, stages=["bgRemovedImage"])
    world.run(products, stages=["replacedImages"])
    assert _asked(world, VOICES) == 0
    products = [product(name, image_edit_prompt="elsewhere") for name in "abcdefgh"]
    assert set(fates(world.run(products)).values()) == {"made"}
    assert _asked(world, VOICES) == 2  # Topview's, and the account's own
    assert _asked(world, "/v1/caption/list") == 1


def _speak(world: World, monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """Every recording lasts so long."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 1, 1000, 0, "NONE", "not compressed"))
        sound.writeframes(b"\x80" * 1000 * seconds)
    read = world.inputs.read

    def recorded(ref: str, *, kind: str) -> InputFile:
        if kind == "audio":
            return InputFile(file.getvalue(), world.inputs.sha256(ref), "wav")
        return read(ref, kind=kind)

    monkeypatch.setattr(world.inputs, "read", recorded)


def test_a_recording_too_long_for_the_mode_of_a_faceless_scene_costs_no_scene(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _speak(world, monkeypatch, seconds=40)
    spoken = product("a", script=None, audio="speech", mode="avatar4")
    events = world.run([spoken], when_no_face="avatar2")
    failed = [event for event in events if isinstance(event, Failed)]
    assert [event.stage for event in failed] == ["replacedImages", "finishedVideo"]
    assert "mode avatar2 takes at most 28 s" in failed[0].what
    assert "TOPVIEW_WHEN_NO_FACE=fail" in failed[0].mend
    assert world.counters()["charged"] == 0
    assert fates(world.run([spoken])) == everything("made", "a")


def test_a_scene_with_a_face_is_animated_whatever_a_faceless_one_would_need(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scene is there and shows a face: the strictest mode is no matter any more."""
    _speak(world, monkeypatch, seconds=40)
    spoken = product("a", script=None, audio="speech", mode="avatar4")
    world.run([spoken], stages=["bgRemovedImage", "replacedImages"])
    told = fates(world.run([spoken], stages=["finishedVideo"], when_no_face="avatar2"))
    assert told == {("a", "finishedVideo"): "made"}
