"""Credentials, sloppy input, and requests that the API refuses."""

import io
import wave
from collections.abc import Callable
from typing import Any

import pytest

from topview_pipeline.sandbox.kinds import Kind
from topview_pipeline.sandbox.media import Cutout, Scene
from topview_pipeline.sandbox.tinymedia import TinyMedia

from .conftest import QUAD, QUERY_PATHS, Rig, picture

MakeRig = Callable[..., Rig]
DETAIL = "/user/credit/detail"


@pytest.mark.parametrize(
    "change",
    [
        {"Authorization": ""},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "sandbox-api-key"},
        {"Topview-Uid": "SomebodyElse00000000"},
        {"Topview-Uid": ""},
    ],
)
def test_bad_credentials_answer_http_401_or_code_401(
    make_rig: MakeRig, change: dict[str, str]
) -> None:
    for style, status in (("http", 401), ("code", 200)):
        rig = make_rig(auth_errors=style)
        response = rig.request("GET", "/user/credit/logs", headers=rig.headers | change)
        assert response.status_code == status
        assert response.json()["code"] == "401"


def test_credit_detail_answers_the_bearer_key_alone(rig: Rig) -> None:
    headers = {"Authorization": rig.headers["Authorization"]}
    result = rig.request("GET", DETAIL, headers=headers).json()["result"]
    assert result["uid"] == rig.config.uid
    other = headers | {"Topview-Uid": "SomebodyElse00000000"}
    assert rig.request("GET", DETAIL, headers=other).status_code == 401


def test_revoked_credentials_stop_everything_until_restored(rig: Rig) -> None:
    account = rig.world.state.account_of(rig.config.uid)
    account.revoked = True
    assert rig.get(DETAIL)["code"] == "401"
    account.revoked = False
    assert rig.get(DETAIL)["code"] == "200"


def test_another_accounts_ids_are_not_found(rig: Rig) -> None:
    photo = rig.upload(picture())
    task = rig.submit(Kind.REMOVE_BACKGROUND, {"productImageFileId": photo})
    response = rig.request(
        "POST", "/_sandbox/accounts", json={"uid": "Other", "api_key": "k2", "credits": 5}
    )
    assert response.status_code == 200
    rig.headers = {"Topview-Uid": "Other", "Authorization": "Bearer k2"}
    assert rig.query(Kind.REMOVE_BACKGROUND, task)["code"] == "4004"
    body = {"productImageFileId": photo}
    path = QUERY_PATHS[Kind.REMOVE_BACKGROUND] + "/submit"
    assert rig.post(path, body)["code"] == "4004"


def test_double_slashes_bare_flags_and_unknown_fields_are_taken(rig: Rig) -> None:
    url = "http://sandbox.test//v1//upload/credential?format=PNG&needAccelerateUrl="
    credential = rig.request("GET", url, headers=rig.headers).json()["result"]
    assert credential["format"] == "png"
    file_id = credential["fileId"]
    assert rig.get("/v1/upload/check", fileId=file_id)["result"] is False
    for content_type in ({}, {"Content-Type": "application/octet-stream"}):
        put = rig.request("PUT", credential["uploadUrl"], content=picture(), headers=content_type)
        assert (put.status_code, put.content) == (200, b"")
    assert rig.get("/v1/upload/check", fileId=file_id)["result"] is True
    body = {"productImageFileId": file_id, "noticeUrl": "", "somethingNew": [1]}
    task = rig.submit(Kind.REMOVE_BACKGROUND, body)
    rig.advance(60)
    path = QUERY_PATHS[Kind.REMOVE_BACKGROUND] + f"/query?taskId={task}&needCloudFrontUrl"
    response = rig.request("GET", path, headers=rig.headers)
    assert "X-Amz-Signature" in response.json()["result"]["maskImagePath"]


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
def test_bodies_that_say_nothing_are_refused(rig: Rig, body: bytes, code: str) -> None:
    path = QUERY_PATHS[Kind.REMOVE_BACKGROUND] + "/submit"
    response = rig.request("POST", path, content=body, headers=rig.headers)
    assert response.status_code == 200
    assert response.json()["code"] == code
    assert rig.counters()["refused"] == {code: 1}
    assert rig.counters()["accepted"] == {}


def test_an_upload_without_its_put_is_not_found(rig: Rig) -> None:
    file_id = rig.get("/v1/upload/credential", format="png")["result"]["fileId"]
    path = QUERY_PATHS[Kind.REMOVE_BACKGROUND] + "/submit"
    assert rig.post(path, {"productImageFileId": file_id})["code"] == "4004"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"generateImageMode": ""}, "4003"),
        ({"generateImageMode": "magic"}, "4000"),
        ({"productImageWithoutBackgroundFileId": "f00"}, "4004"),
        ({"templateImageFileId": ""}, "4003"),
        ({"templateImageFileId": "", "avatarId": "f00"}, "4004"),
        ({"userFaceImageFileId": "f00"}, "4004"),
        ({"generateImageMode": "manual"}, "4003"),
        ({"generateImageMode": "manual", "location": QUAD[:3]}, "4000"),
        ({"generateImageMode": "manual", "location": [[0.1, 0.2], *QUAD[:2], [0.1]]}, "4000"),
        ({"generateImageMode": "manual", "location": [*QUAD[:3], [0.3, 1.7]]}, "4000"),
        ({"generateImageMode": "manual", "location": [*QUAD[:3], ["0.3", 1]]}, "4000"),
        ({"generateImageMode": "manual", "location": [*QUAD[:3], [True, 1]]}, "4000"),
        ({"noticeUrl": "ftp://127.0.0.1/"}, "4000"),
    ],
)
def test_image_replace_rules(rig: Rig, fields: dict[str, Any], code: str) -> None:
    path = QUERY_PATHS[Kind.IMAGE_REPLACE] + "/submit"
    assert rig.post(path, rig.scene_body(**fields))["code"] == code


def test_image_replace_takes_a_public_avatar(rig: Rig) -> None:
    avatar = rig.get("/v1/product_avatar/public_avatar/query")["result"]["data"][0]
    images = rig.scenes(templateImageFileId="", avatarId=avatar["avatarId"])
    assert len(images) == 1


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"version": "v3"}, "4000"),
        ({"version": "v9"}, "4000"),
        ({"version": "v4", "keepTarget": "nobody"}, "4000"),
        ({"version": "v4", "productSize": "7"}, "4000"),
        ({"version": "v4"}, "200"),
    ],
)
def test_v3_image_replace_rules(rig: Rig, fields: dict[str, Any], code: str) -> None:
    body = rig.scene_body(generateImageMode="manual", location=QUAD, **fields)
    assert rig.post("/v3/product_avatar/task/image_replace/submit", body)["code"] == code


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
    path = QUERY_PATHS[Kind.IMAGE2VIDEO] + "/submit"
    assert rig.post(path, rig.video_body(**fields))["code"] == code


def test_a_scene_is_no_file_and_a_file_is_no_scene(rig: Rig) -> None:
    image_id = rig.scenes()[0]["imageId"]
    path = QUERY_PATHS[Kind.REMOVE_BACKGROUND] + "/submit"
    assert rig.post(path, {"productImageFileId": image_id})["code"] == "4004"
    body = rig.video_body(rig.cutout(picture(3)))
    assert rig.post(QUERY_PATHS[Kind.IMAGE2VIDEO] + "/submit", body)["code"] == "4004"


class _Faceless(TinyMedia):
    def scenes(self, **arguments: Any) -> list[Scene]:
        return [Scene(scene.png, face_existence=False) for scene in super().scenes(**arguments)]


def test_a_scene_without_a_face_takes_mode_avatar2_alone(make_rig: MakeRig) -> None:
    rig = make_rig(engine=_Faceless())
    image_id = rig.scenes()[0]["imageId"]
    path = QUERY_PATHS[Kind.IMAGE2VIDEO] + "/submit"
    assert rig.post(path, rig.video_body(image_id, mode="pro"))["code"] == "4000"
    assert rig.post(path, rig.video_body(image_id, mode="avatar2"))["code"] == "200"


@pytest.mark.parametrize(
    ("mode", "seconds", "code"),
    [
        ("avatar2", 28, "200"),
        ("avatar2", 29, "4000"),
        ("avatar4", 29, "200"),
        ("avatar4", 121, "4000"),
    ],
)
def test_audio_longer_than_its_mode_takes_is_refused(
    rig: Rig, mode: str, seconds: int, code: str
) -> None:
    audio = rig.upload(_silence(seconds), "wav")
    body = rig.video_body(mode=mode, scriptMode="audio", audioFileId=audio, ttsText="", voiceId="")
    assert rig.post(QUERY_PATHS[Kind.IMAGE2VIDEO] + "/submit", body)["code"] == code


def test_audio_that_is_none_is_refused(rig: Rig) -> None:
    body = rig.video_body(scriptMode="audio", audioFileId=rig.upload(b"no sound", "mp3"))
    assert rig.post(QUERY_PATHS[Kind.IMAGE2VIDEO] + "/submit", body)["code"] == "4000"


def _silence(seconds: int) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(2_000)
        sound.writeframes(bytes(2_000 * seconds))
    return out.getvalue()


def test_what_is_no_image_fails_as_a_task_and_costs_nothing(rig: Rig) -> None:
    task = rig.submit(Kind.REMOVE_BACKGROUND, {"productImageFileId": rig.upload(b"text")})
    rig.advance(60)
    result = rig.query(Kind.REMOVE_BACKGROUND, task)["result"]
    assert result["status"] == "fail"
    assert "cannot be read as an image" in result["errorMsg"]
    assert result["bgRemovedImageFileId"] is None

    scene = rig.submit(Kind.IMAGE_REPLACE, rig.scene_body(templateImageFileId=rig.upload(b"text")))
    rig.advance(60)
    failed = rig.query(Kind.IMAGE_REPLACE, scene)["result"]
    assert (failed["status"], failed["costCredit"]) == ("fail", 0)
    assert rig.get(DETAIL)["result"]["remainCredit"] == rig.config.credits


class _Crashing(TinyMedia):
    def cutout(self, image: bytes) -> Cutout:
        raise ZeroDivisionError(len(image))


def test_a_crash_of_the_media_fails_the_task_and_is_logged(
    make_rig: MakeRig, caplog: pytest.LogCaptureFixture
) -> None:
    rig = make_rig(engine=_Crashing(), media="real", media_workers=1)
    task = rig.submit(Kind.REMOVE_BACKGROUND, {"productImageFileId": rig.upload(picture())})
    rig.world.workshop.close(wait=True)
    rig.advance(60)
    result = rig.query(Kind.REMOVE_BACKGROUND, task)["result"]
    assert result["status"] == "fail"
    assert "ZeroDivisionError" in caplog.text
