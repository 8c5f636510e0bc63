"""The way of every call, and the account's own: credit log, disk space, uploads, notices."""

from email.utils import parsedate_to_datetime
from typing import Literal

import pytest

from topview_pipeline.sandbox.config import Contract
from topview_pipeline.sandbox.kinds import Kind

from .conftest import MakeRig, Rig, path_of, picture

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


def test_space_is_what_uploads_and_outputs_take(rig: Rig) -> None:
    assert rig.get("/user/space")["result"]["usedDiskSpace"] == {"size": 0, "unit": "MB"}
    rig.upload(bytes(3 * 2**20))
    assert rig.get("/user/space")["result"]["usedDiskSpace"] == {"size": 3, "unit": "MB"}


def test_a_format_that_nobody_uploads_is_refused(rig: Rig) -> None:
    assert rig.get("/v1/upload/credential", format="exe")["code"] == "4000"
    assert rig.get("/v1/upload/credential", format="")["code"] == "4003"


@pytest.mark.parametrize(
    ("url", "code"),
    [("http://127.0.0.1:9/x", "200"), ("", "4003"), ("/x", "4000"), ("http://[", "4000")],
)
def test_a_notice_address_is_checked(rig: Rig, url: str, code: str) -> None:
    params = {"noticeUrl": url}
    assert rig.call("POST", "/notice/notice_url/check", params=params)["code"] == code


def test_a_notice_goes_to_loopback_alone(rig: Rig) -> None:
    photo, url = rig.upload(picture()), "http://notices.example/topview"
    rig.submit(Kind.REMOVE_BACKGROUND, {"productImageFileId": photo, "noticeUrl": url})
    rig.advance(60)
    assert rig.counters()["notices"] == {"not_loopback": 1}
