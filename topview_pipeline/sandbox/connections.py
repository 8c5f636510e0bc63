"""Closing a client's connection in the middle of an answer, under uvicorn.

ASGI has no word for it. uvicorn's protocol is told of every connection, so it keeps a table, and a
wrapper around the application offers the right entry to the routes.
"""

import asyncio
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from .interference import HANG_UP

ConnectionTable = dict[tuple[str, int], asyncio.Transport]
"""Open connections by their client's address."""


def recording_protocol(connections: ConnectionTable) -> type[asyncio.Protocol]:
    """uvicorn's HTTP protocol, which also keeps the table."""

    class RecordingProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # h11 or httptools
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            connections[self.client] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            connections.pop(self.client, None)
            super().connection_lost(exc)

    return RecordingProtocol


def closing_connections(app: ASGIApp, connections: ConnectionTable) -> ASGIApp:
    """The application, with the extension `HANG_UP` in every HTTP scope."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            transport = connections.get(scope["client"])
            if transport is not None:
                extensions = {**scope.get("extensions", {}), HANG_UP: transport.close}
                scope = {**scope, "extensions": extensions}
        await app(scope, receive, send)

    return wrapped
