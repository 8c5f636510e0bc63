"""A sandbox without sockets, on a clock that only the test moves."""

import asyncio
import io
import wave
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from topview_pipeline.sandbox.api.app import create_app
from topview_pipeline.sandbox.api.report import counters
from topview_pipeline.sandbox.api.world import World
from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.sandbox.kinds import Kind
from topview_pipeline.sandbox.media.engine import MediaEngine

START = 1_755_000_000.0
VOICE = "zeeTdrCqbhpVKOucLtOKdhytM7rbJx5t"
CAPTION = "3cfcb29df99746d4b438e169dda47647"
QUAD = [[0.31, 0.63], [0.74, 0.63], [0.74, 0.97], [0.31, 0.97]]


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    """An image file."""
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def picture(shade: int = 0, form: str = "PNG") -> bytes:
    """A small photo; another shade is another photo."""
    return encoded(Image.new("RGB", (8, 8), (shade, 100, 200)), form)


def tone(seconds: float, rate: int = 22_050) -> bytes:
    """A WAV file with a tone of 440 Hz."""
    out = io.BytesIO()
    samples = np.sin(np.arange(int(seconds * rate)) * (2 * np.pi * 440 / rate)) * 9000
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(samples.astype("<i2").tobytes())
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

    def call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """The envelope of an API call."""
        response = self.request(method, path, headers=self.headers, **options)
        envelope: dict[str, Any] = response.json()
        assert set(envelope) == {"code", "message", "result"}
        return envelope

    def get(self, path: str, **params: str) -> dict[str, Any]:
        return self.call("GET", path, params=params)

    def control(self, method: str, path: str, **body: object) -> httpx.Response:
        """A call of the sandbox's own routes."""
        return self.request(method, f"/_sandbox/{path}", json=body)

    def get_and_leave(self, url: str) -> int:
        """GET by a client that is gone before the first piece came; the number of bytes sent."""
        request, sent = httpx.Request("GET", url), list[bytes]()

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

    def answer(self, kind: Kind, body: dict[str, Any], version: str = "v2") -> dict[str, Any]:
        """The envelope of a submit."""
        return self.call("POST", f"{path_of(kind, version)}/submit", json=body)

    def submit(self, kind: Kind, body: dict[str, Any], version: str = "v2") -> str:
        """The taskId of an accepted submit."""
        envelope = self.answer(kind, body, version)
        assert envelope["code"] == "200", envelope
        return str(envelope["result"]["taskId"])

    def query(self, kind: Kind, task_id: str, version: str = "v2", **params: str) -> dict[str, Any]:
        """The envelope of a query."""
        return self.get(f"{path_of(kind, version)}/query", taskId=task_id, **params)

    def finish(self, kind: Kind, task_id: str, version: str = "v2") -> dict[str, Any]:
        """A task's result after the time that its kind takes."""
        self.advance(self.config.median_seconds(kind) / self.config.speed)
        result: dict[str, Any] = self.query(kind, task_id, version)["result"]
        assert result["status"] == "success", result
        return result

    def start_cutout(self, shade: int = 0) -> str:
        """The taskId of a remove_background task."""
        photo = self.upload(picture(shade))
        return self.submit(Kind.REMOVE_BACKGROUND, {"productImageFileId": photo})

    def cutout(self, shade: int = 0) -> str:
        """The fileId of a finished cut-out."""
        finished = self.finish(Kind.REMOVE_BACKGROUND, self.start_cutout(shade))
        return str(finished["bgRemovedImageFileId"])

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
        finished = self.finish(Kind.IMAGE_REPLACE, task_id)
        images: list[dict[str, Any]] = finished["replaceProductResult"]
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
        return counters(self.world)


def path_of(kind: Kind, version: str = "v2") -> str:
    """The path of a kind, without `/submit` or `/query`."""
    if kind is Kind.REMOVE_BACKGROUND:
        return "/v1/common_task/remove_background"
    return f"/{version}/product_avatar/task/{kind.value}"


MakeRig = Callable[..., Rig]


@pytest.fixture
def make_rig() -> Iterator[MakeRig]:
    """Builds sandboxes with settings of `SandboxConfig`, and closes them after the test."""
    rigs: list[Rig] = []

    def make(**settings: Any) -> Rig:
        rigs.append(Rig(**settings))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


@pytest.fixture
def rig(make_rig: MakeRig) -> Rig:
    """A sandbox with default settings and tiny media."""
    return make_rig()


@pytest.fixture
def done(rig: Rig) -> str:
    """A finished remove_background task of `rig`."""
    task = rig.start_cutout()
    rig.finish(Kind.REMOVE_BACKGROUND, task)
    return task
