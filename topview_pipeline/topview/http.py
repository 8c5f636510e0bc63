"""HTTP to Topview: timeouts, and the connections with exchanges, retries and pages.

Not here: endpoints (`client`), the verdict on an answer (`envelope`), files (`transfers`).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel

from topview_pipeline.text import forms_of, hide_queries_in_http_logs
from topview_pipeline.topview.envelope import (
    Answer,
    Call,
    classify,
    classify_exception,
    parse_result,
    read_answer,
)
from topview_pipeline.topview.errors import NotTopview, Unavailable, UploadUnavailable
from topview_pipeline.topview.models import Page

_T = TypeVar("_T")
_Model = TypeVar("_Model", bound=BaseModel)

Params = Mapping[str, str | int]
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


def read_url(text: str) -> httpx.URL | None:
    """Return `text` as a URL, or None when it is none."""
    try:
        return httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        return None


_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_FRESH = httpx.Limits(max_keepalive_connections=0)
_KEPT = httpx.Limits(max_keepalive_connections=50, max_connections=200, keepalive_expiry=30.0)
_ATTEMPTS = 4
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_PAGE_SIZE = 100


class Connections:
    """The httpx clients of one TopviewClient. None follows redirects.

    Submits get a fresh connection each: one that the server has closed in the meantime looks like a
    lost answer, and a lost answer blocks paid work. Reads keep connections alive. Media (storage
    PUTs and downloads) carry no API headers; signed storage URLs refuse them.

    Attributes:
        media: The client for storage.
        server_time: Topview's own clock at its last answer to a read; None when it did not say.
    """

    def __init__(
        self,
        *,
        base_url: str,
        uid: str,
        api_key: str,
        timeouts: Timeouts,
        transport: httpx.AsyncBaseTransport | None,
        media_transport: httpx.AsyncBaseTransport | None,
        sleep: Sleep,
        on_answer: OnAnswer | None,
    ) -> None:
        self._base = base = httpx.URL(base_url)
        is_outside = base.host not in _LOOPBACK
        if is_outside and base.scheme != "https":
            raise ValueError(f"it must be https, not {base_url!r}: the API key would be readable")
        hide_queries_in_http_logs()
        # Proxies of the environment are for the world outside, not for a sandbox on this machine.
        verify = httpx.create_ssl_context(trust_env=is_outside)
        common: dict[str, Any] = {"verify": verify, "trust_env": is_outside}
        self.media = httpx.AsyncClient(limits=_KEPT, transport=media_transport, **common)
        headers = {"Topview-Uid": uid, "Authorization": f"Bearer {api_key}"}
        common |= {"base_url": base, "headers": headers, "transport": transport}
        common |= {"event_hooks": {"response": [] if on_answer is None else [on_answer]}}
        self._submits = httpx.AsyncClient(limits=_FRESH, **common)
        self._reads = httpx.AsyncClient(limits=_KEPT, **common)
        self.timeouts = timeouts
        self.server_time: datetime | None = None
        self._secrets = forms_of(api_key)
        self._sleep = sleep

    async def close(self) -> None:
        """Close all clients."""
        for http in (self._submits, self._reads, self.media):
            await http.aclose()

    def allows(self, url: httpx.URL) -> bool:
        """Return True when media may travel to or from `url`: https, or the base's own origin."""
        base = self._base
        is_own = (url.scheme, url.host, url.port) == (base.scheme, base.host, base.port)
        return bool(url.host) and (url.scheme == "https" or is_own)

    async def post(self, call: Call, path: str, body: Mapping[str, Any]) -> Answer:
        """Submit once. See `_exchange`."""
        limits = self.timeouts.submit
        return await self._exchange(call, self._submits, limits, "POST", path, json=body)

    async def get(self, call: Call, path: str, params: Params) -> Answer:
        """Read once. See `_exchange`."""
        limits = self.timeouts.query
        answer = await self._exchange(call, self._reads, limits, "GET", path, params=params)
        self.server_time = answer.date
        return answer

    async def put(self, call: Call, url: httpx.URL, data: bytes) -> None:
        """Put a file to storage once. See `_exchange`."""
        await self._exchange(call, self.media, self.timeouts.upload, "PUT", url, content=data)

    async def retry(self, step: Callable[[], Awaitable[_T]]) -> _T:
        """Run an idempotent step up to four times. Never used for a submit.

        It is repeated after Unavailable, UploadUnavailable and NotTopview: one odd page of a
        gateway does not prove a wrong base URL. The pauses are 0.5, 1 and 2 seconds, or what the
        server asked for up to 30 seconds.

        Raises:
            TopviewError: The last attempt's error, or at once one that no repetition helps against.
        """
        for attempt in range(_ATTEMPTS - 1):
            try:
                return await step()
            except (Unavailable, UploadUnavailable, NotTopview) as error:
                pause = max(error.retry_after or 0.0, _FIRST_PAUSE * 2.0**attempt)
                await self._sleep(min(pause, _LONGEST_PAUSE))
        return await step()

    async def read(self, call: Call, path: str, params: Params, model: type[_Model]) -> _Model:
        """Read an object, a few times if need be. Raises as the phase of `call` does."""

        async def once() -> _Model:
            return parse_result(call, (await self.get(call, path, params)).result, model)

        return await self.retry(once)

    async def read_pages(
        self, call: Call, path: str, params: Params, model: type[_Model]
    ) -> AsyncIterator[_Model]:
        """Yield the entries of all pages of a list.

        It ends when `total` entries were seen, or with an empty page. A short page is no end: a
        server may give fewer than it was asked for. New entries that push older ones to the next
        page meanwhile make duplicates, never gaps.

        Raises:
            QueryError: The rest could not be read. Unavailable also when a page is the same as the
                one before: the server ignores the page number.
        """
        seen, number, before = 0, 1, None
        while True:
            paging = {"pageSize": _PAGE_SIZE, "pageNo": number}
            page = await self.read(call, path, {**params, **paging}, Page)
            entries = page.data or []
            if entries and entries == before:
                raise Unavailable(f"page {number} repeats page {number - 1}", doing=call.doing)
            for entry in entries:
                yield parse_result(call, entry, model)
            seen += len(entries)
            if not entries or (page.total is not None and seen >= page.total):
                return
            number, before = number + 1, entries

    async def _exchange(
        self,
        call: Call,
        http: httpx.AsyncClient,
        limits: CallTimeouts,
        method: str,
        url: httpx.URL | str,
        **content: Any,
    ) -> Answer:
        """Send a request once and return a good answer.

        Raises:
            TopviewError: As classify() decides. Cancellation passes through: who cancels a
                submit must take it for a lost answer.
        """
        request = http.build_request(method, url, timeout=limits.httpx_timeout(), **content)
        try:
            response = await within(limits.whole, http.send(request))
        except Exception as broken:
            # The request may have left; classify() knows which exceptions prove that it did not.
            raise classify_exception(call, broken) from broken
        answer = read_answer(response, hide=self._secrets)
        error = classify(call, answer)
        if error is not None:
            raise error
        return answer
