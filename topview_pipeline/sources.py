"""Bytes from what a person wrote down: a path, an http(s) URL or an fsspec URL (`s3://...`).

Here: reading with a size limit, resolving a relative reference, showing a reference without its
secrets. Not here: what the bytes mean (`catalogue`, `inputs`).
"""

import os
import re
from pathlib import Path
from urllib.parse import urljoin, urlsplit, urlunsplit
from urllib.request import url2pathname

import httpx

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # two letters at least: `C:/x` is a path
_TIMEOUT = httpx.Timeout(60.0, connect=10.0)


class SourceError(ValueError):
    """A reference that gives no bytes: what is wrong, where, and how to mend it."""

    def __init__(self, what: str, where: str, mend: str) -> None:
        super().__init__(f"{where}: {what}. {mend}")
        self.what, self.where, self.mend = what, where, mend


def is_url(ref: str) -> bool:
    """Whether `ref` is a URL; everything else is a path of this machine."""
    return _SCHEME.match(ref) is not None


def local_path(ref: str) -> Path | None:
    """The file that `ref` names on this machine, by path or `file:` URL; None for another URL."""
    if not is_url(ref):
        return Path(ref)
    parts = urlsplit(ref)
    return Path(url2pathname(parts.path)) if parts.scheme.lower() == "file" else None


def shown(ref: str) -> str:
    """`ref` as it may stand in a log: without query, fragment, user and password."""
    if not is_url(ref):
        return ref
    try:
        parts = urlsplit(ref)
    except ValueError:
        return ref.partition("?")[0]
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def resolved(ref: str, beside: str) -> str:
    """`ref` as seen from the file `beside`: an absolute path or URL stays what it is.

    The query of `beside` does not carry over: a signature is for one object. ValueError when `ref`
    is a malformed URL.
    """
    if is_url(ref):
        urlsplit(ref)
        return ref
    if os.path.isabs(ref):
        return ref
    base = local_path(beside)
    if base is not None:
        return str(base.absolute().parent / ref)
    if _is_http(beside):
        return urljoin(beside, ref)
    return os.path.dirname(shown(beside)) + "/" + ref


def read_limited(ref: str, limit: int) -> bytes:
    """All bytes of `ref`, at most `limit` of them.

    Raises SourceError: missing, not readable, not answered with success, longer than `limit`.
    """
    try:
        path = local_path(ref)
        if path is not None:
            data = _read_local(path, limit)
        elif _is_http(ref):
            data = _read_http(ref, limit)
        else:
            from upath import UPath  # 0.1 s with fsspec, which most catalogues never need

            with UPath(ref).open("rb") as file:
                data = file.read(limit + 1)
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
    if len(data) > limit:
        raise SourceError(f"larger than {limit / 2**20:g} MiB", shown(ref), "Use a smaller file.")
    return data


def _read_local(path: Path, limit: int) -> bytes:
    if path.exists() and not (path.is_file() or path.is_dir()):
        # A pipe would block the reader, a device has no end.
        raise SourceError("not an ordinary file", str(path), "Name an ordinary file.")
    with path.open("rb") as file:
        return file.read(limit + 1)


def _is_http(ref: str) -> bool:
    return ref[:8].lower().startswith(("http://", "https://"))


def _read_http(url: str, limit: int) -> bytes:
    chunks = bytearray()
    with (
        httpx.Client(timeout=_TIMEOUT, follow_redirects=True) as client,
        client.stream("GET", url) as answer,
    ):
        if not answer.is_success:
            raise SourceError(
                f"the server answered HTTP {answer.status_code}",
                shown(url),
                "Open the address in a browser; a signed address may have run out.",
            )
        for chunk in answer.iter_bytes():
            chunks += chunk
            if len(chunks) > limit:
                break
    return bytes(chunks)


def _first_line(error: Exception, ref: str) -> str:
    line = next(iter(str(error).splitlines()), "")
    return line.replace(ref, shown(ref))[:200]
