"""References to bytes: a path, an http(s) URL or an fsspec URL (`s3://...`), as a person wrote it.

Bytes are read with a limit of size and time. A mark is a short text that differs when the bytes
do: size and times of a file, ETag or Last-Modified of a web server, an object store's own fields.
Not here: the meaning of the bytes (`rows`, `files`).
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit
from urllib.request import url2pathname

from topview_pipeline.errors import PipelineError
from topview_pipeline.text import bare_url, hide_queries_in_http_logs, is_url, without_queries

if TYPE_CHECKING:
    import httpx

_SECONDS = 60.0
_SILENT_SECONDS = 20.0
"""The longest wait for the next byte."""
_CONNECT_SECONDS = 10.0
_OBJECT_FIELDS: Final = frozenset(
    {
        *("etag", "md5", "md5hash", "content_md5", "contentmd5", "crc32c", "checksum"),
        *("mtime", "modified", "lastmodified", "last_modified", "timemodified", "updated"),
        *("created", "generation"),
    }
)
"""Fields of an fsspec file system's answer that differ when an object's bytes do."""


VERSION: Final = "#image_version="
"""Between a URL and the catalogue's own word for the bytes behind it: no server gets to see it."""


class InputError(PipelineError):
    """A path or URL gives no bytes, or bytes that cannot be used."""


def is_local(ref: str) -> bool:
    """True if `ref` names a file of this machine."""
    return not is_url(ref) or ref[:5].lower() == "file:"


def local_path(ref: str) -> Path | None:
    """The file of this machine that a path or `file:` URL names; None for another URL."""
    if not is_local(ref):
        return None
    return Path(url2pathname(urlsplit(ref).path) if is_url(ref) else ref)


def shown(ref: str) -> str:
    """`ref` as it may stand in a log: without query, fragment, user and password."""
    if not is_url(ref):
        return ref
    # In an object store `#` is part of a key.
    key = "" if is_http(ref) else ref.partition(VERSION)[0].partition("#")[2].partition("?")[0]
    return bare_url(ref) + (f"#{key}" if key else "")


def host_of(ref: str) -> str:
    """The host that answers for a URL; empty for a file of this machine."""
    return urlsplit(shown(ref)).netloc.lower() if is_url(ref) else ""


def resolved(ref: str, beside: str) -> str:
    """`ref` as seen from the file `beside`: an absolute path or URL stays as it is.

    The query of `beside` does not carry over: a signature is for one object. Raises ValueError for
    a malformed URL.
    """
    if is_url(ref):
        urlsplit(ref)
        return ref
    if os.path.isabs(ref):
        return ref
    folder = _local_folder(beside) if os.path.isabs(beside) else _local_folder.__wrapped__(beside)
    if folder is not None:
        return os.path.join(folder, ref)
    if is_http(beside):
        return urljoin(beside, ref)
    return os.path.dirname(shown(beside)) + "/" + ref


@lru_cache(maxsize=16)  # a catalogue asks for each of its references
def _local_folder(beside: str) -> str | None:
    """The folder of a file of this machine; None for a URL. Of a relative path it may change."""
    base = local_path(beside)
    return None if base is None else os.path.dirname(os.path.abspath(base))


def is_http(ref: str) -> bool:
    """True for a URL of the web, in which `#` ends the address."""
    return ref[:8].lower().startswith(("http://", "https://"))


@dataclass(frozen=True, slots=True)
class Content:
    """All bytes, with the mark from before they were read; None where nothing shows a change.

    `is_unchanged`: they still have the mark that the caller knew, and were not read.
    """

    data: bytes
    mark: str | None
    is_unchanged: bool = False


def read(ref: str, limit: int, *, known: str | None = None) -> Content:
    """Read the bytes of `ref`, unless a server says that they still have the mark `known`.

    Raises:
        InputError: Missing, not readable, refused by the server, or more than `limit` bytes; a web
            server sent nothing for 20 s, or not all of them in a minute.
    """
    with _plain_errors(ref):
        path = local_path(ref)
        if path is not None:
            found = _read_file(path, limit)
        elif is_http(ref):
            found = _read_http(ref, limit, known)
        else:
            found = _read_object(ref, limit, known)
    if len(found.data) > limit:
        raise InputError(f"larger than {limit / 2**20:g} MiB", shown(ref), "Use a smaller file.")
    return found


def mark_of(ref: str) -> str | None:
    """The mark of `ref` now, without reading it; None when it has none. Raises as `read`."""
    with _plain_errors(ref):
        path = local_path(ref)
        if path is not None:
            return file_mark(path.stat())
        if not is_http(ref):
            return _object(ref)[1]
        # By GET, whose body is not read: many servers, and every signed address, refuse HEAD.
        with _http_get(ref, {}) as answer:
            return _http_mark(answer.headers)


def file_mark(stat: os.stat_result) -> str:
    """The mark of a file: its size and times. Nobody can set the last: `cp -p` keeps the other."""
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"


def _read_file(path: Path, limit: int) -> Content:
    if path.exists() and not (path.is_file() or path.is_dir()):
        # A pipe would block the reader, a device has no end.
        raise InputError("not an ordinary file", str(path), "Name an ordinary file.")
    with path.open("rb") as file:
        mark = file_mark(os.fstat(file.fileno()))
        return Content(file.read(limit + 1), mark)


def _read_object(ref: str, limit: int, known: str | None) -> Content:
    path, mark = _object(ref)
    if mark is not None and mark == known:
        return Content(b"", mark, is_unchanged=True)
    with path.open("rb") as file:
        return Content(file.read(limit + 1), mark)


def _object(ref: str) -> tuple[Any, str | None]:
    """Return what an fsspec URL leads to, and its mark."""
    from upath import UPath  # 0.1 s with fsspec, which most catalogues never need

    path: Any = UPath(ref.partition(VERSION)[0])
    path.fs.invalidate_cache()  # some file systems remember a folder's listing
    info = path.fs.info(path.path)
    fields = sorted(
        (name, str(value))
        for name, value in info.items()
        if name.replace("-", "_").lower() in _OBJECT_FIELDS and value is not None
    )
    digest = hashlib.sha256(repr((info.get("size"), fields)).encode()).hexdigest()
    return path, f"object {digest}" if fields else None


def _read_http(url: str, limit: int, known: str | None) -> Content:
    """One request. The time is for all of it: a server that gives a byte now and then ends too."""
    ends = time.monotonic() + _SECONDS
    kind, _, value = (known or "").partition(" ")
    header = {"etag": "If-None-Match", "changed": "If-Modified-Since"}.get(kind)
    chunks = bytearray()
    with _http_get(url, {header: value} if header else {}) as answer:
        mark = _http_mark(answer.headers)
        if known and (answer.status_code == 304 or mark == known):
            return Content(b"", known, is_unchanged=True)
        for chunk in answer.iter_bytes():
            chunks += chunk
            if len(chunks) > limit:
                break
            if time.monotonic() > ends:
                raise _too_slow(url, f"the answer was not complete within {_SECONDS:g} s")
    return Content(bytes(chunks), mark)


@contextmanager
def _http_get(url: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
    import httpx  # 0.1 s, which most runs over local files never need

    silent = min(_SECONDS, _SILENT_SECONDS)
    timeout = httpx.Timeout(silent, connect=min(silent, _CONNECT_SECONDS))
    try:
        with _http().stream("GET", url, headers=headers, timeout=timeout) as answer:
            if not (answer.is_success or answer.status_code == 304):
                what = f"the server answered HTTP {answer.status_code}"
                fix = "Open the address in a browser; a signed address may have expired."
                raise InputError(what, shown(url), fix)
            yield answer
    except httpx.ConnectTimeout as error:
        raise _too_slow(url, f"no connection within {timeout.connect:g} s") from error
    except httpx.TimeoutException as error:
        raise _too_slow(url, f"the server sent nothing for {silent:g} s") from error


@lru_cache(maxsize=1)
def _http() -> httpx.Client:
    """One client for all: a catalogue may have 20,000 photos on one host."""
    import httpx

    hide_queries_in_http_logs()
    # Those that hang must not keep the others from a connection; `threads` limits them.
    limits = httpx.Limits(max_connections=None)
    return httpx.Client(follow_redirects=True, limits=limits, http2=find_spec("h2") is not None)


def _too_slow(url: str, what: str) -> InputError:
    return InputError(what, shown(url), "Open it in a browser; run again when it answers.")


def _http_mark(headers: Mapping[str, str]) -> str | None:
    """The ETag, else the time of the last change."""
    if etag := headers.get("etag"):
        return f"etag {etag}"
    changed = headers.get("last-modified")
    # The time has whole seconds: a file may change twice in the second of the answer.
    return f"changed {changed}" if changed and changed != headers.get("date") else None


@contextmanager
def _plain_errors(ref: str) -> Iterator[None]:
    """Turn everything that goes wrong into an InputError."""
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError("no such file", shown(ref), "Check the path.") from error
    except IsADirectoryError as error:
        raise InputError("this is a folder", shown(ref), "Name a file in it.") from error
    except ImportError as error:
        what = f"no package here reads such URLs ({error})"
        raise InputError(
            what, shown(ref), "Install the package that this message names."
        ) from error
    except Exception as error:
        # fsspec's file systems raise what their vendors' libraries raise: no common class.
        line = next(iter(str(error).splitlines()), "").replace(ref, shown(ref))
        what = f"cannot be read ({type(error).__name__}: {without_queries(line)[:200]})"
        fix = "Check the address, and that it can be reached and read from here."
        raise InputError(what, shown(ref), fix) from error
