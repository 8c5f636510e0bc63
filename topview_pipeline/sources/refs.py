"""What a person wrote down to name bytes: a path, an http(s) URL or an fsspec URL (`s3://...`).

Here: telling them apart, resolving a relative one, showing one without its secrets. Not here:
getting the bytes (`reading`).
"""

import os
import re
from functools import lru_cache
from pathlib import Path
from urllib.parse import urljoin, urlsplit, urlunsplit
from urllib.request import url2pathname

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # two letters at least: `C:/x` is a path


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
        here = "" if base.is_absolute() else os.getcwd()
        return os.path.join(_folder(base, here), ref)
    if is_http(beside):
        return urljoin(beside, ref)
    return os.path.dirname(shown(beside)) + "/" + ref


@lru_cache(maxsize=8)
def _folder(path: Path, working_directory: str) -> str:
    """A file's folder, absolute. Remembered, for all rows of a catalogue ask for the same one."""
    return str(Path(working_directory, path).parent)


def is_http(ref: str) -> bool:
    """Whether `ref` is an http or https URL."""
    return ref[:8].lower().startswith(("http://", "https://"))


def host_of(ref: str) -> str:
    """The host that answers for a URL, '' for a file of this machine."""
    return urlsplit(ref).netloc.rpartition("@")[2].lower() if is_url(ref) else ""
