"""The bytes behind a reference, with a limit of size; and marks, which tell whether they changed.

A mark is a short text that differs when the bytes do: size and time of a file, the ETag or
Last-Modified of a web server, what an fsspec file system says of the object.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from topview_pipeline.redaction import without_queries
from topview_pipeline.sources.errors import SourceError
from topview_pipeline.sources.refs import is_http, local_path, shown

_SECONDS: Final = 60.0
_TELLING: Final = frozenset(
    {
        *("etag", "md5", "md5hash", "content_md5", "contentmd5", "crc32c", "checksum"),
        *("mtime", "modified", "lastmodified", "last_modified", "timemodified", "updated"),
        *("created", "generation"),
    }
)
"""What an fsspec file system may say of an object that differs when its bytes do."""


@dataclass(frozen=True, slots=True)
class Content:
    """All bytes, and their mark; None where nothing tells whether they changed."""

    data: bytes
    mark: str | None


def read_limited(ref: str, limit: int) -> bytes:
    """All bytes of `ref`, at most `limit` of them.

    Raises SourceError: missing, not readable, not answered with success, longer than `limit`.
    """
    content = read_changed(ref, limit, None)
    if content is None:  # nothing was known of it; this narrows the type
        raise SourceError("no bytes came", shown(ref), "Try again.")
    return content.data


def read_changed(
    ref: str, limit: int, known: str | None, *, seconds: float = _SECONDS
) -> Content | None:
    """The bytes with their mark, or None when they still have the mark `known`.

    Args:
        limit: most bytes.
        seconds: most time that a web server gets for all of it.

    Raises SourceError: missing, not readable, not answered with success, longer than `limit`;
    SourceTimeout: not answered in time.
    """
    with _told(ref):
        found = _read(ref, limit, known, seconds)
    if found is not None and len(found.data) > limit:
        raise SourceError(f"larger than {limit / 2**20:g} MiB", shown(ref), "Use a smaller file.")
    return found


def mark_of(ref: str, *, seconds: float = _SECONDS) -> str | None:
    """The mark of `ref` now, without reading it; None when it has none.

    Raises SourceError: missing, or not answered with success; SourceTimeout: not in time.
    """
    with _told(ref):
        path = local_path(ref)
        if path is not None:
            return file_mark(path.stat())
        if is_http(ref):
            from topview_pipeline.sources import http

            return http.mark(ref, seconds=seconds)
        return _object_mark(_upath(ref))


def file_mark(stat: os.stat_result) -> str:
    """The mark of a file: its size, and its time in nanoseconds."""
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _read(ref: str, limit: int, known: str | None, seconds: float) -> Content | None:
    path = local_path(ref)
    if path is not None:
        return _read_local(path, limit, known)
    if is_http(ref):
        # httpx takes 0.1 s, which most runs over local files never need.
        from topview_pipeline.sources import http

        fetched = http.fetch(ref, limit, known=known, seconds=seconds)
        return None if fetched is None else Content(*fetched)
    upath = _upath(ref)
    mark = _object_mark(upath)
    if mark is not None and mark == known:
        return None
    with upath.open("rb") as file:
        data = file.read(limit + 1)
    # What changed while it was read has no mark: it is read again the next time.
    return Content(data, mark if mark == _object_mark(_upath(ref)) else None)


def _read_local(path: Path, limit: int, known: str | None) -> Content | None:
    if path.exists() and not (path.is_file() or path.is_dir()):
        # A pipe would block the reader, a device has no end.
        raise SourceError("not an ordinary file", str(path), "Name an ordinary file.")
    with path.open("rb") as file:
        before = file_mark(os.fstat(file.fileno()))
        if before == known:
            return None
        data = file.read(limit + 1)
        after = file_mark(os.fstat(file.fileno()))
    return Content(data, before if before == after else None)


def _upath(ref: str) -> Any:
    from upath import UPath  # 0.1 s with fsspec, which most catalogues never need

    return UPath(ref)


def _object_mark(path: Any) -> str | None:
    path.fs.invalidate_cache()  # some file systems remember a folder's listing
    told = path.fs.info(path.path)
    telling = {
        name: str(value)
        for name, value in told.items()
        if name.replace("-", "_").lower() in _TELLING and value is not None
    }
    if not telling:
        return None
    text = repr((told.get("size"), sorted(telling.items())))
    return f"object {hashlib.sha256(text.encode()).hexdigest()}"


@contextmanager
def _told(ref: str) -> Iterator[None]:
    """Whatever goes wrong is a SourceError that says how to mend it."""
    try:
        yield
    except SourceError:
        raise
    except FileNotFoundError as error:
        raise SourceError("no such file", shown(ref), "Check the path.") from error
    except IsADirectoryError as error:
        raise SourceError("this is a folder", shown(ref), "Name a file in it.") from error
    except PermissionError as error:
        raise SourceError("not allowed to read it", shown(ref), "Check its permissions.") from error
    except ImportError as error:
        raise SourceError(
            f"no package here reads such URLs ({error})", shown(ref), "Install the one it names."
        ) from error
    except Exception as error:
        # fsspec's file systems raise what their vendors' libraries raise: no common class.
        raise SourceError(
            f"cannot be read ({type(error).__name__}: {_first_line(error, ref)})",
            shown(ref),
            "Check the address and that it can be reached from here.",
        ) from error


def _first_line(error: Exception, ref: str) -> str:
    line = next(iter(str(error).splitlines()), "")
    return without_queries(line.replace(ref, shown(ref)))[:200]
