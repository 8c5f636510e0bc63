"""Storage behind signed URLs: S3's PUT and GET, CloudFront's GET, byte ranges, refusals in XML."""

import re
from collections.abc import Callable
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from .calls import HANG_UP, hang_up, world_of
from .signature import CLOUDFRONT_PREFIX, S3_PREFIX, SignatureRefused
from .state import File
from .wire import base_of
from .world import World

_CHUNK = 64 * 1024
_MAX_UPLOAD_BYTES = 512 * 1024 * 1024
_RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z")


def _storage_route(prefix: str, check: Callable[[Request, World], None], *methods: str) -> Route:
    """A route of stored files; `check` raises SignatureRefused."""

    async def endpoint(request: Request) -> Response:
        world = world_of(request)
        world.settle()
        try:
            check(request, world)
        except SignatureRefused as refused:
            world.tally.downloads[refused.code] += 1
            return _xml(refused.http_status, refused.code, refused.message)
        return await _put(request, world) if request.method == "PUT" else _get(request, world)

    return Route(prefix + "{key:path}", endpoint, methods=list(methods))


def _check_s3(request: Request, world: World) -> None:
    if "authorization" in request.headers:
        raise SignatureRefused(
            "InvalidArgument",
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, "
            "Signature query string parameter or the Authorization header should be specified",
            http_status=400,
        )
    world.signer.check_s3(
        request.method,
        request.headers.get("host", ""),
        request.scope["path"],
        request.query_params,
        world.clock(),
    )


def _check_cloudfront(request: Request, world: World) -> None:
    url = f"{base_of(request)}{request.scope['path']}"
    world.signer.check_cloudfront(url, request.query_params, world.clock())


async def _put(request: Request, world: World) -> Response:
    file = world.state.at_key(request.path_params["key"])
    if file is None:
        return _xml(404, "NoSuchKey", "The specified key does not exist.")
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > _MAX_UPLOAD_BYTES:
            return _xml(400, "EntityTooLarge", "Your proposed upload exceeds the maximum size.")
    world.state.fill_upload(file, bytes(content))
    world.tally.uploads["puts"] += 1
    return Response(status_code=200, headers={"ETag": f'"{file.sha256}"'})


def _get(request: Request, world: World) -> Response:
    file = world.state.at_key(request.path_params["key"])
    if file is None or file.sha256 is None:
        world.tally.downloads["NoSuchKey"] += 1
        return _xml(404, "NoSuchKey", "The specified key does not exist.")
    asked = request.headers.get("range", "")
    span = parse_range(asked, file.size)
    if span is None:
        return _xml(416, "InvalidRange", "The requested range is not satisfiable")
    return _Download(world, file, span, partial=bool(asked))


class _Download(Response):
    """Sends a range of a file and remembers what was sent, or ends before (cut_download)."""

    def __init__(self, world: World, file: File, span: tuple[int, int], *, partial: bool) -> None:
        self._world = world
        self._file = file
        self._span = span
        first, end = span
        headers = {
            "Content-Length": str(end - first),
            "Accept-Ranges": "bytes",
            "ETag": f'"{file.sha256}"',
        }
        if partial:
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{file.size}"
        super().__init__(None, 206 if partial else 200, headers, file.content_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        world, file = self._world, self._file
        first, end = self._span
        content = memoryview(world.state.content_of(file))
        cut = world.faults.strikes("cut_download", f"{file.lineage} {file.role}")
        stop = first + (end - first) // 2 if cut else end
        request = Request(scope, receive)
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        for start in range(first, stop, _CHUNK):
            if start > first and await request.is_disconnected():
                world.tally.downloads["abandoned"] += 1
                return
            upto = min(start + _CHUNK, stop)
            body = bytes(content[start:upto])
            await send(
                {"type": "http.response.body", "body": body, "more_body": cut or upto < stop}
            )
        if cut:
            await self._cut(request, send)
            return
        if first == end:
            await send({"type": "http.response.body", "body": b""})
        self._remember()

    async def _cut(self, request: Request, send: Send) -> None:
        self._world.tally.downloads["cut"] += 1
        if HANG_UP in request.scope.get("extensions", {}):
            await hang_up(request)
        else:
            await send({"type": "http.response.body", "body": b""})

    def _remember(self) -> None:
        world, file = self._world, self._file
        world.tally.downloads["whole" if self._span == (0, file.size) else "ranges"] += 1
        if not file.downloaded_whole and not file.permanent:
            add_range(file.downloaded, *self._span)
            world.state.save_file(file)


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """The span [first, end) that a Range header asks of `size` bytes.

    No header, and one that is not a single byte range, ask for everything. None: not satisfiable.
    """
    found = _RANGE.match(header)
    if found is None or found.groups() == ("", ""):
        return 0, size
    first, last = found.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
    return (start, end) if start < end else None


def add_range(ranges: list[list[int]], first: int, end: int) -> None:
    """Add [first, end) to disjoint sorted ranges, in place, joining those that touch."""
    joined: list[list[int]] = []
    for start, stop in sorted([*ranges, [first, end]]):
        if joined and start <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], stop)
        else:
            joined.append([start, stop])
    ranges[:] = joined


def _xml(status: int, code: str, message: str) -> Response:
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    )
    return Response(body, status, media_type="application/xml")


ROUTES = [
    _storage_route(S3_PREFIX, _check_s3, "GET", "PUT"),
    _storage_route(CLOUDFRONT_PREFIX, _check_cloudfront, "GET"),
]
