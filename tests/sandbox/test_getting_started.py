"""Every call of the getting-started document, in its order, with its headers and bodies.

Only the host, the account and the ids differ: ids chain from one answer to the next request.
"""

import json
from typing import Any

import httpx

from .conftest import Rig, picture

POST_HEADERS = {"Content-Type": "application/json", "Accept": "*/*", "Connection": "keep-alive"}
GET_HEADERS = {"Accept": "*/*", "Connection": "keep-alive"}

REMOVE_BACKGROUND = '{"productImageFileId":"%s"}'
MANUAL = """{"generateImageMode": "manual", "templateImageFileId": "%s",
"productImageWithoutBackgroundFileId": "%s", "userFaceImageFileId": "", "imageEditPrompt": "",
"location": [
[0.31470588235294117, 0.6390728476821192], [0.7489529411764706, 0.6390728476821192],
[0.7489529411764706, 0.9724056291390728], [0.31470588235294117, 0.9724056291390728]
]}"""
AUTO = """{"generateImageMode": "auto", "templateImageFileId":"%s",
"productImageWithoutBackgroundFileId": "%s", "userFaceImageFileId": "",
"imageEditPrompt":"Replace the item in the hand of the person in Picture 1 with the one in \
Picture 2. Keep the composition position and gesture of the person in Picture 1 unchanged, and \
ensure that the features, appearance and details of the item in Picture 2 remain exactly the same \
after the change."}"""
IMAGE2VIDEO = """{"replaceProductTaskImageId": "%s", "mode": "pro", "scriptMode": "text",
"ttsText": "test product avatar", "voiceId": "zeeTdrCqbhpVKOucLtOKdhytM7rbJx5t",
"audioFileId": "", "captionId": "3cfcb29df99746d4b438e169dda47647"}"""


def finished(rig: Rig, path: str, body: str, flag: str) -> dict[str, Any]:
    """The result of a task whose submit and query are sent raw."""
    headers = rig.headers | POST_HEADERS
    task = _result(rig.request("POST", f"{path}/submit", content=body, headers=headers))
    assert (task["status"], task["errorMsg"]) == ("success", None)
    rig.advance(60)
    url = f"{path}/query?taskId={task['taskId']}&{flag}"
    result = _result(rig.request("GET", url, headers=rig.headers | GET_HEADERS))
    assert (result["taskId"], result["status"]) == (task["taskId"], "success")
    return result


def _result(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200
    envelope = json.loads(response.content)
    assert (envelope["code"], envelope["message"]) == ("200", "Success")
    result: dict[str, Any] = envelope["result"]
    return result


def test_the_whole_document_works_call_by_call(rig: Rig) -> None:
    photo, template = rig.upload(picture(1)), rig.upload(picture(2))

    path = "/v1/common_task/remove_background"
    cutout = finished(rig, path, REMOVE_BACKGROUND % photo, "needCloudFrontUrl=")
    for name in ("bgRemovedImage", "maskImage"):
        assert _is_id(cutout[f"{name}FileId"])
        assert cutout[f"{name}Width"] > 0
        assert cutout[f"{name}Height"] > 0
        _downloads(rig, cutout[f"{name}Path"], b"\x89PNG")

    path = "/v2/product_avatar/task/image_replace"
    images = []
    for body, count in ((MANUAL, 2), (AUTO, 1)):
        body %= (template, cutout["bgRemovedImageFileId"])
        made = finished(rig, path, body, "needCloudFrontUrl")["replaceProductResult"]
        assert len(made) == count
        images += made
    for image in images:
        assert _is_id(image["imageId"])
        assert isinstance(image["faceExistence"], bool)
        _downloads(rig, image["url"], b"\x89PNG")

    path = "/v2/product_avatar/task/image2Video"
    video = finished(rig, path, IMAGE2VIDEO % images[-1]["imageId"], "needCloudFrontUrl")
    _downloads(rig, video["finishedVideoUrl"], b"ftyp")
    avatar = video["aiAvatar"]
    assert _is_id(avatar["aiavatarId"])
    assert avatar["aiavatarName"].startswith("Product Avatar_")
    assert avatar["voiceoverIdDefault"] == "zeeTdrCqbhpVKOucLtOKdhytM7rbJx5t"
    assert [avatar[name] for name in ("gender", "ethnicities", "faceSquareConfig")] == [None] * 3
    _downloads(rig, avatar["coverUrl"], b"\xff\xd8")
    _downloads(rig, avatar["previewVideoUrl"], b"ftyp")


def _is_id(value: str) -> bool:
    return len(value) == 32 and set(value) <= set("0123456789abcdef")


def _downloads(rig: Rig, url: str, magic: bytes) -> None:
    assert "X-Amz-Expires=86400" in url
    response = rig.request("GET", url)
    assert response.status_code == 200
    assert magic in response.content[:12]
