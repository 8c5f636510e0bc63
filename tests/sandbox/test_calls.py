"""The way of every call: credentials, careless addresses, the date."""

from email.utils import parsedate_to_datetime
from typing import Literal

import pytest

from topview_pipeline.sandbox.config import Contract
from topview_pipeline.sandbox.kinds import Kind

from .conftest import MakeRig, Rig, path_of, picture

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
    styles: tuple[tuple[Literal["http", "code"], int], ...] = (("http", 401), ("code", 200))
    for style, status in styles:
        rig = make_rig(contract=Contract(auth_errors=style))
        response = rig.request("GET", "/user/credit/logs", headers=rig.headers | change)
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
