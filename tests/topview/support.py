"""Shared by the client's tests: clients over handlers, envelopes, and servers on real sockets."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, TypeVar

import httpx

from topview_pipeline.topview.client import TopviewClient
from topview_pipeline.topview.http import CallTimeouts, Timeouts

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


class Pauses(list[float]):
    """A sleep that returns at once and remembers the seconds."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


class Replies:
    """Gives the responses in turn, the last one for ever, and remembers the requests."""

    def __init__(self, *responses: httpx.Response | Exception) -> None:
        self.responses = list(responses)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        response = self.responses.pop(0) if len(self.responses) > 1 else self.responses[0]
        if isinstance(response, Exception):
            raise response
        return response

    @property
    def paths(self) -> list[str]:
        return [request.url.path for request in self.requests]


def unexpected(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"nobody expected {request.method} {request.url}")


def client(
    api: Handler = unexpected,
    media: Handler = unexpected,
    *,
    base_url: str = BASE,
    sleep: Pauses | None = None,
    accelerate_uploads: bool = False,
) -> TopviewClient:
    """A client whose API and storage are handlers."""
    return TopviewClient(
        base_url=base_url,
        uid=UID,
        api_key=KEY,
        transport=httpx.MockTransport(api),
        media_transport=httpx.MockTransport(media),
        sleep=sleep if sleep is not None else Pauses(),
        accelerate_uploads=accelerate_uploads,
    )


def over_sockets(url: str, **limits: float) -> TopviewClient:
    """A client whose calls all have these limits."""
    limit = replace(CallTimeouts(), **limits)
    timeouts = Timeouts(submit=limit, query=limit, upload=limit, download=limit)
    return TopviewClient(base_url=url, uid=UID, api_key=KEY, timeouts=timeouts, sleep=Pauses())


def using(http: TopviewClient, act: Callable[[TopviewClient], Awaitable[_T]]) -> _T:
    """The result of `act` with the open client."""

    async def inside() -> _T:
        async with http:
            return await act(http)

    return asyncio.run(inside())


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


# Servers on real sockets of this machine, for what no mock transport shows

Answerer = Callable[[asyncio.StreamWriter, int], Awaitable[Any]]
"""Answers the n-th request (from 1) of a connection."""


def answering(data: bytes = b"", *, stall: float = 0.0, keep: bool = False) -> Answerer:
    """Writes `data`, waits, and closes the connection or keeps it open."""

    async def answer(writer: asyncio.StreamWriter, _nth: int) -> None:
        writer.write(data)
        await asyncio.sleep(stall)
        if not keep:
            writer.close()

    return answer


@dataclass
class Loopback:
    """A server's base URL, and how many requests each connection brought, in order of arrival."""

    url: str = ""
    per_connection: list[int] = field(default_factory=list)


@asynccontextmanager
async def loopback(answer: Answerer) -> AsyncIterator[Loopback]:
    """Serve on a free port until the block ends."""
    seen = Loopback()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = len(seen.per_connection)
        seen.per_connection.append(0)
        # Cancelled when the test's loop ends; streams of Python 3.11 would log that as an error.
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while not writer.is_closing():
                await _read_request(reader)
                seen.per_connection[connection] += 1
                await answer(writer, seen.per_connection[connection])
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    seen.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield seen
    finally:
        server.close()


async def _read_request(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            await reader.readexactly(int(value))


@contextmanager
def refusing() -> Iterator[str]:
    """The base URL of a port that is taken and refuses connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def http_answer(result: object) -> bytes:
    """A whole answer with a good envelope, on a connection that stays open."""
    body = json.dumps({"code": "200", "message": "Success", "result": result}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body
