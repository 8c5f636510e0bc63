"""Streaming one result into a sink, proved whole and of the right kind. No storage, no retries."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import BinaryIO

import httpx

from topview_pipeline.redaction import bare_url
from topview_pipeline.topview.classify import Call, Phase, classify
from topview_pipeline.topview.errors import ForbiddenUrl, Incomplete, TooLarge, WrongType
from topview_pipeline.topview.media import HEAD_BYTES, Media, media_type
from topview_pipeline.topview.origins import allowed, read_url
from topview_pipeline.topview.timeouts import CallTimeouts, within
from topview_pipeline.topview.wire import Answer

Sink = BinaryIO | Callable[[bytes], Awaitable[object]]
"""Where the bytes go: a binary file, or an async function that takes them in order."""

_MOST_REDIRECTS = 4


@dataclass(frozen=True)
class Downloaded:
    """What was written.

    Attributes:
        bytes: How many.
        sha256: Their hash, in hex.
        content_type: MIME type that their first bytes prove.
    """

    bytes: int
    sha256: str
    content_type: str


class Downloader:
    """Downloads over the media client, which carries no API headers."""

    def __init__(
        self, media: httpx.AsyncClient, *, base_url: httpx.URL, timeouts: CallTimeouts
    ) -> None:
        self._media = media
        self._base_url = base_url
        self._timeouts = timeouts

    async def download(self, url: str, into: Sink, *, max_bytes: int, expect: Media) -> Downloaded:
        """See TopviewClient.download."""
        doing = f"downloading {bare_url(url)}"
        try:
            return await within(
                self._timeouts.whole, self._download(url, into, max_bytes, expect, doing)
            )
        except asyncio.TimeoutError as error:
            raise classify(Call(Phase.BODY, doing), error) from error

    async def _download(
        self, url: str, into: Sink, max_bytes: int, expect: Media, doing: str
    ) -> Downloaded:
        async with self._opened(url, doing) as response:
            announced = _announced_length(response, doing)
            if announced is not None and announced > max_bytes:
                raise TooLarge(f"{announced} bytes, at most {max_bytes} allowed", doing=doing)
            checks = _Checks(max_bytes, expect, doing)
            async for chunk in _chunks(response, doing):
                await _write(into, checks.passed(chunk))
            if checks.received == 0 or announced not in (None, checks.received):
                raise Incomplete(
                    f"{checks.received} of {announced or 'some'} bytes came", doing=doing
                )
            await _write(into, checks.rest())
            return checks.result()

    @asynccontextmanager
    async def _opened(self, url: str, doing: str) -> AsyncIterator[httpx.Response]:
        """Follow redirects by hand, so that every hop obeys the rule for URLs."""
        target = read_url(url)
        for _ in range(_MOST_REDIRECTS + 1):
            if target is None or not allowed(target, self._base_url):
                raise ForbiddenUrl(
                    f"{bare_url(target or url)} is neither https nor the API's own", doing=doing
                )
            response = await self._get(target, doing)
            try:
                if response.next_request is None:
                    error = classify(
                        Call(Phase.DOWNLOAD, doing), Answer(response.status_code, None)
                    )
                    if error is not None:
                        raise error
                    yield response
                    return
                target = response.next_request.url
            finally:
                await response.aclose()
        raise ForbiddenUrl(f"more than {_MOST_REDIRECTS} redirects", doing=doing)

    async def _get(self, target: httpx.URL, doing: str) -> httpx.Response:
        request = self._media.build_request(
            "GET",
            target,
            # Media gain nothing by encoding, and its length would say nothing about theirs.
            headers={"Accept-Encoding": "identity"},
            timeout=self._timeouts.httpx_timeout(),
        )
        try:
            return await self._media.send(request, stream=True)
        except Exception as broken:
            raise classify(Call(Phase.DOWNLOAD, doing), broken) from broken


class _Checks:
    """Counts, hashes and judges the bytes on their way; holds back the first few until judged."""

    def __init__(self, max_bytes: int, expect: Media, doing: str) -> None:
        self.received = 0
        self._max_bytes = max_bytes
        self._expect = expect
        self._doing = doing
        self._sha256 = hashlib.sha256()
        self._held = b""
        self._type: str | None = None

    def passed(self, chunk: bytes) -> bytes:
        """Take a chunk and return what may be written.

        Raises:
            TooLarge, WrongType: At the first byte that proves it.
        """
        self.received += len(chunk)
        if self.received > self._max_bytes:
            raise TooLarge(f"more than {self._max_bytes} bytes", doing=self._doing)
        self._sha256.update(chunk)
        if self._type is not None:
            return chunk
        self._held += chunk
        return self.rest() if len(self._held) >= HEAD_BYTES else b""

    def rest(self) -> bytes:
        """Judge the type if that is still open, and return the bytes held back for it."""
        held, self._held = self._held, b""
        if self._type is None:
            self._type = media_type(held[:HEAD_BYTES])
            if self._type is None or not self._type.startswith(self._expect):
                found = self._type or f"something that begins with {held[:HEAD_BYTES]!r}"
                raise WrongType(f"expected {self._expect}, got {found}", doing=self._doing)
        return held

    def result(self) -> Downloaded:
        return Downloaded(self.received, self._sha256.hexdigest(), self._type or "")


def _announced_length(response: httpx.Response, doing: str) -> int | None:
    """Return Content-Length; None for a chunked body, which has its own end mark.

    Raises:
        Incomplete: A cut body could not be told from a whole one: it ends with the connection, or
            its announced length is that of an encoding.
    """
    encoding = response.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise Incomplete(f"encoded as {encoding}, its length proves nothing", doing=doing)
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
        raise classify(Call(Phase.BODY, doing), broken) from broken


async def _write(into: Sink, data: bytes) -> None:
    if not data:
        return
    if callable(into):
        await into(data)
    else:
        into.write(data)
