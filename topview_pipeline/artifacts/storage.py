"""What a place for artifacts does, and its errors in words a person can act on.

Not here: names and hashes (`store`), the places themselves (`local`, `remote`).
"""

import contextlib
import errno
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Protocol

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


class StoreError(Exception):
    """The store cannot take or give a file: what is wrong, where, and how to mend it."""

    def __init__(self, what: str, where: str, mend: str) -> None:
        super().__init__(f"{where}: {what}. {mend}")
        self.what, self.where, self.mend = what, where, mend


class Storage(Protocol):
    """Files by relative posix path. All methods raise StoreError."""

    @property
    def incoming(self) -> Path:
        """The local folder for files on their way in."""

    def size(self, path: str) -> int | None:
        """Bytes of the file, None when there is none."""

    def open(self, path: str) -> BinaryIO:
        """The file, opened for reading."""

    def read(self, path: str) -> bytes | None:
        """All of a small file by one request, None when it or the whole root is not there."""

    def put(self, incoming: Path, path: str) -> None:
        """Make an incoming file the one at `path`, whole or not at all; it may be gone after."""

    def put_new(self, incoming: Path, path: str) -> None:
        """As `put`, but a file that is there already stays.

        Local disks decide between two writers at the same moment; elsewhere both may have written
        and the last one counts. Read it back.
        """

    def files(self, folder: str) -> Mapping[str, int]:
        """Path and size in bytes of every file below `folder`, in the order of paths."""

    def uri(self, path: str) -> str:
        """The address of the file, without credentials."""

    def local(self, path: str) -> Path | None:
        """The file on this machine, None when it lies elsewhere."""

    def remove(self, path: str) -> None:
        """Remove the file."""


@contextlib.contextmanager
def incoming_file(storage: Storage) -> Iterator[Path]:
    """An empty file in the incoming folder, with the permissions that the umask gives.

    Removed at the end, unless it was put into its place.
    """
    path = storage.incoming / f"{uuid.uuid4().hex}.part"
    with told("cannot be written", str(storage.incoming)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(exist_ok=False)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def told(what: str, where: str) -> Iterator[None]:
    """Any failure as a StoreError that names the way out.

    Every class of error is caught: fsspec's file systems raise what their vendors' libraries raise.
    """
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(*_advice(error, what, where)) from error
    except ImportError as error:
        raise StoreError(str(error), where, "Install the package that it names.") from error
    except Exception as error:
        mend = "Check TOPVIEW_ARTIFACTS and the credentials of that storage."
        raise StoreError(f"{what} ({type(error).__name__})", where, mend) from error


def _advice(error: OSError, what: str, where: str) -> tuple[str, str, str]:
    if error.errno in _FULL:
        return "the disk is full", where, "Free space, or let TOPVIEW_ARTIFACTS name another place."
    if error.errno in _FORBIDDEN or isinstance(error, PermissionError):
        mend = (
            "Give this user the right to write there, or let TOPVIEW_ARTIFACTS name another place."
        )
        return f"{what}: not allowed", where, mend
    reason = error.strerror or type(error).__name__
    return f"{what}: {reason}", where, "Check that TOPVIEW_ARTIFACTS is right and can be reached."
