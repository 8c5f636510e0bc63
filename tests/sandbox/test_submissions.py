"""Requests that the API refuses, field by field.

The switches of what nobody knows of it are tried by tests/cli/test_probe.py, one by one.
"""

from typing import Any

import pytest

from topview_pipeline.sandbox.kinds import Kind
from topview_pipeline.sandbox.media.engine import Scene, SceneInputs
from topview_pipeline.sandbox.media.tiny import TinyMedia

from .conftest import QUAD, MakeRig, Rig, path_of, picture, tone


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "4001"),
        (b"no json", "4001"),
        (b"\xff{}", "4001"),
        (b"[]", "4001"),
        (b'{"productImageFileId": 7}', "4001"),
        (b"{}", "4003"),
        (b'{"productImageFileId": ""}', "4003"),
        (b'{"productImageFileId": null}', "4003"),
        (b'{"productImageFileId": "f00"}', "4004"),
    ],
)
def test_a_body_without_a_usable_photo_is_refused(rig: Rig, body: bytes, code: str) -> None:
    path = f"{path_of(Kind.REMOVE_BACKGROUND)}/submit"
    response = rig.request("POST", path, content=body, headers=rig.headers)
    assert response.status_code == 200
    assert response.json()["code"] == code
    report = rig.counters()
    assert report["submits"] == {"remove_background": 1}
    assert (report["refused"], report["accepted"]) == ({code: 1}, {})


MANUAL = {"generateImageMode": "manual"}
V4 = {**MANUAL, "location": QUAD, "version": "v4"}


@pytest.mark.parametrize(
    ("version", "fields", "code"),
    [
        ("v2", {"generateImageMode": ""}, "4003"),
        ("v2", {"generateImageMode": "magic"}, "4000"),
        ("v2", {"productImageWithoutBackgroundFileId": "f00"}, "4004"),
        ("v2", {"templateImageFileId": ""}, "4003"),
        ("v2", {"templateImageFileId": "", "avatarId": "f00"}, "4004"),
        ("v2", {"userFaceImageFileId": "f00"}, "4004"),
        ("v2", MANUAL, "4003"),
        ("v2", {**MANUAL, "location": QUAD[:3]}, "4000"),
        ("v2", {**MANUAL, "location": [[0.1, 0.2], *QUAD[:2], [0.1]]}, "4000"),
        ("v2", {**MANUAL, "location": [*QUAD[:3], [0.3, 1.7]]}, "4000"),
        ("v2", {**MANUAL, "location": [*QUAD[:3], ["0.3", 1]]}, "4000"),
        ("v2", {**MANUAL, "location": [*QUAD[:3], [True, 1]]}, "4000"),
        ("v2", {"noticeUrl": "ftp://127.0.0.1/"}, "4000"),
        ("v3", {**V4, "version": "v3"}, "4000"),
        ("v3", {**V4, "version": "v9"}, "4000"),
        ("v3", {**V4, "keepTarget": "nobody"}, "4000"),
        ("v3", {**V4, "productSize": "7"}, "4000"),
        ("v3", V4, "200"),
        # As the vendor's client sends it.
        ("v3", {**V4, "productSize": 3, "location": [[10.5, 20.0], [60, 80]]}, "200"),
        ("v3", {**V4, "productSize": "3", "location": [[0.1, 0.2], [0.6, 0.8]]}, "200"),
        ("v3", {**V4, "productSize": True}, "4001"),
        ("v3", {**V4, "location": [[10.5, 20.0], [60, 101]]}, "4000"),
        ("v3", {**V4, "location": [[10.5, 20.0], [60, 80], [1, 1]]}, "4000"),
    ],
)
def test_image_replace_rules(rig: Rig, version: str, fields: dict[str, Any], code: str) -> None:
    assert rig.answer(Kind.IMAGE_REPLACE, rig.scene_body(**fields), version)["code"] == code


@pytest.mark.parametrize(("version", "cost"), [("v2", 1.0), ("v3", 0.5)])
def test_both_versions_take_what_the_official_client_sends(
    rig: Rig, version: str, cost: float
) -> None:
    body = rig.scene_body(keepTarget="model", version="v3", productSize="2", projectId="p")
    task = rig.submit(Kind.IMAGE_REPLACE, body, version)
    scenes = rig.finish(Kind.IMAGE_REPLACE, task, version)
    assert scenes["costCredit"] == cost
    video = rig.video_body(scenes["replaceProductResult"][0]["imageId"])
    task = rig.submit(Kind.IMAGE2VIDEO, video, version)
    assert rig.finish(Kind.IMAGE2VIDEO, task, version)["finishedVideoUrl"]


def test_v3_cuts_out_a_photo_itself(rig: Rig) -> None:
    photos = ("productImageFileId", "templateImageFileId")
    body = {name: rig.upload(picture(shade)) for shade, name in enumerate(photos)}
    task = rig.submit(Kind.IMAGE_REPLACE, body, "v3")
    assert len(rig.finish(Kind.IMAGE_REPLACE, task, "v3")["replaceProductResult"]) == 1


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"replaceProductTaskImageId": "f00"}, "4004"),
        ({"mode": "ultra"}, "4000"),
        ({"scriptMode": "song"}, "4000"),
        ({"ttsText": ""}, "4003"),
        ({"voiceId": ""}, "4003"),
        ({"voiceId": "f00"}, "4004"),
        ({"captionId": "f00"}, "4004"),
        ({"scriptMode": "audio"}, "4003"),
        ({"scriptMode": "audio", "audioFileId": "f00"}, "4004"),
        ({"mode": "", "scriptMode": "", "captionId": ""}, "200"),
    ],
)
def test_image2video_rules(rig: Rig, fields: dict[str, Any], code: str) -> None:
    assert rig.answer(Kind.IMAGE2VIDEO, rig.video_body(**fields))["code"] == code


def test_image_ids_and_file_ids_are_not_exchangeable(rig: Rig) -> None:
    image_id = rig.scenes()[0]["imageId"]
    assert rig.answer(Kind.REMOVE_BACKGROUND, {"productImageFileId": image_id})["code"] == "4004"
    assert rig.answer(Kind.IMAGE2VIDEO, rig.video_body(rig.cutout(3)))["code"] == "4004"


class _Faceless(TinyMedia):
    def scenes(self, given: SceneInputs) -> list[Scene]:
        return [Scene(scene.png, face_existence=False) for scene in super().scenes(given)]


def test_a_scene_without_a_face_takes_mode_avatar2_alone(make_rig: MakeRig) -> None:
    rig = make_rig(engine=_Faceless())
    image_id = rig.scenes()[0]["imageId"]
    for mode, code in (("pro", "4000"), ("avatar2", "200")):
        assert rig.answer(Kind.IMAGE2VIDEO, rig.video_body(image_id, mode=mode))["code"] == code


@pytest.mark.parametrize(
    ("mode", "seconds", "code"),
    [
        ("avatar2", 28, "200"),
        ("avatar2", 29, "4000"),
        ("avatar4", 29, "200"),
        ("avatar4", 121, "4000"),
        ("lite", 121, "200"),
        ("lite", None, "4000"),
    ],
)
def test_audio_longer_than_its_mode_takes_is_refused_and_what_is_none(
    rig: Rig, mode: str, seconds: int | None, code: str
) -> None:
    audio = rig.upload(b"no sound" if seconds is None else tone(seconds, rate=2_000), "wav")
    body = rig.video_body(mode=mode, scriptMode="audio", audioFileId=audio, ttsText="", voiceId="")
    assert rig.answer(Kind.IMAGE2VIDEO, body)["code"] == code
