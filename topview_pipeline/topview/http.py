"""Limits of the calls to Topview, a wait that keeps them, and a download that is proved whole."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import BinaryIO, Literal, TypeVar

import httpx

from topview_pipeline.text import bare_url
from topview_pipeline.topview.envelope import Answer, Call, Phase, classify, classify_exception
from topview_pipeline.topview.errors import ForbiddenUrl, Incomplete, TooLarge, WrongType

_T = TypeVar("_T")

Sleep = Callable[[float], Awaitable[object]]
OnAnswer = Callable[[httpx.Response], Awaitable[None]]
"""Sees each answer of the API before it is read. An exception of it counts as a lost answer."""


@dataclass(frozen=True)
class CallTimeouts:
    """Limits of one kind of call, in seconds."""

    connect: float = 10.0  # opening the connection
    write: float = 30.0  # silence while sending
    read: float = 30.0  # silence while waiting for the answer and between its parts
    pool: float = 10.0  # waiting for a free connection
    whole: float = 80.0  # start to end; a server that trickles satisfies all others for ever

    def httpx_timeout(self) -> httpx.Timeout:
        """Return the phases as httpx takes them."""
        return httpx.Timeout(connect=self.connect, write=self.write, read=self.read, pool=self.pool)


@dataclass(frozen=True)
class Timeouts:
    """Limits of all calls. A lost answer to a submit costs money, so submits wait longest."""

    submit: CallTimeouts = CallTimeouts(read=90.0, whole=150.0)
    query: CallTimeouts = CallTimeouts()
    upload: CallTimeouts = CallTimeouts(read=60.0, whole=900.0)
    download: CallTimeouts = CallTimeouts(read=60.0, whole=900.0)


DEFAULT_TIMEOUTS = Timeouts()


class TookTooLong(asyncio.TimeoutError):
    """A call that lasted longer than `within` allowed."""


async def within(seconds: float, call: Awaitable[_T]) -> _T:
    """Await `call`, and raise TookTooLong when it lasts longer than `seconds`."""
    # Not asyncio.wait_for: before Python 3.12 it swallows a cancellation that comes together with
    # the answer, and the canceller waits for ever.
    task = asyncio.ensure_future(call)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except BaseException:
        await _cancel(task)
        raise
    if not done:
        await _cancel(task)
        if task.cancelled():
            raise TookTooLong(f"took longer than {seconds:g} seconds")
    return task.result()


async def _cancel(task: asyncio.Future[_T]) -> None:
    task.cancel()
    await asyncio.wait({task})


# Downloads

Media = Literal["image", "video"]
Allows = Callable[[httpx.URL], bool]
"""True when media may travel to or from a URL."""

_MOST_REDIRECTS = 4
_HEAD_BYTES = 12


@dataclass(frozen=True)
class Downloaded:
    """The hash of a file in hex, and the MIME type that its first bytes prove."""

    sha256: str
    content_type: str


def read_url(text: str) -> httpx.URL | None:
    """Return `text` as a URL, or None when it is none."""
    try:
        return httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        return None


async def download(
    media: httpx.AsyncClient,
    url: str,
    into: BinaryIO,
    limits: CallTimeouts,
    allows: Allows,
    *,
    max_bytes: int,
    expect: Media,
) -> Downloaded:
    """Stream a file into `into`, once. See TopviewClient.download."""
    doing = f"downloading {bare_url(url)}"
    response = _opened(media, url, limits, allows, doing)
    transfer = _received(response, into, max_bytes, expect, doing)
    try:
        return await within(limits.whole, transfer)
    except TookTooLong as error:
        raise classify_exception(Call(Phase.BODY, doing), error) from error


async def _received(
    opened: AbstractAsyncContextManager[httpx.Response],
    into: BinaryIO,
    max_bytes: int,
    expect: Media,
    doing: str,
) -> Downloaded:
    received, head, content_type, digest = 0, b"", None, hashlib.sha256()
    async with opened as response:
        announced = _announced_length(response, doing)
        if announced is not None and announced > max_bytes:
            raise TooLarge(f"{announced} bytes, at most {max_bytes} allowed", doing=doing)
        async for chunk in _chunks(response, doing):
            received += len(chunk)
            if received > max_bytes:
                raise TooLarge(f"more than {max_bytes} bytes", doing=doing)
            digest.update(chunk)
            if content_type is not None:
                into.write(chunk)
                continue
            head += chunk
            if len(head) >= _HEAD_BYTES:
                content_type = _checked_type(head, expect, doing)
                into.write(head)
    if received == 0 or announced not in (None, received):
        raise Incomplete(f"{received} of {announced or 'some'} bytes arrived", doing=doing)
    if content_type is None:
        raise WrongType(f"{received} bytes are no {expect}", doing=doing)
    return Downloaded(digest.hexdigest(), content_type)


def _checked_type(head: bytes, expect: Media, doing: str) -> str:
    """The MIME type that the first bytes of a file prove; no header of a server is evidence."""
    found = None
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        found = "image/png"
    elif head.startswith(b"\xff\xd8\xff"):
        found = "image/jpeg"
    elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        found = "image/webp"
    elif head[4:8] == b"ftyp":
        found = "video/quicktime" if head[8:12] == b"qt  " else "video/mp4"
    if found is None or not found.startswith(expect):
        found = found or f"something that begins with {head[:_HEAD_BYTES]!r}"
        raise WrongType(f"expected {expect}, got {found}", doing=doing)
    return found


@asynccontextmanager
async def _opened(
    media: httpx.AsyncClient, url: str, limits: CallTimeouts, allows: Allows, doing: str
) -> AsyncIterator[httpx.Response]:
    """Follow redirects by hand, so that every hop keeps to the rule for URLs."""
    call, target = Call(Phase.DOWNLOAD, doing), read_url(url)
    # Media gain nothing by encoding, and its length would say nothing about theirs.
    headers, timeout = {"Accept-Encoding": "identity"}, limits.httpx_timeout()
    for _ in range(_MOST_REDIRECTS + 1):
        if target is None or not allows(target):
            place = bare_url(target or url)
            raise ForbiddenUrl(f"{place} is neither https nor the API's own", doing=doing)
        request = media.build_request("GET", target, headers=headers, timeout=timeout)
        try:
            response = await media.send(request, stream=True)
        except Exception as broken:
            raise classify_exception(call, broken) from broken
        async with aclosing(response):
            if response.next_request is None:
                error = classify(call, Answer(response.status_code))
                if error is not None:
                    raise error
                yield response
                return
            target = response.next_request.url
    raise ForbiddenUrl(f"more than {_MOST_REDIRECTS} redirects", doing=doing)


def _announced_length(response: httpx.Response, doing: str) -> int | None:
    """Return Content-Length; None for a chunked body, which has its own end mark.

    Raises Incomplete for one that ends with the connection: a cut one would look whole.
    """
    length = response.headers.get("content-length", "")
    if length.isascii() and length.isdigit():
        return int(length)
    if "chunked" in response.headers.get("transfer-encoding", "").lower():
        return None
    raise Incomplete("the server does not say how long the file is", doing=doing)


async def _chunks(response: httpx.Response, doing: str) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.aiter_bytes():
            yield chunk
    except Exception as broken:
        raise classify_exception(Call(Phase.BODY, doing), broken) from broken
