"""Serves a store on this machine to its own browser: on loopback, seekable, files read-only.

A person with the gallery's token, which is only in the address that was printed, may send a
list of decisions.

A folder that a setting or an option names may hold anything: a .env with a key, results with
account and credits, a ledger. Only pictures and videos are given.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from topview_pipeline.cli.console import CannotStart, person
from topview_pipeline.cli.gallery import write_page
from topview_pipeline.defs.decisions import Decisions, decide
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.errors import PipelineError
from topview_pipeline.export import SERVED_FILE, THUMBS, Report
from topview_pipeline.settings import Gate

MEDIA: Final = "media"
"""Below which the store is served; relative, as seen from the gallery."""
_START_SECONDS: Final = 20.0
_HOST: Final = "127.0.0.1"
_MOST_BYTES: Final = 10_000_000
"""Of a list of decisions."""
_MEDIA: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".mp4"})


class MediaFiles(StaticFiles):
    """Serves the media below a folder, which may come into being later.

    A video plays and seeks only where the server answers ranges; StaticFiles does.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory, check_dir=False)
        self._top = os.path.realpath(directory)

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """The file that a request leads to, links followed; none when it is no media."""
        found, state = super().lookup_path(path)
        inside = PurePath(os.path.relpath(found or self._top, self._top))
        is_hidden = any(part.startswith(".") for part in inside.parts)
        is_media = inside.suffix.lower() in _MEDIA
        return (found, state) if is_media and not is_hidden else ("", None)


class GalleryFolder:
    """The gallery that is served: its folder, and what is done for its page.

    Attributes:
        token: that decisions must come with.
    """

    def __init__(
        self, folder: Path, refresh: Callable[[], object], take: Callable[[str], str]
    ) -> None:
        """`refresh` writes the page, SERVED_FILE, again; `take` keeps a list of decisions."""
        self.folder = folder
        self.token = secrets.token_urlsafe(24)
        self._refresh, self._take = refresh, take
        self._one_at_a_time = threading.Lock()

    def page(self, _request: Request) -> Response:
        """Give the page as it is now, or in one sentence why it cannot be written.

        Starlette runs it beside the event loop, where videos go on being served.
        """
        try:
            with self._one_at_a_time:
                self._refresh()
        except PipelineError as error:
            return PlainTextResponse(str(error), status_code=503)
        return FileResponse(self.folder / SERVED_FILE, headers={"Cache-Control": "no-store"})

    async def decide(self, request: Request) -> Response:
        """Keep the decisions of a list, and say what was kept, or why nothing was."""
        token = request.headers.get("X-Gallery-Token", "")
        if not secrets.compare_digest(token.encode(), self.token.encode()):
            answer = "open the gallery by the address that its command printed"
            return PlainTextResponse(answer, status_code=403)
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > _MOST_BYTES:
                return PlainTextResponse("the list is too long", status_code=413)
        return await run_in_threadpool(self._keep, bytes(body))

    def _keep(self, body: bytes) -> Response:
        try:
            with self._one_at_a_time:
                return PlainTextResponse(self._take(body.decode()))
        except (PipelineError, UnicodeError) as error:
            return PlainTextResponse(str(error), status_code=409)


def served_page(
    topview: TopviewResource,
    folder: Path | None = None,
    *,
    program: str,
    dagster_url: str | None = None,
    gate: Gate | None = None,
) -> tuple[GalleryFolder, Report]:
    """The page of a server, which is written again at each load and takes decisions.

    The pipeline and the program are given: a server's thread knows nothing of the command.
    """

    def write() -> tuple[Path, Report]:
        words: dict[str, Any] = {"program": program, "dagster_url": dagster_url, "gate": gate}
        return write_page(topview, folder, served_at=MEDIA, **words)

    def take(text: str) -> str:
        decisions = Decisions.listed(text.split("\n"))
        with topview.ledger() as ledger:
            decide(topview, ledger, decisions, who=person(), why="")
        return f"{decisions.summary or 'nothing decided'}. To go on: {program} run"

    page, report = write()
    return GalleryFolder(page.parent, write, take), report


@contextmanager
def serving(root: Path, *, port: int = 0, gallery: GalleryFolder | None = None) -> Iterator[str]:
    """Serve a store, and a gallery at the top, while the block runs; yields the server's URL.

    Raises CannotStart when the port is taken; 0 is a free one.
    """
    routes: list[Mount | Route] = [Mount(f"/{MEDIA}", MediaFiles(root))]
    if gallery is not None:
        routes.append(Route("/", gallery.page, methods=["GET"]))
        routes.append(Route("/decide", gallery.decide, methods=["POST"]))
        routes.append(Mount(f"/{THUMBS}", MediaFiles(gallery.folder / THUMBS)))
    # A page of somebody else's must not read it by a name that leads to loopback.
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=[_HOST, "localhost"])
    app = Starlette(routes=routes, middleware=[hosts])
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    try:
        listening = socket.create_server((_HOST, port))
    except OSError as error:
        what = f"port {port} on {_HOST} cannot be used ({error.strerror})"
        fix = "Stop what uses it, or name another one with --port."
        raise CannotStart(what, fix=fix) from error
    thread = threading.Thread(target=server.run, args=([listening],), name="media", daemon=True)
    with listening:
        thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise CannotStart("the server of the store's files did not start")
            time.sleep(0.02)
        try:
            yield f"http://{_HOST}:{listening.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join(5.0)
