"""Credits: who pays what and when, and the log of it."""

from collections.abc import Callable

import pytest

from topview_pipeline.sandbox.kinds import Kind

from .conftest import QUAD, QUERY_PATHS, Rig, picture

MakeRig = Callable[..., Rig]
LOGS = "/user/credit/logs"
SCENES = QUERY_PATHS[Kind.IMAGE_REPLACE] + "/submit"


def remaining(rig: Rig) -> float:
    return float(rig.get("/user/credit/detail")["result"]["remainCredit"])


def test_removing_a_background_is_free_and_in_no_log(rig: Rig) -> None:
    rig.cutout()
    assert remaining(rig) == rig.config.credits
    assert rig.get(LOGS)["result"]["total"] == 0


def test_every_image_costs_a_credit_once_it_is_there(rig: Rig) -> None:
    body = rig.scene_body(generateImageMode="manual", location=QUAD)
    task = rig.submit(Kind.IMAGE_REPLACE, body)
    assert remaining(rig) == rig.config.credits
    assert rig.finish(Kind.IMAGE_REPLACE, task)["costCredit"] == 2
    assert remaining(rig) == rig.config.credits - 2


@pytest.mark.parametrize(("mode", "credits_a_second"), [("lite", 0.1), ("avatar2", 0.4)])
def test_a_video_costs_by_the_second_and_mode(rig: Rig, mode: str, credits_a_second: float) -> None:
    task = rig.submit(Kind.IMAGE2VIDEO, rig.video_body(mode=mode))
    assert rig.finish(Kind.IMAGE2VIDEO, task)["costCredit"] == credits_a_second


def test_a_failed_task_is_not_charged(make_rig: MakeRig) -> None:
    rig = make_rig(faults={"fail": 1.0})
    body = {"generateImageMode": "auto", "templateImageFileId": rig.upload(picture(7))}
    body["productImageWithoutBackgroundFileId"] = rig.upload(picture())
    task = rig.submit(Kind.IMAGE_REPLACE, body)
    rig.advance(60)
    result = rig.query(Kind.IMAGE_REPLACE, task)["result"]
    assert (result["status"], result["costCredit"]) == ("fail", 0)
    assert result["errorMsg"]
    assert remaining(rig) == rig.config.credits
    assert rig.get(LOGS)["result"]["data"] == []


def test_without_credits_paid_kinds_answer_4100_and_the_free_one_goes_on(make_rig: MakeRig) -> None:
    rig = make_rig(credits=1.0)
    cutout = rig.cutout()
    manual = rig.scene_body(cutout, generateImageMode="manual", location=QUAD)
    assert rig.post(SCENES, manual)["code"] == "4100"
    assert rig.post(SCENES, rig.scene_body(cutout))["code"] == "200"
    # The running task's credit is spoken for.
    assert rig.post(SCENES, rig.scene_body(cutout, imageEditPrompt="b"))["code"] == "4100"
    assert rig.cutout(picture(3))
    rig.request("PUT", "/_sandbox/credits", json={"credits": 5})
    assert rig.post(SCENES, manual)["code"] == "200"


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


def test_a_colleagues_charge_can_be_put_into_the_log(rig: Rig) -> None:
    entry = {"task_type": "pa2_image2video", "cost": 2.5, "api_key": "another"}
    assert rig.request("POST", "/_sandbox/credit_entries", json=entry).status_code == 200
    logged = rig.get(LOGS)["result"]["data"][0]
    assert (logged["apiKey"], logged["costCredit"]) == ("another", 2.5)
