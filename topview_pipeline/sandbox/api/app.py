"""The sandbox as an ASGI application."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.sandbox.media.engine import MediaEngine

from . import control, objects, routes
from .state import Clock
from .world import Sleep, World, build_world

_SLASHES = re.compile("//+")


def create_app(
    config: SandboxConfig,
    *,
    clock: Callable[[], float] = time.time,
    sleep: Sleep = asyncio.sleep,
    engine: MediaEngine | None = None,
) -> Starlette:
    """Build the sandbox's application; its parts are `app.state.world`.

    `clock` gives UTC wall seconds; the fault slow_query and notices wait with `sleep`; `engine`
    replaces the media that `config.media` names.
    """
    world = build_world(config, Clock(clock), sleep, engine)
    app = Starlette(
        routes=[*routes.ROUTES, *objects.ROUTES, *control.ROUTES],
        middleware=[Middleware(_DateHeader, clock=world.clock), Middleware(_SingleSlashes)],
        lifespan=_lifespan,
    )
    app.state.world = world
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    yield
    world: World = app.state.world
    world.close()


class _DateHeader:
    """Dates every answer by the sandbox's clock: the server's own time."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = formatdate(self._clock(), usegmt=True).encode()
                message = {**message, "headers": [*message.get("headers", ()), (b"date", date)]}
            await send(message)

        await self._app(scope, receive, send_dated)


class _SingleSlashes:
    """Reads `//v1//x` as `/v1/x`: real clients join base and path carelessly."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and "//" in scope["path"]:
            scope = {**scope, "path": _SLASHES.sub("/", scope["path"])}
        await self._app(scope, receive, send)
