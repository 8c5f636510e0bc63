"""Places for a store's files: a directory of this machine, or what fsspec reaches.

Every failure is a StoreError in words that a person can act on. Not here: names, hashes and what
stands in the files (`store`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import threading
import time
import uuid
import weakref
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit
from urllib.request import url2pathname

from topview_pipeline.errors import PipelineError
from topview_pipeline.text import bare_url, is_url

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_LEFT_BEHIND_SECONDS: Final = 86_400.0  # no download lasts a day: its process has died
_PREFIX: Final = "topview-"
_KEPT_BYTES: Final = 256 * 2**20
"""Of what was just written to a bucket: previews and checks read it from this machine."""
_SIGNED_SECONDS: Final = 7 * 86_400
"""The longest that S3 and Google sign for."""
_OBJECT_STORES: Final[dict[str, str | None]] = {
    **dict.fromkeys(("s3", "s3a"), "ContentType"),
    **dict.fromkeys(("gs", "gcs"), "content_type"),
    **dict.fromkeys(("az", "abfs", "abfss", "memory")),
}
"""Protocols without folders, each with the option by which its library takes a media type."""


class StoreError(PipelineError):
    """The store cannot take or give a file."""


@contextlib.contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A path to write to, which becomes the target once all is written. Raises OSError."""
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


class LocalBackend:
    """A directory. A file appears by an atomic rename, once its bytes are on the disk.

    Paths are relative to the root, with `/`; all methods raise StoreError. `location` is the root
    for people, without credentials.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.expanduser().absolute()
        self.location = str(self._root)

    def incoming(self) -> contextlib.AbstractContextManager[Path]:
        """Give an empty local file, removed at the end unless `put` took it."""
        # Inside the root: a rename is atomic only within one file system.
        return _incoming_file(self._root / ".incoming", mode=0o666)

    def size(self, path: str) -> int | None:
        """Return the bytes of a file, None when there is none."""
        with explained("cannot be read", self.location):
            try:
                return (self._root / path).stat().st_size
            except FileNotFoundError:
                # A store that is not mounted has lost nothing: "gone" would fetch it all again.
                if not self._root.is_dir():
                    raise
                return None

    def read(self, path: str) -> bytes | None:
        """Return all of a file by one request, None when it or the whole root is not there."""
        where = str(self._root / path)
        with explained("cannot be read", where), contextlib.suppress(FileNotFoundError):
            return (self._root / path).read_bytes()
        return None

    @contextlib.contextmanager
    def local_copy(self, path: str) -> Iterator[Path]:
        """Give a local file to read: the file itself, or a copy that is removed at the end."""
        file = self._root / path
        with explained("cannot be read", str(file)):
            file.stat()
        yield file

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder; none when there is no such folder."""
        where = str(self._root / folder)
        with explained("cannot be listed", where), contextlib.suppress(FileNotFoundError):
            return os.listdir(self._root / folder)
        return []

    def put(self, incoming: Path, path: str, media_type: str) -> None:  # noqa: ARG002 - no place
        """Make a file from `incoming()` the one at `path`, whole or not at all."""
        target = self._root / path
        with explained("cannot be written", str(target)):
            _flush(incoming)
            is_new = not target.parent.is_dir()
            target.parent.mkdir(parents=True, exist_ok=True)
            incoming.replace(target)
            for folder in target.parents if is_new else [target.parent]:
                if folder.is_relative_to(self._root):
                    _flush(folder)

    def write(self, path: str, data: bytes, media_type: str) -> None:
        """Make these bytes the file at `path`, whole or not at all."""
        with self.incoming() as incoming:
            with explained("cannot be written", str(incoming)):
                incoming.write_bytes(data)
            self.put(incoming, path, media_type)

    def write_new(self, path: str, data: bytes, media_type: str) -> None:
        """Write a file unless there is one. Of two writers at the same moment one may lose."""
        target = self._root / path
        with self.incoming() as incoming, explained("cannot be written", str(target)):
            incoming.write_bytes(data)
            _flush(incoming)
            try:
                os.link(incoming, target)  # the one call that makes a whole file or refuses
            except FileExistsError:
                return
            except OSError:  # a file system without links
                if not target.exists():
                    self.put(incoming, path, media_type)

    def local(self, path: str) -> Path | None:
        """Return the file's path on this machine, None when it lies elsewhere."""
        return self._root / path

    def address(self, path: str) -> str:
        """Return the file's URL, without credentials."""
        return (self._root / path).as_uri()

    def link(self, path: str) -> str:
        """Return a URL for a browser: of a bucket a signed one, good for a week at most."""
        return self.address(path)


class FsspecBackend:
    """A bucket, or another place that fsspec reaches; the methods are those of LocalBackend."""

    def __init__(self, location: str) -> None:
        self.location = bare_url(location).rstrip("/")
        # Together 0.1 s with fsspec, which a local store never needs.
        from upath import UPath

        with explained("cannot be opened", self.location):
            # Without it S3's links are signed in a way that new regions refuse.
            is_s3 = location.startswith(("s3:", "s3a:"))
            options: Any = {"config_kwargs": {"signature_version": "s3v4"}} if is_s3 else {}
            root = UPath(location, **options)
            self._fs: Any = root.fs
        self._root = root.path.rstrip("/")
        self._has_folders = root.protocol not in _OBJECT_STORES
        self._media_type = _OBJECT_STORES.get(root.protocol)
        self._recent = _RecentFiles()

    def incoming(self, suffix: str = "") -> contextlib.AbstractContextManager[Path]:
        # In the machine's temporary folder, which others can read.
        return _incoming_file(Path(tempfile.gettempdir()), suffix, mode=0o600)

    def size(self, path: str) -> int | None:
        key = self._key(path)
        with explained("cannot be read", self.address(path)):
            self._fs.invalidate_cache(key)  # another process may have written it since
            with contextlib.suppress(FileNotFoundError):
                return int(self._fs.info(key)["size"])
        return None

    def read(self, path: str) -> bytes | None:
        where = self.address(path)
        with self._recent.linked(path) as recent:
            if recent is not None:
                return recent.read_bytes()
        with explained("cannot be read", where), contextlib.suppress(FileNotFoundError):
            # Without a start, s3fs first asks for the size by a request of its own.
            return bytes(self._fs.cat_file(self._key(path), start=0))
        return None

    @contextlib.contextmanager
    def local_copy(self, path: str) -> Iterator[Path]:
        with self._recent.linked(path) as recent:
            if recent is not None:
                yield recent
                return
        with self.incoming(suffix=PurePosixPath(path).suffix) as copy:
            with explained("cannot be read", self.address(path)):
                self._fs.get_file(self._key(path), str(copy))
            self._recent.add(path, copy)
            yield copy

    def names(self, folder: str) -> list[str]:
        key = self._key(folder)
        with explained("cannot be listed", self.address(folder)):
            self._fs.invalidate_cache(key)
            with contextlib.suppress(FileNotFoundError):
                return [str(name).rpartition("/")[2] for name in self._fs.ls(key, detail=False)]
        return []

    def put(self, incoming: Path, path: str, media_type: str) -> None:
        with self._writing(path):
            self._fs.put_file(str(incoming), self._key(path), **self._options(media_type))
        self._recent.add(path, incoming)

    def write(self, path: str, data: bytes, media_type: str) -> None:
        with self._writing(path):
            self._fs.pipe_file(self._key(path), data, **self._options(media_type))

    def write_new(self, path: str, data: bytes, media_type: str) -> None:
        try:
            self._fs.pipe_file(self._key(path), data, mode="create", **self._options(media_type))
        except FileExistsError:
            return
        except Exception:  # noqa: BLE001 - not every place can refuse to overwrite
            if self.size(path) is None:
                self.write(path, data, media_type)

    def local(self, path: str) -> Path | None:  # noqa: ARG002 - a remote file has no local path
        return None

    def address(self, path: str) -> str:
        return f"{self.location}/{path}"

    def link(self, path: str) -> str:
        # Signing asks no server. Not every place and not every credential can.
        with contextlib.suppress(Exception):
            return str(self._fs.sign(self._key(path), expiration=_SIGNED_SECONDS))
        return self.address(path)

    def _options(self, media_type: str) -> dict[str, str]:
        return {self._media_type: media_type} if self._media_type else {}

    def _key(self, path: str) -> str:
        return f"{self._root}/{path}"

    @contextlib.contextmanager
    def _writing(self, path: str) -> Iterator[None]:
        """Surround the one request of a write. Folders are made first, a bucket never."""
        with explained("cannot be written", self.address(path)):
            if self._has_folders:
                self._fs.makedirs(self._key(path).rpartition("/")[0], exist_ok=True)
            yield


class _RecentFiles:
    """Local copies of a bucket's files, as links, so that a reader keeps what is given up."""

    def __init__(self) -> None:
        self._files: dict[str, Path] = {}  # the oldest first
        self._bytes = 0
        self._lock = threading.Lock()
        weakref.finalize(self, _unlink, self._files)

    def add(self, path: str, file: Path) -> None:
        """Remember a file; the oldest are forgotten for it."""
        size = file.stat().st_size
        mine = _temporary(PurePosixPath(path).suffix)
        with self._lock, contextlib.suppress(OSError):  # a file system without links
            os.link(file, mine)
            self._forget(path)
            self._files[path] = mine
            self._bytes += size
            while self._bytes > _KEPT_BYTES:
                self._forget(next(iter(self._files)))

    @contextlib.contextmanager
    def linked(self, path: str) -> Iterator[Path | None]:
        """Give a file to read; None when it is not here."""
        mine = _temporary(PurePosixPath(path).suffix)
        is_here = False
        with self._lock, contextlib.suppress(KeyError, OSError):
            os.link(self._files[path], mine)
            is_here = True
        try:
            yield mine if is_here else None
        finally:
            mine.unlink(missing_ok=True)

    def _forget(self, path: str) -> None:
        if (file := self._files.pop(path, None)) is not None:
            with contextlib.suppress(FileNotFoundError):
                self._bytes -= file.stat().st_size
                file.unlink()


def _unlink(files: dict[str, Path]) -> None:
    for file in files.values():
        file.unlink(missing_ok=True)


def _temporary(suffix: str = "", folder: Path | None = None) -> Path:
    """A new name, which `_sweep` knows."""
    name = f"{_PREFIX}{uuid.uuid4().hex}.part{suffix}"
    return (folder or Path(tempfile.gettempdir())) / name


Backend: TypeAlias = LocalBackend | FsspecBackend


def open_backend(location: str) -> Backend:
    """Return the place that a path or URL names. StoreError: nothing installed reaches it."""
    if not is_url(location):
        return LocalBackend(Path(location))
    if location[:5].lower() == "file:":
        return LocalBackend(Path(url2pathname(urlsplit(location).path)))
    return FsspecBackend(location)


@contextlib.contextmanager
def explained(what: str, where: str) -> Iterator[None]:
    """Raise any failure as a StoreError that names the way out."""
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        raise _store_error(error, what, where) from error
    except ImportError as error:
        raise StoreError(str(error), where, "Install the package that it names.") from error
    except Exception as error:  # fsspec's file systems raise what their vendors' libraries raise
        fix = "Check TOPVIEW_STORE and the credentials of that storage."
        raise StoreError(f"{what} ({type(error).__name__})", where, fix) from error


def _store_error(error: OSError, what: str, where: str) -> StoreError:
    if error.errno in _FULL:
        fix = "Free space, or let TOPVIEW_STORE name another place."
        return StoreError("the disk is full", where, fix)
    if error.errno in _FORBIDDEN or isinstance(error, PermissionError):
        fix = "Let this user list, read and write there, or change TOPVIEW_STORE."
        return StoreError(f"{what}: not allowed", where, fix)
    is_missing = isinstance(error, FileNotFoundError)
    reason = error.strerror or ("no such file or bucket" if is_missing else type(error).__name__)
    fix = "Check that TOPVIEW_STORE, or else TOPVIEW_HOME, is right and can be reached."
    return StoreError(f"{what}: {reason}", where, fix)


@contextlib.contextmanager
def _incoming_file(folder: Path, suffix: str = "", *, mode: int) -> Iterator[Path]:
    """Give a new empty file, with the permissions that the umask leaves of `mode`."""
    _sweep(folder)
    path = _temporary(suffix, folder)
    with explained("cannot be written", str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


@lru_cache(maxsize=64)
def _sweep(folder: Path) -> None:
    """Once a process, remove incoming files that a dead process left behind."""
    for path in folder.glob(f"{_PREFIX}*.part*"):
        with contextlib.suppress(OSError):  # another process sweeps too, or it is another user's
            if path.stat().st_mtime < time.time() - _LEFT_BEHIND_SECONDS:
                path.unlink()


def _flush(path: Path) -> None:
    """Have the file's bytes, or the folder's names, on the disk."""
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
