"""A server on a real socket of this machine, for what no mock transport shows."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

Answerer = Callable[[asyncio.StreamWriter, int], Awaitable[None]]
"""Answers the n-th request (from 1) of a connection."""


class Loopback:
    """Where the server is and what it saw.

    Attributes:
        url: Its base URL.
        per_connection: How many requests each connection brought, in order of arrival.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.per_connection: list[int] = []


@asynccontextmanager
async def loopback(answer: Answerer) -> AsyncIterator[Loopback]:
    """Serve on a free port until the block ends."""
    seen = Loopback("")

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


@contextmanager
def refusing() -> Iterator[str]:
    """The base URL of a port that is taken and refuses connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


async def _read_request(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            await reader.readexactly(int(value))


def http_answer(result: object) -> bytes:
    """A whole answer with a good envelope, on a connection that stays open."""
    body = json.dumps({"code": "200", "message": "Success", "result": result}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body
