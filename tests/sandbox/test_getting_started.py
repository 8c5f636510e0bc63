"""Every call of the getting-started document, in its order, with its headers and bodies.

Only the host, the account and the ids differ: ids chain from one answer to the next request.
"""

import json
from typing import Any

import httpx
import pytest

from .conftest import Rig, picture

POST_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "*/*",
    "Connection": "keep-alive",
}
GET_HEADERS = {"Accept": "*/*", "Connection": "keep-alive"}

REMOVE_BACKGROUND = """{
"productImageFileId":"%s"
}"""

MANUAL = """{
"generateImageMode": "manual",
"templateImageFileId": "%s",
"productImageWithoutBackgroundFileId": "%s",
"userFaceImageFileId": "",
"imageEditPrompt": "",
"location": [
[
0.31470588235294117,
0.6390728476821192
],
[
0.7489529411764706,
0.6390728476821192
],
[
0.7489529411764706,
0.9724056291390728
],
[
0.31470588235294117,
0.9724056291390728
]
]
}"""

AUTO = """{
"generateImageMode": "auto",
"templateImageFileId":"%s",
"productImageWithoutBackgroundFileId": "%s",
"userFaceImageFileId": "",
"imageEditPrompt":"Replace the item in the hand of the person in Picture 1 with the one in \
Picture 2. Keep the composition position and gesture of the person in Picture 1 unchanged, and \
ensure that the features, appearance and details of the item in Picture 2 remain exactly the same \
after the change."
}"""

IMAGE2VIDEO = """{
"replaceProductTaskImageId": "%s",
"mode": "pro",
"scriptMode": "text",
"ttsText": "test product avatar",
"voiceId": "zeeTdrCqbhpVKOucLtOKdhytM7rbJx5t",
"audioFileId": "",
"captionId": "3cfcb29df99746d4b438e169dda47647"
}"""


class Caller:
    """Sends the document's calls, raw."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    def submit(self, path: str, body: str) -> str:
        response = self._rig.request(
            "POST", path, content=body, headers=self._rig.headers | POST_HEADERS
        )
        result = _result(response)
        assert result["status"] == "success"
        assert result["errorMsg"] is None
        return str(result["taskId"])

    def query(self, path: str) -> dict[str, Any]:
        self._rig.advance(60)
        return _result(self._rig.request("GET", path, headers=self._rig.headers | GET_HEADERS))


def _result(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200
    envelope = json.loads(response.content)
    assert (envelope["code"], envelope["message"]) == ("200", "Success")
    result: dict[str, Any] = envelope["result"]
    return result


def test_the_whole_document_works_call_by_call(rig: Rig) -> None:
    caller = Caller(rig)
    photo, template = rig.upload(picture(1)), rig.upload(picture(2))

    task = caller.submit("/v1/common_task/remove_background/submit", REMOVE_BACKGROUND % photo)
    path = f"/v1/common_task/remove_background/query?taskId={task}&needCloudFrontUrl="
    cutout = caller.query(path)
    assert cutout["taskId"] == task
    assert cutout["status"] == "success"
    for name in ("bgRemovedImage", "maskImage"):
        assert _is_id(cutout[f"{name}FileId"])
        assert cutout[f"{name}Width"] > 0
        assert cutout[f"{name}Height"] > 0
        _downloads(rig, cutout[f"{name}Path"], b"\x89PNG")

    replace = "/v2/product_avatar/task/image_replace"
    file_ids = (template, cutout["bgRemovedImageFileId"])
    task = caller.submit(f"{replace}/submit", MANUAL % file_ids)
    manual = caller.query(f"{replace}/query?taskId={task}&needCloudFrontUrl")
    assert len(manual["replaceProductResult"]) == 2
    task = caller.submit(f"{replace}/submit", AUTO % file_ids)
    auto = caller.query(f"{replace}/query?taskId={task}&needCloudFrontUrl")
    assert len(auto["replaceProductResult"]) == 1
    for image in manual["replaceProductResult"] + auto["replaceProductResult"]:
        assert _is_id(image["imageId"])
        assert isinstance(image["faceExistence"], bool)
        _downloads(rig, image["url"], b"\x89PNG")

    animate = "/v2/product_avatar/task/image2Video"
    image_id = auto["replaceProductResult"][0]["imageId"]
    task = caller.submit(f"{animate}/submit", IMAGE2VIDEO % image_id)
    video = caller.query(f"{animate}/query?taskId={task}&needCloudFrontUrl")
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


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_v3_paths_take_what_the_official_client_sends(rig: Rig, version: str) -> None:
    replace, animate = (
        f"/{version}/product_avatar/task/{k}" for k in ("image_replace", "image2Video")
    )
    body = rig.scene_body(keepTarget="model", version="v3", productSize="2", projectId="p")
    task = rig.post(f"{replace}/submit", body)["result"]["taskId"]
    rig.advance(60)
    images = rig.get(f"{replace}/query", taskId=task)["result"]
    assert images["costCredit"] == (1.0 if version == "v2" else 0.5)
    image_id = images["replaceProductResult"][0]["imageId"]
    task = rig.post(f"{animate}/submit", rig.video_body(image_id))["result"]["taskId"]
    rig.advance(60)
    assert rig.get(f"{animate}/query", taskId=task)["result"]["finishedVideoUrl"]


def test_v3_cuts_out_a_photo_itself(rig: Rig) -> None:
    path = "/v3/product_avatar/task/image_replace"
    body = {
        "productImageFileId": rig.upload(picture()),
        "templateImageFileId": rig.upload(picture(7)),
    }
    task = rig.post(f"{path}/submit", body)["result"]["taskId"]
    rig.advance(60)
    assert len(rig.get(f"{path}/query", taskId=task)["result"]["replaceProductResult"]) == 1
