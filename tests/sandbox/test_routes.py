"""The account's own calls: the credit log, disk space, uploads, notices."""

import pytest

from topview_pipeline.sandbox.kinds import Kind

from .conftest import Rig, picture

LOGS = "/user/credit/logs"


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
