"""The sandbox as an ASGI application."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from .clock import Clock
from .config import SandboxConfig
from .dates import Dated
from .media import MediaEngine
from .routes import account, catalogue, control, objects, queries, submits, uploads
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

    `clock` gives UTC wall seconds; `sleep` is what the fault slow_query and notices wait with;
    `engine` replaces the media that `config.media` names.
    """
    world = build_world(config, Clock(clock), sleep, engine)
    app = Starlette(
        routes=[
            *queries.ROUTES,
            *submits.ROUTES,
            *objects.ROUTES,
            *uploads.ROUTES,
            *account.ROUTES,
            *catalogue.ROUTES,
            *control.ROUTES,
        ],
        middleware=[Middleware(Dated, clock=world.clock), Middleware(_SingleSlashes)],
        lifespan=_lifespan,
    )
    app.state.world = world
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    yield
    world: World = app.state.world
    world.close()


class _SingleSlashes:
    """Real clients join base and path carelessly: `//v1//x` means `/v1/x`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and "//" in scope["path"]:
            scope = {**scope, "path": _SLASHES.sub("/", scope["path"])}
        await self._app(scope, receive, send)
