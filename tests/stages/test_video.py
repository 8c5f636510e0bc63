"""The image that becomes the video, proofs before a scene is paid for, and dead images."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import Any

import pytest

from tests.stages.fakes import PLAIN, FakeClient, hash_of, item_of, product, scene, scene_result
from topview_pipeline.catalogue import Product
from topview_pipeline.stages import (
    SCENE,
    VIDEO,
    PreconditionError,
    ProofLists,
    Stage,
    WhenNoFace,
    WorkItem,
)
from topview_pipeline.topview.errors import QueryError, QueryRejected, TaskUnknown, Unavailable
from topview_pipeline.topview.models import Avatar, Caption, ImageReplaceResult, Voice

Faces = tuple[bool | None, ...]


def _item(faces: Faces = (True, True), choice: int | None = None, **changes: Any) -> WorkItem:
    return item_of(VIDEO, product(**changes), scene(*faces), choice=choice)


def _wire(item: WorkItem) -> dict[str, Any]:
    return VIDEO.request(item, {file.role: f"{file.role}-id" for file in VIDEO.files(item)}).wire()


# The image.


@pytest.mark.parametrize(
    ("faces", "wanted", "mode", "when_no_face", "number", "sent"),
    [
        ((True, True), None, "pro", "fail", 1, "pro"),
        ((False, True), None, "pro", "fail", 2, "pro"),
        ((False, None), None, "pro", "fail", 2, "pro"),
        ((True, True), 2, "pro", "fail", 2, "pro"),
        ((False, False), None, "avatar2", "fail", 1, "avatar2"),
        ((False, False), None, "pro", "avatar2", 1, "avatar2"),
        ((True, False), 2, "pro", "avatar2", 2, "avatar2"),
    ],
)
def test_the_wanted_image_else_the_first_with_a_face(
    faces: Faces,
    wanted: int | None,
    mode: str,
    when_no_face: WhenNoFace,
    number: int,
    sent: str,
) -> None:
    one = product(mode=mode, chosen_image=wanted)
    item = item_of(VIDEO, one, scene(*faces), when_no_face=when_no_face)
    assert (item.mode, VIDEO.provider_ids(item)) == (sent, (f"image-{number}",))


@pytest.mark.parametrize(
    ("faces", "outcomes", "wanted", "number"),
    [
        ((True, True), ("failed", "passed"), None, 2),
        ((True, False), ("failed", "doubtful"), None, 2),
        ((True, True), ("doubtful", "passed"), None, 1),
        ((True, True), ("failed", "failed"), None, 1),
        ((True, True), ("failed", "passed"), 1, 1),  # a person's word
    ],
)
def test_an_image_that_failed_its_check_is_taken_last(
    faces: Faces, outcomes: tuple[str, ...], wanted: int | None, number: int
) -> None:
    quality = {"images": [{"outcome": outcome} for outcome in outcomes]}
    upstream = replace(scene(*faces), quality=quality)
    item = item_of(VIDEO, product(mode="avatar2"), upstream, choice=wanted)
    assert VIDEO.provider_ids(item) == (f"image-{number}",)
    anyway = item_of(VIDEO, product(mode="avatar2"), upstream, choice=number)
    assert anyway.inputs == VIDEO.inputs(product(chosen_image=wanted), hash_of)


@pytest.mark.parametrize(
    ("faces", "wanted", "what", "fix"),
    [
        ((False, False), None, "no face", "TOPVIEW_WHEN_NO_FACE=avatar2"),
        ((True, False), 2, "no face", "choose another scene"),
        ((True, True), 3, "scene 3 was chosen", "from 1 to 2"),
    ],
)
def test_an_image_that_does_not_serve_says_the_way_out(
    faces: Faces, wanted: int | None, what: str, fix: str
) -> None:
    with pytest.raises(PreconditionError, match=what) as caught:
        _item(faces, mode="pro", chosen_image=wanted)
    assert fix.lower() in caught.value.fix.lower()


def test_a_video_is_shaped_by_the_image_and_mode_really_sent() -> None:
    found, column, person = _item(), _item(chosen_image=1), _item(choice=1)
    assert found.work == column.work == person.work
    other = [_item(choice=2), _item(chosen_image=2), _item((False, True))]
    assert len({item.work for item in other}) == 1
    assert other[0].work != found.work
    faceless = item_of(VIDEO, product(mode="pro"), scene(False), when_no_face="avatar2")
    assert faceless.work != _item((True,), mode="pro").work
    assert faceless.work == _item((False,), mode="avatar2").work


@pytest.mark.parametrize(
    ("column", "choice", "same_as"),
    [
        (None, None, None),
        (None, 1, None),  # it is taken anyway
        (2, 2, 2),
        (None, 2, 2),  # as if it stood in the column
        (2, 1, 1),
        (5, 1, 1),  # the column names no image
    ],
)
def test_a_choice_is_laid_over_the_column(
    column: int | None, choice: int | None, same_as: int | None
) -> None:
    """Choosing what is taken anyway must not make the video stale."""
    item = _item(chosen_image=column, choice=choice)
    assert item.inputs == VIDEO.inputs(product(chosen_image=same_as), hash_of)
    inputs = VIDEO.inputs(product(chosen_image=column), hash_of)
    observed = VIDEO.effective_inputs(inputs, choice, scene_result(True, True))
    assert observed.version == item.inputs.version
    assert VIDEO.effective_inputs(observed, choice, scene_result(True, True)) == observed


def test_a_choice_while_there_is_no_scene_counts_as_it_is() -> None:
    inputs = VIDEO.effective_inputs(VIDEO.inputs(PLAIN, hash_of), 1, None)
    assert inputs.values["chosen_image"] == 1


def test_the_image_of_a_video_is_found_again_by_its_id() -> None:
    request = {"replaceProductTaskImageId": "image-2"}
    assert VIDEO.upstream_files(request, scene_result(True, False)) == ("scene_2.png",)
    for other in ({}, {"replaceProductTaskImageId": "of another scene"}):
        assert VIDEO.upstream_files(other, scene_result(True, False)) == ()


# The request.


def test_a_recording_is_uploaded_as_audio() -> None:
    item = _item(script=None, audio="audio", voice_id=None)
    (audio,) = VIDEO.files(item)
    assert (audio.role, audio.kind, audio.source) == ("audio", "audio", "audio")
    wire = _wire(item)
    assert (wire["scriptMode"], wire["audioFileId"]) == ("audio", "audio-id")
    assert "ttsText" not in wire


# Proofs: no scene is paid for when its video could not succeed, and nothing is refused on a guess.


def _voices(*ids: str) -> list[Voice]:
    return [Voice(voice_id=one, voice_name=f"name of {one}", language="en") for one in ids]


KNOWN: dict[str, Any] = {
    "voices": [_voices("voice", "v2", "v3", "v4")],
    "own_voices": [_voices("cloned")],
    "captions": [[Caption(caption_id="caption")]],
    "avatars": [[Avatar(avatar_id="avatar")]],
}


def _prove(
    answers: dict[str, Any],
    one: Product,
    *,
    stage: Stage = VIDEO,
    recorded: float | None = None,
    **options: Any,
) -> None:
    lists = ProofLists(FakeClient(**answers).client, **{"refuse": True} | options)
    asyncio.run(stage.prove(one, lists, recorded))


@pytest.mark.parametrize(
    ("column", "command", "some"),
    [
        ("avatar_id", "topview-pipeline avatars", "such as avatar."),
        ("voice_id", "topview-pipeline voices", "such as voice (name of voice, en); v2 "),
        ("caption_id", "topview-pipeline captions", "such as caption."),
    ],
)
def test_an_id_that_topview_does_not_list_is_refused(column: str, command: str, some: str) -> None:
    stage = SCENE if column == "avatar_id" else VIDEO
    one = product(**{column: "no-such-id"})
    with pytest.raises(PreconditionError, match=rf"no-such-id \({column}\)") as caught:
        _prove(KNOWN, one, stage=stage)
    warnings: list[str] = []
    _prove(KNOWN, one, stage=stage, warn=warnings.append, refuse=False)
    (said,) = warnings
    assert f"no-such-id ({column})" in said, "the lists may be incomplete: no refusal by itself"
    assert "TOPVIEW_UNKNOWN_IDS=fail" in said
    assert command in caught.value.fix
    assert some in caught.value.fix
    assert "v4" not in caught.value.fix


@pytest.mark.parametrize("voice_id", ["cloned", None])
def test_a_cloned_voice_is_taken(voice_id: str | None) -> None:
    _prove(KNOWN, product(voice_id=voice_id))


UNREADABLE = QueryRejected("no", doing="reading")


@pytest.mark.parametrize(
    "answers",
    [
        KNOWN | {"voices": [UNREADABLE], "captions": [UNREADABLE]},
        KNOWN | {"own_voices": [UNREADABLE], "captions": [[]]},
        KNOWN | {"voices": [[]], "own_voices": [[]], "captions": [asyncio.TimeoutError()]},
        KNOWN | {"own_voices": KNOWN["voices"], "captions": [[]]},
    ],
    ids=["not to be read", "one not to be read", "empty", "a filter without effect"],
)
def test_a_list_that_need_not_be_whole_refuses_nothing(answers: dict[str, Any]) -> None:
    _prove(answers, product(voice_id="no-such-id", caption_id="no-such-id"))


def test_the_lists_are_read_once_for_many_products() -> None:
    fake = FakeClient(**KNOWN)
    lists = ProofLists(fake.client)

    async def many() -> None:
        await asyncio.gather(*(VIDEO.prove(PLAIN, lists) for _ in range(8)))

    asyncio.run(many())
    assert sorted(fake.calls) == ["captions", "own_voices", "voices"]


def test_a_script_must_fit_the_mode_of_a_scene_without_a_face() -> None:
    """A script of 40 s goes in avatar4, and its scene is paid before nobody is found in it."""
    one = product(mode="avatar4", script="a" * 576)
    _prove(KNOWN, one)
    with pytest.raises(PreconditionError, match="TOPVIEW_WHEN_NO_FACE=fail"):
        _prove(KNOWN, one, when_no_face="avatar2")


@pytest.mark.parametrize(
    ("recorded", "mode", "when_no_face", "fix"),
    [
        (28.0, "avatar2", "fail", None),
        (28.1, "avatar2", "fail", "mode avatar4"),
        (120.1, "avatar4", "fail", "Shorten it"),
        (999.0, "pro", "fail", "mode avatar4"),
        (5.4, "lite", "fail", None),
        (40.0, "avatar4", "avatar2", "TOPVIEW_WHEN_NO_FACE=fail"),
        (20.0, "avatar4", "avatar2", None),
    ],
)
def test_a_recording_must_fit_each_mode_that_may_be_sent(
    recorded: float, mode: str, when_no_face: WhenNoFace, fix: str | None
) -> None:
    options: dict[str, Any] = {"recorded": recorded, "when_no_face": when_no_face}
    if fix is None:
        _prove(KNOWN, product(mode=mode), **options)
        return
    says = r"mode \w+ lasts (at most )?(10|28|120) s$"
    with pytest.raises(PreconditionError) as caught:
        _prove(KNOWN, product(mode=mode), **options)
    assert re.search(says, caught.value.what)
    assert fix in caught.value.fix


# Dead images: taken for dead, a live scene would be paid again.

UNKNOWN = TaskUnknown("4004", doing="querying")
NO_ANSWER = Unavailable("busy", doing="querying", retry_after=7.0)


def _answer(status: str, *ids: str) -> ImageReplaceResult:
    images = [{"imageId": one} for one in ids]
    return ImageReplaceResult.model_validate(
        {"taskId": "scene-task", "status": status, "replaceProductResult": images}
    )


ALIVE, OTHERS, NONE = _answer("success", "image-1"), _answer("success", "x"), _answer("success")
RUNNING, FAILED = _answer("running"), _answer("fail")


@pytest.mark.parametrize(
    ("answers", "is_gone", "waits"),
    [
        ([ALIVE], False, []),
        ([UNKNOWN] * 3, True, [2.0, 4.0]),
        ([OTHERS, UNKNOWN, NONE], True, [2.0, 4.0]),
        ([UNKNOWN, UNKNOWN, ALIVE], False, [2.0, 4.0]),
        ([NO_ANSWER, UNKNOWN, ALIVE], False, [7.0, 14.0]),
        ([UNKNOWN, NO_ANSWER, UNKNOWN, UNKNOWN], True, [2.0, 7.0, 14.0]),
        ([RUNNING, NONE, NONE, NONE], True, [2.0, 4.0, 8.0]),
        ([UNKNOWN, UNKNOWN, RUNNING, UNKNOWN, UNKNOWN], None, [2.0, 4.0, 8.0, 16.0]),
        ([FAILED] * 5, None, [2.0, 4.0, 8.0, 16.0]),
        ([NO_ANSWER] * 5, None, [7.0, 14.0, 28.0, 56.0]),
    ],
)
def test_only_three_denials_in_a_row_end_an_image(
    answers: list[Any], is_gone: bool | None, waits: list[float]
) -> None:
    """None: Topview does not say now, and the product waits."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    fake = FakeClient(queries=answers)
    asked = VIDEO.upstream_is_gone(fake.client, _item(), sleep=sleep, wait=2.0)
    if is_gone is None:
        with pytest.raises(QueryError):
            asyncio.run(asked)
    else:
        assert asyncio.run(asked) is is_gone
    assert slept == waits
    assert set(fake.calls) == {"query scene-task"}


def test_a_script_is_spoken_in_the_mode_of_the_image() -> None:
    item = _item((True, True), choice=2, mode="pro")
    assert VIDEO.files(item) == ()
    assert _wire(item) == {
        "replaceProductTaskImageId": "image-2",
        "mode": "pro",
        "scriptMode": "text",
        "ttsText": "Hello.",
        "voiceId": "voice",
        "captionId": "caption",
    }
