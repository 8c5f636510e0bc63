"""Serves a store on this machine to its own browser: read-only, on loopback, seekable.

A video plays and seeks only where the server answers ranges; starlette's StaticFiles does.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from topview_pipeline.cli.errors import CannotStart

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

MEDIA: Final = "media"
"""Below which the store is served; relative, as seen from the gallery."""
_START_SECONDS: Final = 20.0
_HOST: Final = "127.0.0.1"


def media_url(port: int) -> str:
    """The URL below which `serving` on this port shows a store."""
    return f"http://{_HOST}:{port}/{MEDIA}"


@contextmanager
def serving(
    root: Path,
    *,
    port: int = 0,
    gallery: Path | None = None,
    refresh: Callable[[], object] | None = None,
) -> Iterator[str]:
    """Serve a store, and a gallery at the top, while the block runs; yields the server's URL.

    Args:
        port: 0 for a free one.
        gallery: the folder of a page with the name SERVED_FILE.
        refresh: writes the gallery anew, before its page is given.

    Raises:
        CannotStart: the port is taken.
    """
    import uvicorn

    try:
        listening = socket.create_server((_HOST, port))
    except OSError as error:
        raise CannotStart(f"port {port} on {_HOST} is in use: {error.strerror}") from error
    config = uvicorn.Config(media_app(root, gallery, refresh), log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listening]}, name="media", daemon=True
    )
    with listening:
        thread.start()
        _wait_until_started(server, thread)
        try:
            yield f"http://{_HOST}:{listening.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join(5.0)


def media_app(
    root: Path, gallery: Path | None = None, refresh: Callable[[], object] | None = None
) -> Starlette:
    """The application: media of the store below /media, the gallery's page at the top."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.routing import Mount, Route

    from topview_pipeline.cli.mediafiles import MediaFiles
    from topview_pipeline.gallery import PHOTOS, SERVED_FILE

    routes: list[Mount | Route] = [Mount(f"/{MEDIA}", MediaFiles(root))]
    if gallery is not None:
        routes.append(Route("/", _page(gallery / SERVED_FILE, refresh), methods=["GET"]))
        routes.append(Mount(f"/{PHOTOS}", MediaFiles(gallery / PHOTOS)))
    return Starlette(
        routes=routes,
        middleware=[
            # A page of somebody else's must not read it by a name that leads to loopback.
            Middleware(TrustedHostMiddleware, allowed_hosts=[_HOST, "localhost"]),
        ],
    )


def _page(page: Path, refresh: Callable[[], object] | None) -> Callable[[Request], Response]:
    """Gives the page as it is now; why it cannot be written anew, in one sentence.

    A plain function: starlette runs it beside the event loop, where videos go on being served.
    """
    from starlette.responses import FileResponse, PlainTextResponse

    one_at_a_time = threading.Lock()

    def give(_request: Request) -> Response:
        try:
            with one_at_a_time:
                if refresh is not None:
                    refresh()
        except CannotStart as error:
            return PlainTextResponse(error.format_message(), status_code=503)
        return FileResponse(page, headers={"Cache-Control": "no-store"})

    return give


def _wait_until_started(server: object, thread: threading.Thread) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not getattr(server, "started", False):
        if not thread.is_alive() or time.monotonic() > deadline:
            raise CannotStart("the server of the store's files did not start")
        time.sleep(0.02)
