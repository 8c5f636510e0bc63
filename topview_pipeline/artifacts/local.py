"""Artifacts in a directory of this machine."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from topview_pipeline.artifacts.storage import told


class LocalStorage:
    """A directory. A file appears by an atomic rename, once its bytes are on the disk."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def incoming(self) -> Path:
        """Inside the root: a rename is atomic only within one file system."""
        return self._root / ".incoming"

    def size(self, path: str) -> int | None:
        with told("cannot be read", str(self._root)):
            try:
                return (self._root / path).stat().st_size
            except FileNotFoundError:
                # A store that is not mounted has lost nothing; "gone" would pay for it all again.
                if not self._root.is_dir():
                    raise
                return None

    def open(self, path: str) -> BinaryIO:
        with told("cannot be read", str(self._root / path)):
            return (self._root / path).open("rb")

    def read(self, path: str) -> bytes | None:
        with told("cannot be read", str(self._root / path)):
            try:
                return (self._root / path).read_bytes()
            except FileNotFoundError:
                return None

    def put(self, incoming: Path, path: str) -> None:
        target = self._root / path
        with told("cannot be written", str(target)):
            _flush(incoming)
            is_new_folder = not target.parent.is_dir()
            target.parent.mkdir(parents=True, exist_ok=True)
            incoming.replace(target)
            folder = target.parent
            _flush(folder)
            while is_new_folder and folder != self._root:
                folder = folder.parent
                _flush(folder)

    def put_new(self, incoming: Path, path: str) -> None:
        target = self._root / path
        with told("cannot be written", str(target)):
            _flush(incoming)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(incoming, target)  # the one call that makes a whole file or refuses
            except FileExistsError:
                return
            except OSError:  # a file system without links
                if not target.exists():
                    incoming.replace(target)
            _flush(target.parent)

    def files(self, folder: str) -> Mapping[str, int]:
        with told("cannot be listed", str(self._root / folder)):
            return dict(sorted(_walk(self._root / folder, folder)))

    def uri(self, path: str) -> str:
        return (self._root / path).as_uri()

    def local(self, path: str) -> Path | None:
        return self._root / path

    def remove(self, path: str) -> None:
        with told("cannot be removed", str(self._root / path)):
            (self._root / path).unlink(missing_ok=True)


def _walk(top: Path, prefix: str) -> Iterator[tuple[str, int]]:
    """Relative path and size of all files; what goes away meanwhile is left out.

    A folder that may not be read is no empty one: that is an error.
    """
    with contextlib.suppress(FileNotFoundError), os.scandir(top) as entries:
        for entry in entries:
            path = f"{prefix}/{entry.name}" if prefix else entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path), path)
                continue
            with contextlib.suppress(FileNotFoundError):
                yield path, entry.stat().st_size


def _flush(path: Path) -> None:
    """Have the file's bytes, or the folder's names, on the disk."""
    if path.is_dir() and os.name != "posix":
        return  # Windows opens no folders
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
