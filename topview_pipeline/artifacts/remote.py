"""Artifacts in a bucket, or wherever else fsspec reaches."""

import contextlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, cast

from upath import UPath

from topview_pipeline.artifacts.storage import StoreError, told
from topview_pipeline.sources import shown


class RemoteStorage:
    """A place that fsspec reaches. Object stores show an object only when it is complete."""

    def __init__(self, root: UPath) -> None:
        self._root = root
        self._fs = root.fs

    @property
    def incoming(self) -> Path:
        """In the machine's temporary folder, one for each user of it."""
        user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
        return Path(tempfile.gettempdir()) / f"topview-incoming-{user}"

    def size(self, path: str) -> int | None:
        with told("cannot be read", self.uri(path)):
            self._fs.invalidate_cache()  # another process may have written it since
            try:
                return int(self._fs.info(self._key(path))["size"])
            except FileNotFoundError:
                return None

    def open(self, path: str) -> BinaryIO:
        with told("cannot be read", self.uri(path)):
            return cast(BinaryIO, self._fs.open(self._key(path), "rb"))

    def read(self, path: str) -> bytes | None:
        with told("cannot be read", self.uri(path)):
            self._fs.invalidate_cache()
            try:
                return bytes(self._fs.cat_file(self._key(path)))
            except FileNotFoundError:
                return None

    def put(self, incoming: Path, path: str) -> None:
        with told("cannot be written", self.uri(path)):
            key = self._key(path)
            self._fs.makedirs(key.rpartition("/")[0], exist_ok=True)
            self._fs.put_file(str(incoming), key)
        if self.size(path) != incoming.stat().st_size:
            raise StoreError("arrived incomplete", self.uri(path), "Run again: it is sent anew.")

    def put_new(self, incoming: Path, path: str) -> None:
        # Not every file system of fsspec can refuse to overwrite.
        if self.size(path) is None:
            self.put(incoming, path)

    def files(self, folder: str) -> Mapping[str, int]:
        with told("cannot be listed", self.uri(folder)):
            self._fs.invalidate_cache()
            found = self._fs.find(self._key(folder), detail=True)
            start = len(self._key(""))
            return {
                key[start:].lstrip("/"): int(found[key].get("size") or 0) for key in sorted(found)
            }

    def uri(self, path: str) -> str:
        return shown(f"{str(self._root).rstrip('/')}/{path}")

    def local(self, path: str) -> Path | None:  # noqa: ARG002 - a remote file has no local path
        return None

    def remove(self, path: str) -> None:
        with told("cannot be removed", self.uri(path)), contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._key(path))

    def _key(self, path: str) -> str:
        return f"{self._root.path.rstrip('/')}/{path}"
