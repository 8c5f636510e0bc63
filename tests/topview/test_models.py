"""Topview's own example answers parse with every field; sloppy ones parse as far as they must."""

import json
from datetime import datetime, timezone
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from topview_pipeline.topview.models import (
    Avatar,
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


def signed(path: str) -> str:
    return (
        f"https://aigc.s3.amazonaws.com/analyzed_video/task/{path}"
        "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20250812T070536Z&X-Amz-SignedHeaders=host"
        "&X-Amz-Expires=86400&X-Amz-Credential=EXAMPLE&X-Amz-Signature=EXAMPLE"
    )


SUBMITTED = {"taskId": "4274b375c30844c8bd0b1e4b6e44fb5f", "status": "success", "errorMsg": None}
CUT_OUT = {
    "taskId": "4274b375c30844c8bd0b1e4b6e44fb5f",
    "status": "success",
    "bgRemovedImageFileId": "670c78f3dca2413f8546e29085c07224",
    "bgRemovedImagePath": signed("background_removed/a9fb/cropped_image.png"),
    "bgRemovedImageWidth": 528,
    "bgRemovedImageHeight": 720,
    "maskImageFileId": "3d4b09ad5b4646cb8d28f9d7f0ebb50f",
    "maskImagePath": signed("background_removed/a9fb/mask.png"),
    "maskImageWidth": 720,
    "maskImageHeight": 720,
}
MANUAL_SCENES = {
    "taskId": "3179dd887d294ab797fa85eea49fb25f",
    "status": "success",
    "replaceProductResult": [
        {
            "imageId": "bd39ae55d7634d2f8a4dd5c688ebb800",
            "faceExistence": True,
            "url": signed("object_replace_llm/a42d/a42d_234.png"),
        },
        {
            "imageId": "1ed9fef518104317baab5645243445eb",
            "faceExistence": False,
            "url": signed("object_replace_llm/9ef6/9ef6_234.png"),
        },
    ],
}
AUTO_SCENE = {
    "taskId": "53030cca5d8a4119848373746615fa0e",
    "status": "success",
    "replaceProductResult": [
        {
            "imageId": "3e8936361cd8444fbcceb6c247eebc58",
            "faceExistence": True,
            "url": signed("object_replace_llm/778b/778b_54.png"),
        }
    ],
}
VIDEO = {
    "taskId": "8aa992b4cfd24082a564710cbee2132c",
    "status": "success",
    "finishedVideoUrl": signed("export/c708_topview.ai.mp4"),
    "aiAvatar": {
        "aiavatarId": "2c3f371464924c59a19d4ae7d56b58fa",
        "aiavatarName": "Product Avatar_250812071343_1",
        "gender": None,
        "coverUrl": signed("custom_aiavatar/EXAMPLEUID/product_avatar/f283.jpg"),
        "previewVideoUrl": signed("user_instant_model/EXAMPLEUID/d76f/result/3db5.mp4"),
        "ethnicities": None,
        "voiceoverIdDefault": "zeeTdrCqbhpVKOucLtOKdhytM7rbJx5t",
        "faceSquareConfig": None,
    },
}


@pytest.mark.parametrize(
    ("model", "example"),
    [
        (Submitted, SUBMITTED),
        (RemoveBackgroundResult, CUT_OUT),
        (ImageReplaceResult, MANUAL_SCENES),
        (ImageReplaceResult, AUTO_SCENE),
        (Image2VideoResult, VIDEO),
    ],
)
def test_an_example_answer_keeps_every_field(
    model: type[BaseModel], example: dict[str, Any]
) -> None:
    read = model.model_validate(json.loads(json.dumps(example)))
    assert read.model_dump(by_alias=True, exclude_unset=True) == example


def test_python_names_are_snake_case() -> None:
    cut_out = RemoveBackgroundResult.model_validate(CUT_OUT)
    assert (cut_out.bg_removed_image_width, cut_out.mask_image_height) == (528, 720)
    scenes = ImageReplaceResult.model_validate(MANUAL_SCENES)
    assert [scene.face_existence for scene in scenes.images] == [True, False]
    video = Image2VideoResult.model_validate(VIDEO)
    assert video.ai_avatar is not None
    assert video.ai_avatar.voiceover_id_default == "zeeTdrCqbhpVKOucLtOKdhytM7rbJx5t"


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("init", TaskStatus.INIT),
        ("Running", TaskStatus.RUNNING),
        ("SUCCESS", TaskStatus.SUCCESS),
        ("fail", TaskStatus.FAIL),
        ("Failed", TaskStatus.FAIL),
        ("moderating", TaskStatus.RUNNING),
        ("", TaskStatus.RUNNING),
        (None, TaskStatus.RUNNING),
        (3, TaskStatus.RUNNING),
    ],
)
def test_an_unknown_status_word_is_still_running(word: object, status: TaskStatus) -> None:
    result = Image2VideoResult.model_validate({"taskId": "8aa9", "status": word})
    assert result.status is status


def test_the_raw_status_word_is_kept() -> None:
    result = Image2VideoResult.model_validate({"taskId": "8aa9", "status": "Moderating"})
    assert result.raw_status == "Moderating"


@pytest.mark.parametrize(
    ("cost", "read"),
    [(0.5, 0.5), (2, 2.0), ("1.5", 1.5), (None, None), ("free", None), ("NaN", None), ({}, None)],
)
def test_cost_comes_as_number_or_string(cost: object, read: float | None) -> None:
    result = Image2VideoResult.model_validate({"taskId": "8aa9", "costCredit": cost})
    assert result.cost_credit == read


def test_a_decoration_that_does_not_fit_does_not_hide_a_paid_video() -> None:
    odd = {
        **VIDEO,
        "aiAvatar": {"gender": ["f"], "faceSquareConfig": {"x": 1}, "ethnicities": [{"a": 1}]},
        "newField": {"nested": True},
    }
    result = Image2VideoResult.model_validate(odd)
    assert result.finished_video_url == VIDEO["finishedVideoUrl"]
    assert result.ai_avatar is not None
    assert result.ai_avatar.face_square_config == {"x": 1}


@pytest.mark.parametrize("images", [None, []])
def test_scenes_are_empty_before_success(images: object) -> None:
    result = ImageReplaceResult.model_validate({"taskId": "31", "replaceProductResult": images})
    assert result.images == []


def test_a_scene_may_not_say_whether_it_has_a_face() -> None:
    result = ImageReplaceResult.model_validate(
        {"taskId": "31", "replaceProductResult": [{"imageId": 5, "faceExistence": None, "url": ""}]}
    )
    (scene,) = result.images
    assert (scene.image_id, scene.face_existence, scene.url) == ("5", None, None)


@pytest.mark.parametrize("task_id", [None, "", "a\x00b", "a\ud800", True, ["x"]])
def test_an_id_that_no_ledger_could_keep_is_refused(task_id: object) -> None:
    with pytest.raises(ValidationError):
        Submitted.model_validate({"taskId": task_id})


def test_half_characters_in_a_text_are_replaced() -> None:
    submitted = Submitted.model_validate({"taskId": "4274", "errorMsg": "no\ud800 way\x00"})
    assert submitted.error_msg == "no? way"


def test_validation_errors_do_not_show_signed_urls() -> None:
    with pytest.raises(ValidationError) as caught:
        RemoveBackgroundResult.model_validate({**CUT_OUT, "bgRemovedImageFileId": [signed("x")]})
    assert "X-Amz" not in str(caught.value)


def test_credit_detail_leaves_the_map_of_keys_behind() -> None:
    detail = CreditDetail.model_validate(
        {
            "uid": "EXAMPLEUID",
            "remainCredit": 12.5,
            "expiredTime": "2026-07-27T00:00:00Z",
            "apiKeyMap": {"sk-EXAMPLE": {"name": "default"}},
        }
    )
    assert (detail.uid, detail.remain_credit) == ("EXAMPLEUID", 12.5)
    assert detail.expired_time == datetime(2026, 7, 27, tzinfo=timezone.utc)
    assert "sk-EXAMPLE" not in repr(detail)


@pytest.mark.parametrize(
    "date", ["2025-08-12 07:18:22", "2025-08-12T09:18:22+02:00", 1754983102000]
)
def test_a_charge_has_a_utc_time_and_hides_the_key(date: object) -> None:
    entry = CreditLogEntry.model_validate(
        {
            "uid": "EXAMPLEUID",
            "apiKey": "sk-EXAMPLE",
            "date": date,
            "costCredit": "2",
            "taskId": "8aa9",
            "taskType": "pa2_image2video",
        }
    )
    assert entry.date == datetime(2025, 8, 12, 7, 18, 22, tzinfo=timezone.utc)
    assert entry.cost_credit == 2.0
    assert "sk-EXAMPLE" not in repr(entry)
    assert entry.api_key is not None
    assert entry.api_key.get_secret_value() == "sk-EXAMPLE"


def test_catalogue_entries_need_only_their_id() -> None:
    assert Voice.model_validate({"voiceId": "zee", "age": "Old"}).age == "Old"
    avatar = Avatar.model_validate(
        {
            "avatarId": 1798,
            "avatarCategoryList": [{"categoryId": "c1", "categoryName": "Home"}],
            "objectMaskImageInfo": '{"x":0.06}',
        }
    )
    assert avatar.avatar_id == "1798"
    assert avatar.avatar_category_list is not None
    assert avatar.avatar_category_list[0].category_name == "Home"


def test_requests_are_the_documented_bodies_without_what_is_absent() -> None:
    assert RemoveBackgroundRequest(product_image_file_id="dff8").wire() == {
        "productImageFileId": "dff8"
    }
    manual = ImageReplaceRequest(
        generate_image_mode="manual",
        product_image_without_background_file_id="722e",
        template_image_file_id="c622",
        user_face_image_file_id="",
        image_edit_prompt="",
        location=QUAD,
    )
    assert manual.wire() == {
        "generateImageMode": "manual",
        "productImageWithoutBackgroundFileId": "722e",
        "templateImageFileId": "c622",
        "location": [list(point) for point in QUAD],
    }
    video = Image2VideoRequest(
        replace_product_task_image_id="7e66",
        mode="pro",
        tts_text="test product avatar",
        voice_id="zee",
        caption_id="3cfc",
        notice_url="https://example.test/notice",
    )
    assert video.wire() == {
        "replaceProductTaskImageId": "7e66",
        "mode": "pro",
        "scriptMode": "text",
        "ttsText": "test product avatar",
        "voiceId": "zee",
        "captionId": "3cfc",
        "noticeUrl": "https://example.test/notice",
    }


def test_the_documents_own_bodies_are_requests() -> None:
    body = {
        "replaceProductTaskImageId": "7e66",
        "mode": "pro",
        "scriptMode": "text",
        "ttsText": "test",
        "voiceId": "zee",
        "audioFileId": "",
        "captionId": "3cfc",
    }
    assert Image2VideoRequest.model_validate(body).wire() == {
        name: value for name, value in body.items() if value
    }


REPLACE = {
    "generateImageMode": "manual",
    "productImageWithoutBackgroundFileId": "722e",
    "templateImageFileId": "c622",
    "location": QUAD,
}
VIDEO_REQUEST = {"replaceProductTaskImageId": "7e66", "ttsText": "hello", "voiceId": "zee"}


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (RemoveBackgroundRequest, {"productImageFileId": ""}),
        (RemoveBackgroundRequest, {"productImageFileId": "dff8", "productImageFile": "typo"}),
        (ImageReplaceRequest, {**REPLACE, "templateImageFileId": ""}),
        (ImageReplaceRequest, {**REPLACE, "location": None}),
        (ImageReplaceRequest, {**REPLACE, "location": QUAD[:3]}),
        (ImageReplaceRequest, {**REPLACE, "location": (*QUAD[:3], (0.3, 1.2))}),
        (ImageReplaceRequest, {**REPLACE, "location": (*QUAD[:3], (0.3, float("nan")))}),
        (ImageReplaceRequest, {**REPLACE, "generateImageMode": "auto"}),
        (Image2VideoRequest, {**VIDEO_REQUEST, "ttsText": "  "}),
        (Image2VideoRequest, {**VIDEO_REQUEST, "voiceId": ""}),
        (Image2VideoRequest, {**VIDEO_REQUEST, "scriptMode": "audio"}),
        (Image2VideoRequest, {**VIDEO_REQUEST, "mode": "ultra"}),
        (Image2VideoRequest, {**VIDEO_REQUEST, "ttsText": "half \ud800"}),
    ],
)
def test_a_request_that_cannot_succeed_is_refused_unsent(
    model: type[BaseModel], body: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(body)
