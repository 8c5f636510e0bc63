"""The switches of the contract: what nobody knows of Topview, the sandbox can answer both ways."""

from typing import Any

import pytest

from topview_pipeline.sandbox.config import Contract
from topview_pipeline.sandbox.kinds import Kind

from .conftest import QUAD, MakeRig, picture

LOGS = "/user/credit/logs"
DETAIL = "/user/credit/detail"


@pytest.mark.parametrize(
    ("switches", "date"),
    [
        ({}, "2025-08-12 12:00:23"),
        ({"log_date": "creation"}, "2025-08-12 12:00:03"),
        ({"log_date": "creation", "log_iso": True}, "2025-08-12T12:00:03Z"),
    ],
)
def test_a_charge_is_dated_by_success_or_by_creation(
    make_rig: MakeRig, switches: dict[str, Any], date: str
) -> None:
    rig = make_rig(contract=Contract(**switches))
    rig.scenes()
    assert rig.get(LOGS)["result"]["data"][0]["date"] == date


@pytest.mark.parametrize(
    ("required", "fields", "code"),
    [
        (("voiceId",), {"captionId": ""}, "200"),
        (("voiceId", "captionId"), {"captionId": ""}, "4003"),
        (("voiceId", "captionId"), {}, "200"),
        (("captionId",), {"voiceId": ""}, "200"),
        ((), {"voiceId": "", "captionId": ""}, "200"),
    ],
)
def test_voice_and_caption_are_required_as_the_contract_says(
    make_rig: MakeRig, required: tuple[str, ...], fields: dict[str, str], code: str
) -> None:
    rig = make_rig(contract=Contract(required=required))
    assert rig.answer(Kind.IMAGE2VIDEO, rig.video_body(**fields))["code"] == code


def test_prices_images_and_billing_words_are_the_contract_s(make_rig: MakeRig) -> None:
    contract = Contract(
        prices={"remove_background": 0.1, "image_replace": 0.7, "image2Video/pro": 0.3},
        images={"manual": 3, "auto": 1},
        booked_as={"image2Video": "pa9"},
    )
    rig = make_rig(contract=contract)
    scenes = rig.scenes(generateImageMode="manual", location=QUAD)
    assert len(scenes) == 3
    task = rig.submit(Kind.IMAGE2VIDEO, rig.video_body(scenes[0]["imageId"]))
    rig.finish(Kind.IMAGE2VIDEO, task)
    booked = [(one["taskType"], one["costCredit"]) for one in rig.get(LOGS)["result"]["data"]]
    assert booked == [
        ("pa9", 0.3),  # tiny media last a second
        ("pa2_replace_product_image", 2.1),
        ("common_task_remove_background", 0.1),
    ]


@pytest.mark.parametrize("code", ["4002", "4005", "4006", "5001", "5004", "5005"])
def test_every_code_of_the_table_can_be_answered(make_rig: MakeRig, code: str) -> None:
    rig = make_rig(contract=Contract(codes={"4003": code}))
    envelope = rig.answer(Kind.REMOVE_BACKGROUND, {})
    assert (envelope["code"], envelope["result"]) == (code, None)


def test_answers_have_other_words_and_fields(make_rig: MakeRig) -> None:
    contract = Contract(
        submit_status="init",
        status_words={"running": "processing"},
        bearer_alone=False,
        check_before_put="4004",
        added={DETAIL: {"credit": 1}},
        dropped={DETAIL: ["apiKeyMap"]},
    )
    rig = make_rig(contract=contract)
    photo = rig.upload(picture())
    body = {"productImageFileId": photo}
    assert rig.answer(Kind.REMOVE_BACKGROUND, body)["result"]["status"] == "init"
    rig.advance(1)
    (task,) = rig.world.state.tasks
    assert rig.query(Kind.REMOVE_BACKGROUND, task)["result"]["status"] == "processing"
    assert set(rig.get(DETAIL)["result"]) == {"uid", "remainCredit", "expiredTime", "credit"}
    alone = {"Authorization": rig.headers["Authorization"]}
    assert rig.request("GET", DETAIL, headers=alone).status_code == 401
    fresh = rig.get("/v1/upload/credential", format="png")["result"]["fileId"]
    assert rig.get("/v1/upload/check", fileId=fresh)["code"] == "4004"


@pytest.mark.parametrize(
    ("switches", "said"),
    [
        ({"log_date": "payment"}, "log_date"),
        ({"prices": {"image2Video/ultra": 1.0}}, "prices"),
        ({"prices": {"image_replace": -1.0}}, "image_replace"),
        ({"required": ["musicId"]}, "musicId"),
        ({"booked_as": "pa2"}, "booked_as"),
        ({"log_iso": "no"}, "log_iso"),
    ],
)
def test_a_switch_that_cannot_be_meant_is_named(switches: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Contract(**switches)
