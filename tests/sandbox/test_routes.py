"""The way of every call, the account's own calls, and the lists that catalogues name ids of."""

import io
import json
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import pytest
from PIL import Image

from topview_pipeline.sandbox.api.library import SAMPLE_AVATAR_ID
from topview_pipeline.sandbox.config import Contract
from topview_pipeline.sandbox.kinds import Kind

from .conftest import CAPTION, VOICE, MakeRig, Rig, path_of, picture

DETAIL = "/user/credit/detail"
LOGS = "/user/credit/logs"


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
    styles: tuple[tuple[Literal["http", "code"], int], ...] = (("http", 401), ("code", 200))
    for style, status in styles:
        rig = make_rig(contract=Contract(auth_errors=style))
        response = rig.request("GET", LOGS, headers=rig.headers | change)
        assert response.status_code == status
        assert response.json()["code"] == "401"


def test_credit_detail_answers_the_bearer_key_alone(rig: Rig) -> None:
    headers = {"Authorization": rig.headers["Authorization"]}
    result = rig.request("GET", DETAIL, headers=headers).json()["result"]
    assert result["uid"] == rig.config.uid
    other = headers | {"Topview-Uid": "SomebodyElse00000000"}
    assert rig.request("GET", DETAIL, headers=other).status_code == 401


def test_another_accounts_ids_are_not_found(rig: Rig) -> None:
    photo, task = rig.upload(picture()), rig.start_cutout()
    added = rig.control("POST", "accounts", uid="Other", api_key="k2", credits=5)
    assert added.status_code == 200
    rig.headers = {"Topview-Uid": "Other", "Authorization": "Bearer k2"}
    assert rig.query(Kind.REMOVE_BACKGROUND, task)["code"] == "4004"
    assert rig.answer(Kind.REMOVE_BACKGROUND, {"productImageFileId": photo})["code"] == "4004"


def test_double_slashes_bare_flags_and_unknown_fields_are_taken(rig: Rig) -> None:
    url = "http://sandbox.test//v1//upload/credential?format=PNG&needAccelerateUrl="
    credential = rig.request("GET", url, headers=rig.headers).json()["result"]
    assert credential["format"] == "png"
    file_id = credential["fileId"]
    assert rig.get("/v1/upload/check", fileId=file_id)["result"] is False
    empty = {"productImageFileId": file_id}
    assert rig.answer(Kind.REMOVE_BACKGROUND, empty)["code"] == "4004"  # before its PUT
    for content_type in ({}, {"Content-Type": "application/octet-stream"}):
        put = rig.request("PUT", credential["uploadUrl"], content=picture(), headers=content_type)
        assert (put.status_code, put.content) == (200, b"")
    assert rig.get("/v1/upload/check", fileId=file_id)["result"] is True
    body = {"productImageFileId": file_id, "noticeUrl": "", "somethingNew": [1]}
    task = rig.submit(Kind.REMOVE_BACKGROUND, body)
    rig.advance(60)
    path = f"{path_of(Kind.REMOVE_BACKGROUND)}/query?taskId={task}&needCloudFrontUrl"
    response = rig.request("GET", path, headers=rig.headers)
    assert "X-Amz-Signature" in response.json()["result"]["maskImagePath"]


def test_every_answer_is_dated_by_the_sandboxs_clock_also_when_a_test_moved_it(rig: Rig) -> None:
    for seconds in (0.0, 3600.0):
        rig.advance(seconds)
        answer = rig.request("GET", DETAIL, headers=rig.headers)
        date = parsedate_to_datetime(answer.headers["date"]).timestamp()
        assert date == int(rig.world.clock())


def test_the_log_is_dated_at_success_newest_first_in_pages(rig: Rig) -> None:
    tasks = []
    for prompt in "abc":
        body = rig.scene_body(imageEditPrompt=prompt)
        tasks.append(rig.submit(Kind.IMAGE_REPLACE, body))
        rig.advance(3600)
    page = rig.get(LOGS, pageNo="1", pageSize="2")["result"]
    assert (page["total"], page["pageNo"], page["pageSize"]) == (3, 1, 2)
    assert [entry["taskId"] for entry in page["data"]] == [tasks[2], tasks[1]]
    last = rig.get(LOGS, pageNo="2", pageSize="2", taskType="", startTime="")["result"]
    entry = last["data"][0]
    # Submitted 3 s after the clock's start (the first cut-out), 20 s of work.
    assert entry["date"] == "2025-08-12 12:00:23"
    assert (entry["taskType"], entry["costCredit"]) == ("pa2_replace_product_image", 1)
    assert entry["uid"] == rig.config.uid


def test_the_log_is_searched_by_type_and_time(rig: Rig) -> None:
    image_id = rig.scenes()[0]["imageId"]
    rig.advance(3600)
    video = rig.submit(Kind.IMAGE2VIDEO, rig.video_body(image_id))
    rig.finish(Kind.IMAGE2VIDEO, video)
    assert rig.get(LOGS)["result"]["total"] == 2
    by_type = rig.get(LOGS, taskType="pa2_image2video")["result"]["data"]
    assert [entry["taskId"] for entry in by_type] == [video]
    end = by_type[0]["date"]
    assert rig.get(LOGS, startTime=end, endTime=end)["result"]["data"] == by_type
    assert rig.get(LOGS, endTime="2025-08-12 12:30:00")["result"]["total"] == 1
    assert rig.get(LOGS, startTime="yesterday")["code"] == "4001"
    assert rig.get(LOGS, pageNo="0")["code"] == "4001"


def test_space_is_what_uploads_take_and_a_format_that_nobody_uploads_is_refused(rig: Rig) -> None:
    for size in (0, 3):
        rig.upload(bytes(size * 2**20))
        assert rig.get("/user/space")["result"]["usedDiskSpace"] == {"size": size, "unit": "MB"}
    for form, code in (("exe", "4000"), ("", "4003")):
        assert rig.get("/v1/upload/credential", format=form)["code"] == code


@pytest.mark.parametrize(
    ("url", "code"),
    [("http://127.0.0.1:9/x", "200"), ("", "4003"), ("/x", "4000"), ("http://[", "4000")],
)
def test_a_notice_address_is_checked(rig: Rig, url: str, code: str) -> None:
    params = {"noticeUrl": url}
    assert rig.call("POST", "/notice/notice_url/check", params=params)["code"] == code


# Lists

AVATARS = "/v1/product_avatar/public_avatar/query"


def data(rig: Rig, path: str, **params: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rig.get(path, **params)["result"]["data"]
    return found


def test_the_documents_voice_and_caption_and_the_sample_catalogues_avatar_are_listed(
    rig: Rig,
) -> None:
    assert VOICE in {voice["voiceId"] for voice in data(rig, "/v1/voice/query")}
    assert SAMPLE_AVATAR_ID in {avatar["avatarId"] for avatar in data(rig, AVATARS)}
    captions = rig.get("/v1/caption/list")["result"]
    assert CAPTION in {caption["captionId"] for caption in captions}
    assert all(len(caption["captionId"]) == 32 for caption in captions)


def test_voices_are_found_by_their_traits_in_pages(rig: Rig) -> None:
    everyone = data(rig, "/v1/voice/query", gender="", language="", isCustom="")
    women = data(rig, "/v1/voice/query", gender="Female")
    assert 0 < len(women) < len(everyone)
    assert {voice["gender"] for voice in women} == {"Female"}
    page = rig.get("/v1/voice/query", pageNo="2", pageSize="3")["result"]
    assert page["data"][0]["voiceId"] == everyone[3]["voiceId"]
    assert page["total"] == len(everyone)
    (own,) = data(rig, "/v1/voice/query", isCustom="true")
    assert own["voiceId"] not in {voice["voiceId"] for voice in everyone}
    assert data(rig, "/v1/voice/query", voiceName="aVa")[0]["voiceId"] == VOICE


def test_pictures_thumbnails_and_samples_can_be_downloaded(rig: Rig) -> None:
    voice = data(rig, "/v1/voice/query")[0]
    assert rig.request("GET", voice["demoAudioUrl"]).content[:4] == b"RIFF"
    caption = rig.get("/v1/caption/list")["result"][0]
    assert rig.request("GET", caption["thumbnail"]).content[:4] == b"\x89PNG"
    for avatar in data(rig, AVATARS, gender="", categoryIds="", sortingType=""):
        picture_bytes = rig.request("GET", avatar["avatarImagePath"]).content
        assert Image.open(io.BytesIO(picture_bytes)).size[0] > 100
        place = json.loads(avatar["objectMaskImageInfo"])
        assert set(place) == {"x", "y", "w", "h"}
        assert place["x"] + place["w"] <= 1


def test_avatars_are_found_by_category_and_ethnicity(rig: Rig) -> None:
    first = data(rig, AVATARS)[0]
    (category,), (ethnicity,) = first["avatarCategoryList"], first["avatarEthnicityList"]
    assert category in rig.get("/v1/product_avatar/category/list")["result"]
    assert ethnicity in rig.get("/v1/ethnicity/list")["result"]
    categories = f"f00,{category['categoryId']}"
    found = data(rig, AVATARS, categoryIds=categories, ethnicityIds=ethnicity["ethnicityId"])
    assert first["avatarId"] in {avatar["avatarId"] for avatar in found}
    assert data(rig, AVATARS, categoryIds="f00") == []


def test_a_finished_video_leaves_a_custom_avatar(rig: Rig) -> None:
    assert data(rig, "/v1/aiavatar/query", isCustom="true") == []
    task = rig.submit(Kind.IMAGE2VIDEO, rig.video_body())
    avatar = rig.finish(Kind.IMAGE2VIDEO, task)["aiAvatar"]
    listed = data(rig, "/v1/aiavatar/query", isCustom="true")[0]
    assert listed["aiavatarId"] == avatar["aiavatarId"]
    assert rig.request("GET", listed["coverUrl"]).status_code == 200
    assert len(data(rig, "/v1/aiavatar/query")) == len(data(rig, AVATARS))
