"""A sandbox without sockets, on a clock that only the test moves."""

import asyncio
import io
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import httpx
import pytest
from PIL import Image

from topview_pipeline.sandbox.app import create_app
from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.sandbox.kinds import Kind
from topview_pipeline.sandbox.media import MediaEngine
from topview_pipeline.sandbox.report import counters
from topview_pipeline.sandbox.world import World

START = 1_755_000_000.0
VOICE = "zeeTdrCqbhpVKOucLtOKdhytM7rbJx5t"
CAPTION = "3cfcb29df99746d4b438e169dda47647"
QUAD = [[0.31, 0.63], [0.74, 0.63], [0.74, 0.97], [0.31, 0.97]]
QUERY_PATHS = {
    Kind.REMOVE_BACKGROUND: "/v1/common_task/remove_background",
    Kind.IMAGE_REPLACE: "/v2/product_avatar/task/image_replace",
    Kind.IMAGE2VIDEO: "/v2/product_avatar/task/image2Video",
}


def picture(shade: int = 0, kind: str = "PNG") -> bytes:
    """A small photo; another shade is another photo."""
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 100, 200)).save(out, kind)
    return out.getvalue()


class Rig:
    """One sandbox and one client of it."""

    def __init__(self, engine: MediaEngine | None = None, **settings: Any) -> None:
        self.config = SandboxConfig(**{"media": "tiny", "sigma": 0.0, **settings})
        self.slept: list[float] = []
        self._loop = asyncio.new_event_loop()
        self._app = create_app(self.config, clock=lambda: START, sleep=self._sleep, engine=engine)
        self.world: World = self._app.state.world
        self.headers = {
            "Topview-Uid": self.config.uid,
            "Authorization": f"Bearer {self.config.api_key}",
        }
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self._app), base_url="http://sandbox.test"
        )

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)

    def close(self) -> None:
        self._loop.run_until_complete(self._client.aclose())
        self._loop.close()
        self.world.close()

    def advance(self, seconds: float) -> None:
        self.world.clock.advance(seconds)
        self.world.state.save_sandbox()

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        """A request as it is; without `headers` with none of the API's."""
        return self._loop.run_until_complete(self._client.request(method, url, **options))

    def get(self, path: str, **params: str) -> dict[str, Any]:
        """An API call's envelope."""
        return self._envelope(self.request("GET", path, params=params, headers=self.headers))

    def post(self, path: str, body: object) -> dict[str, Any]:
        """An API call's envelope."""
        return self._envelope(self.request("POST", path, json=body, headers=self.headers))

    def _envelope(self, response: httpx.Response) -> dict[str, Any]:
        envelope: dict[str, Any] = response.json()
        assert set(envelope) == {"code", "message", "result"}
        return envelope

    def get_and_leave(self, url: str) -> int:
        """GET by a client that is gone before the first piece came; how many bytes were sent."""
        request = httpx.Request("GET", url)
        sent: list[bytes] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message.get("body", b""))

        scope = {
            "type": "http",
            "method": "GET",
            "scheme": "http",
            "path": request.url.path,
            "query_string": request.url.query,
            "headers": [(b"host", request.url.netloc)],
        }
        self._loop.run_until_complete(self._app(scope, receive, send))
        return sum(map(len, sent))

    def upload(self, content: bytes, extension: str = "png") -> str:
        """The fileId of uploaded bytes."""
        credential = self.get("/v1/upload/credential", format=extension)["result"]
        assert self.request("PUT", credential["uploadUrl"], content=content).status_code == 200
        return str(credential["fileId"])

    def submit(self, kind: Kind, body: dict[str, Any]) -> str:
        """The taskId of an accepted submit."""
        envelope = self.post(QUERY_PATHS[kind] + "/submit", body)
        assert envelope["code"] == "200", envelope
        return str(envelope["result"]["taskId"])

    def query(self, kind: Kind, task_id: str, **params: str) -> dict[str, Any]:
        """The envelope of a query."""
        return self.get(QUERY_PATHS[kind] + "/query", taskId=task_id, **params)

    def finish(self, kind: Kind, task_id: str) -> dict[str, Any]:
        """A task's result after the time that its kind takes."""
        self.advance(self.config.median_seconds(kind) / self.config.speed)
        result: dict[str, Any] = self.query(kind, task_id)["result"]
        assert result["status"] == "success", result
        return result

    def cutout(self, photo: bytes | None = None) -> str:
        """The fileId of a cut-out."""
        body = {"productImageFileId": self.upload(photo or picture())}
        task_id = self.submit(Kind.REMOVE_BACKGROUND, body)
        return str(self.finish(Kind.REMOVE_BACKGROUND, task_id)["bgRemovedImageFileId"])

    def scene_body(self, cutout: str | None = None, **fields: Any) -> dict[str, Any]:
        """A valid image_replace body, in auto mode unless a field says otherwise."""
        return {
            "generateImageMode": "auto",
            "productImageWithoutBackgroundFileId": cutout or self.cutout(),
            "templateImageFileId": self.upload(picture(7)),
            "imageEditPrompt": "hold it",
            **fields,
        }

    def scenes(self, **fields: Any) -> list[dict[str, Any]]:
        """The images of a finished image_replace task."""
        task_id = self.submit(Kind.IMAGE_REPLACE, self.scene_body(**fields))
        images: list[dict[str, Any]] = self.finish(Kind.IMAGE_REPLACE, task_id)[
            "replaceProductResult"
        ]
        return images

    def video_body(self, image_id: str | None = None, **fields: Any) -> dict[str, Any]:
        """A valid image2Video body in text mode."""
        return {
            "replaceProductTaskImageId": image_id or self.scenes()[0]["imageId"],
            "mode": "pro",
            "scriptMode": "text",
            "ttsText": "test product avatar",
            "voiceId": VOICE,
            "audioFileId": "",
            "captionId": CAPTION,
            **fields,
        }

    def counters(self) -> dict[str, Any]:
        """What happened so far."""
        return counters(self.world)


@pytest.fixture
def make_rig() -> Iterator[Callable[..., Rig]]:
    """Builds sandboxes with settings of `SandboxConfig`, and closes them after the test."""
    rigs: list[Rig] = []

    def make(**settings: Any) -> Rig:
        rigs.append(Rig(**settings))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    """A sandbox with default settings and tiny media."""
    return make_rig()
