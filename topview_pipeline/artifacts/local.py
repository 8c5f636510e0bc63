"""Artifacts in a directory of this machine."""

import os
from collections.abc import Iterator
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

    def find(self, folder: str, name: str) -> Iterator[str]:
        with told("cannot be listed", str(self._root / folder)):
            found = sorted((self._root / folder).rglob(name))
        return (file.relative_to(self._root).as_posix() for file in found)

    def uri(self, path: str) -> str:
        return (self._root / path).as_uri()

    def local(self, path: str) -> Path | None:
        return self._root / path

    def remove(self, path: str) -> None:
        with told("cannot be removed", str(self._root / path)):
            (self._root / path).unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Have the file's bytes, or the folder's names, on the disk."""
    if path.is_dir() and os.name != "posix":
        return  # Windows opens no folders
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
