"""What the client's tests share: a client over a handler, envelopes, a sleep that only records."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from datetime import datetime, timezone
from typing import Any, TypeVar

import httpx

from topview_pipeline.topview.client import TopviewClient
from topview_pipeline.topview.timeouts import DEFAULT_TIMEOUTS, Timeouts

BASE = "https://api.topview.test"
UID = "EXAMPLEUID"
KEY = "sk-EXAMPLE"
NOW = datetime(2025, 8, 12, 7, 0, 0, tzinfo=timezone.utc)
TASK = "4274b375c30844c8bd0b1e4b6e44fb5f"
FILE = "dff804f385b84d4fb9c1b51c70f3755f"

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200))
MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(range(200))

Handler = Callable[[httpx.Request], httpx.Response]
_T = TypeVar("_T")


def run(coroutine: Coroutine[Any, Any, _T]) -> _T:
    return asyncio.run(coroutine)


class Pauses(list[float]):
    """A sleep that returns at once and remembers what was asked."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


def client(
    api: Handler | None = None,
    media: Handler | None = None,
    *,
    base_url: str = BASE,
    sleep: Pauses | None = None,
    timeouts: Timeouts = DEFAULT_TIMEOUTS,
) -> TopviewClient:
    """A client whose API and storage are handlers."""

    def unexpected(request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"nobody expected {request.method} {request.url}")

    return TopviewClient(
        base_url=base_url,
        uid=UID,
        api_key=KEY,
        timeouts=timeouts,
        transport=httpx.MockTransport(api or unexpected),
        media_transport=httpx.MockTransport(media or unexpected),
        sleep=sleep if sleep is not None else Pauses(),
        now=lambda: NOW,
    )


def envelope(
    result: object = None,
    *,
    code: object = "200",
    message: str = "Success",
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    body = {"code": code, "message": message, "result": result}
    return httpx.Response(status, json=body, headers=headers)


def html(status: int = 200) -> httpx.Response:
    return httpx.Response(status, html="<html><body>Welcome</body></html>")


def sent(request: httpx.Request) -> Any:
    """The JSON body of a request."""
    return json.loads(request.content)
