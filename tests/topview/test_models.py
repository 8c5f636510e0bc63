"""Topview's own example answers parse with every field; sloppy ones parse as far as they must."""

from datetime import datetime, timezone
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from topview_pipeline.topview.models import (
    CreditDetail,
    CreditLogEntry,
    Image2VideoRequest,
    Image2VideoResult,
    ImageReplaceRequest,
    ImageReplaceResult,
    RemoveBackgroundRequest,
    RemoveBackgroundResult,
    Submitted,
    TaskStatus,
    Voice,
)

QUAD = ((0.31, 0.63), (0.74, 0.63), (0.74, 0.97), (0.31, 0.97))
TASK = "4274b375c30844c8bd0b1e4b6e44fb5f"


def signed(path: str) -> str:
    return (
        f"https://aigc.s3.amazonaws.com/analyzed_video/task/{path}"
        "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20250812T070536Z&X-Amz-SignedHeaders=host"
        "&X-Amz-Expires=86400&X-Amz-Credential=EXAMPLE&X-Amz-Signature=EXAMPLE"
    )


CUT_OUT: dict[str, Any] = {
    "taskId": TASK,
    "status": "success",
    "bgRemovedImageFileId": "670c78f3dca2413f8546e29085c07224",
    "bgRemovedImagePath": signed("background_removed/a9fb/cropped_image.png"),
    "bgRemovedImageWidth": 528,
    "bgRemovedImageHeight": 720,
    "maskImageFileId": "3d4b09ad5b4646cb8d28f9d7f0ebb50f",
    "maskImagePath": signed("background_removed/a9fb/mask.png"),
}
IMAGE_IDS = ["bd39ae55d7634d2f8a4dd5c688ebb800", "1ed9fef518104317baab5645243445eb"]
SCENES: dict[str, Any] = {
    "taskId": "3179dd887d294ab797fa85eea49fb25f",
    "status": "success",
    "replaceProductResult": [
        {"imageId": IMAGE_IDS[0], "faceExistence": True, "url": signed("a42d/a42d_234.png")},
        {"imageId": IMAGE_IDS[1], "faceExistence": False, "url": signed("9ef6/9ef6_234.png")},
    ],
}
VIDEO: dict[str, Any] = {
    "taskId": "8aa992b4cfd24082a564710cbee2132c",
    "status": "success",
    "finishedVideoUrl": signed("export/c708_topview.ai.mp4"),
    "aiAvatar": {
        "gender": None,
        "coverUrl": signed("custom_aiavatar/EXAMPLEUID/product_avatar/f283.jpg"),
        "previewVideoUrl": signed("user_instant_model/EXAMPLEUID/d76f/result/3db5.mp4"),
        "voiceoverIdDefault": "zeeTdrCqbhpVKOucLtOKdhytM7rbJx5t",
    },
}


def dump(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json", by_alias=True, exclude_unset=True)


def video(**fields: Any) -> Image2VideoResult:
    return Image2VideoResult.model_validate({**VIDEO, **fields})


# Results


@pytest.mark.parametrize(
    ("model", "example"),
    [
        (RemoveBackgroundResult, CUT_OUT),
        (ImageReplaceResult, SCENES),
        (Image2VideoResult, VIDEO),
    ],
)
def test_an_example_answer_keeps_every_field(
    model: type[BaseModel], example: dict[str, Any]
) -> None:
    assert dump(model.model_validate(example)) == example


def test_fields_that_no_model_knows_are_kept_and_not_shown() -> None:
    """A paid answer is kept as it came; an unknown field may be a signed URL."""
    new = {"subtitles": {"url": signed("a.srt"), "lines": [1, None]}}
    answer = {**VIDEO, **new, "aiAvatar": {**VIDEO["aiAvatar"], **new}}
    read = Image2VideoResult.model_validate(answer)
    assert dump(read) == answer
    assert "X-Amz" not in repr(read)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        *[("init", TaskStatus.INIT), ("SUCCESS", TaskStatus.SUCCESS)],
        *[("fail", TaskStatus.FAIL), ("Failed", TaskStatus.FAIL)],
        *[(word, TaskStatus.RUNNING) for word in ("Running", "Moderating", "", None, 3)],
    ],
)
def test_an_unknown_status_word_is_still_running_and_kept(word: object, status: TaskStatus) -> None:
    result = video(status=word)
    assert result.status is status
    assert result.raw_status == (word if isinstance(word, str) and word else None)


@pytest.mark.parametrize(
    ("cost", "read"),
    [(0.5, 0.5), (2, 2.0), ("1.5", 1.5), (None, None), ("free", None), ("NaN", None), ({}, None)],
)
def test_cost_comes_as_number_or_string(cost: object, read: float | None) -> None:
    assert video(costCredit=cost).cost_credit == read


def test_a_decoration_that_does_not_fit_does_not_hide_a_paid_video() -> None:
    result = video(aiAvatar=["no object"], costCredit="free", errorMsg={"code": 7})
    assert result.finished_video_url == VIDEO["finishedVideoUrl"]
    assert (result.ai_avatar, result.cost_credit, result.error_msg) == (None, None, None)


def test_scenes_are_empty_before_success_and_may_say_nothing_of_a_face() -> None:
    result = ImageReplaceResult.model_validate({"taskId": "31", "replaceProductResult": None})
    assert result.images == []
    sloppy = {"imageId": 5, "faceExistence": None, "url": ""}
    result = ImageReplaceResult.model_validate({"taskId": "31", "replaceProductResult": [sloppy]})
    (scene,) = result.images
    assert (scene.image_id, scene.face_existence, scene.url) == ("5", None, None)


@pytest.mark.parametrize("task_id", [None, "", "a\x00b", "a\ud800", True, ["x"]])
def test_an_id_that_no_ledger_could_keep_is_refused(task_id: object) -> None:
    with pytest.raises(ValidationError):
        Submitted.model_validate({"taskId": task_id})


def test_validation_errors_do_not_show_signed_urls() -> None:
    with pytest.raises(ValidationError) as caught:
        RemoveBackgroundResult.model_validate({**CUT_OUT, "bgRemovedImageFileId": [signed("x")]})
    assert "X-Amz" not in str(caught.value)


# The account and lists


def test_credit_detail_leaves_the_map_of_keys_behind() -> None:
    keys = {"apiKeyMap": {"sk-EXAMPLE": {"name": "default"}}}
    detail = CreditDetail.model_validate({"uid": "U", "remainCredit": 12.5, **keys})
    assert (detail.uid, detail.remain_credit) == ("U", 12.5)
    assert "sk-EXAMPLE" not in repr(detail)


@pytest.mark.parametrize(
    "date", ["2025-08-12 07:18:22", "2025-08-12T09:18:22+02:00", 1754983102000]
)
def test_a_charge_has_a_utc_time_and_hides_the_key(date: object) -> None:
    entry = CreditLogEntry.model_validate({"apiKey": "sk-EXAMPLE", "date": date, "costCredit": "2"})
    assert entry.date == datetime(2025, 8, 12, 7, 18, 22, tzinfo=timezone.utc)
    assert entry.cost_credit == 2.0
    assert "sk-EXAMPLE" not in repr(entry)
    assert entry.api_key is not None
    assert entry.api_key.get_secret_value() == "sk-EXAMPLE"


def test_catalogue_entries_need_only_their_id() -> None:
    voice = Voice.model_validate({"voiceId": 1798, "language": "", "age": "Old"})
    assert (voice.voice_id, voice.language) == ("1798", None)


# Requests

REPLACE: dict[str, Any] = {
    "generateImageMode": "manual",
    "productImageWithoutBackgroundFileId": "722e",
    "templateImageFileId": "c622",
    "location": [list(point) for point in QUAD],
}
ANIMATE: dict[str, Any] = {
    "replaceProductTaskImageId": "7e66",
    "mode": "pro",
    "scriptMode": "text",
    "ttsText": "test product avatar",
    "voiceId": "zee",
    "captionId": "3cfc",
}


@pytest.mark.parametrize(
    ("model", "body", "absent"),
    [
        (ImageReplaceRequest, REPLACE, "userFaceImageFileId"),
        (Image2VideoRequest, ANIMATE, "audioFileId"),
    ],
)
def test_a_request_is_the_documented_body_without_what_is_absent(
    model: Any, body: dict[str, Any], absent: str
) -> None:
    assert model.model_validate({**body, absent: None}).wire() == body


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (RemoveBackgroundRequest, {"productImageFileId": ""}),
        (RemoveBackgroundRequest, {"productImageFileId": "dff8", "productImageFile": "typo"}),
        (ImageReplaceRequest, {**REPLACE, "generateImageMode": "by hand"}),
        (Image2VideoRequest, {**ANIMATE, "mode": "ultra"}),
    ],
)
def test_a_request_with_a_misspelt_field_or_mode_is_refused_unsent(
    model: type[BaseModel], body: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(body)
