"""Bytes and marks from a web server: one request each, with a limit of bytes and of time."""

import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Final

import httpx

from topview_pipeline.redaction import hide_queries_in_http_logs
from topview_pipeline.sources.errors import SourceError, SourceTimeout
from topview_pipeline.sources.refs import shown

_CONNECT_SECONDS: Final = 10.0


def fetch(
    url: str,
    limit: int,
    *,
    known: str | None,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[bytes, str | None] | None:
    """The body, one byte more than `limit` at most, and its mark.

    Args:
        known: a mark from before; None comes back when the answer is still the same, and its body
            is not downloaded.
        seconds: for the whole of it: a server that gives a byte now and then ends too.
    """
    ends = clock() + seconds
    chunks = bytearray()
    with _asked("GET", url, seconds, _unless_changed(known)) as answer:
        mark = _mark(answer.headers)
        if answer.status_code == httpx.codes.NOT_MODIFIED or (mark is not None and mark == known):
            return None
        _check(answer, url)
        for chunk in answer.iter_bytes():
            chunks += chunk
            if len(chunks) > limit:
                break
            if clock() > ends:
                raise _too_slow(url, seconds)
    return bytes(chunks), mark


def mark(url: str, *, seconds: float) -> str | None:
    """The mark of what the server would give now; None when it has none.

    Asked by GET, whose body is not read: many servers, and every signed address, refuse HEAD.
    """
    with _asked("GET", url, seconds, {}) as answer:
        _check(answer, url)
        return _mark(answer.headers)


@contextmanager
def _asked(
    method: str, url: str, seconds: float, headers: Mapping[str, str]
) -> Iterator[httpx.Response]:
    hide_queries_in_http_logs()
    timeout = httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))
    try:
        with (
            httpx.Client(timeout=timeout, follow_redirects=True, verify=_tls()) as client,
            client.stream(method, url, headers=headers) as answer,
        ):
            yield answer
    except httpx.TimeoutException as error:
        raise _too_slow(url, seconds) from error


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Made once: it takes 20 ms, and a catalogue may have 20,000 photos."""
    return httpx.create_ssl_context()


def _too_slow(url: str, seconds: float) -> SourceTimeout:
    return SourceTimeout(
        f"not answered to the end within {seconds:g} s", shown(url), "Try again later."
    )


def _check(answer: httpx.Response, url: str) -> None:
    if not answer.is_success:
        raise SourceError(
            f"the server answered HTTP {answer.status_code}",
            shown(url),
            "Open the address in a browser; a signed address may have run out.",
        )


def _mark(headers: Mapping[str, str]) -> str | None:
    """An ETag, else the time of the last change with the size."""
    etag = headers.get("etag")
    if etag:
        return f"etag {etag}"
    changed = headers.get("last-modified")
    # The time has whole seconds: a file may change twice in the second of the answer.
    if changed and changed != headers.get("date"):
        return f"changed {changed}"
    return None


def _unless_changed(known: str | None) -> dict[str, str]:
    kind, _, value = (known or "").partition(" ")
    name = {"etag": "If-None-Match", "changed": "If-Modified-Since"}.get(kind)
    return {name: value} if name else {}
