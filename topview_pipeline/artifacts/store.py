"""The rules of the store: folders a person can browse, and files whole or not at all.

    .topview-store.json
    <account>/<product>/<stage>/<fingerprint>/cutout.png, mask.png, ..., result.json
    <account>/<product>/<stage>/<fingerprint>-2/scene_1.png, ...     made anew for dead ids

Not here: the download (`topview`), which files a stage has (`stages`), what stands in the JSON
files (`producer.records`), how bytes reach a disk or a bucket (`local`, `remote`).
"""

import contextlib
import hashlib
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from topview_pipeline.artifacts.artifact import Artifact
from topview_pipeline.artifacts.documents import read_json, write_json
from topview_pipeline.artifacts.local import LocalStorage
from topview_pipeline.artifacts.marker import Marker
from topview_pipeline.artifacts.slugs import product_slug
from topview_pipeline.artifacts.storage import Storage, StoreError, incoming_file, told
from topview_pipeline.sources import local_path, shown

RESULT_NAME = "result.json"
USE_NAME = "used.json"
_SWEEP_AFTER_SECONDS = (
    86_400  # no download lasts a day: what is older was left by a process that died
)
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_FINGERPRINT = re.compile(r"[0-9a-f]{12,}")


class ArtifactStore:
    """Artifacts below `root`, a directory or an fsspec URL.

    Its methods block, some of them on the disk: call them in a thread from asyncio. All raise
    StoreError when the storage does not answer, is full or is not writable.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._storage = _open_storage(root)
        self.marker = Marker(self._storage)
        self._expected: str | None = None

    @property
    def where(self) -> str:
        """The root for people, without credentials."""
        return shown(self.root)

    @property
    def local_root(self) -> Path | None:
        """The root on this machine, None for a remote store."""
        return self._storage.local(".")

    def expect(self, store_id: str) -> None:
        """From now on a missing file is only missing in the store of this id, see `has`."""
        self._expected = store_id

    def folder(
        self, *, account: str, product_id: str, stage: str, fingerprint: str, anew: int = 0
    ) -> str:
        """The folder of one piece of work, relative to the root. Any product id is safe here.

        Args:
            anew: how often the work was made before and superseded: each keeps its own folder.
        """
        if not _FINGERPRINT.fullmatch(fingerprint):
            raise ValueError(f"a fingerprint is lower-case hex, not {fingerprint!r}")
        work = fingerprint[:12] + (f"-{anew + 1}" if anew else "")
        return "/".join((_plain(account), product_slug(product_id), _plain(stage), work))

    @contextlib.contextmanager
    def incoming(self) -> Iterator[Path]:
        """An empty local file to download into; it is removed at the end unless `keep` took it."""
        with incoming_file(self._storage) as path:
            yield path

    def keep(
        self, incoming: Path, folder: str, name: str, *, sha256: str, media_type: str
    ) -> Artifact:
        """Take a file from `incoming()` into the store, whole or not at all.

        Twice the same is once. Other bytes under a name that is taken are kept beside it, with
        their hash in the name: what was paid for is never overwritten. Raises StoreError when the
        bytes do not hash to `sha256`.
        """
        if _plain(name) in (RESULT_NAME, USE_NAME):
            raise ValueError(f"{name} is the ledger's second copy and no artifact's name")
        with told("cannot be read", str(incoming)), incoming.open("rb") as file:
            actual, size = sha256_of(file)
        if actual != sha256:
            mend = "Download it again."
            raise StoreError(f"its bytes hash to {actual}, not {sha256}", name, mend)
        artifact = Artifact(name, self._inside(f"{folder}/{name}"), sha256, size, media_type)
        if self._storage.size(artifact.path) is not None and not self.has(artifact, verify=True):
            stem, dot, suffix = name.partition(".")
            other = self._inside(f"{folder}/{stem}-{sha256[:8]}{dot}{suffix}")
            artifact = Artifact(name, other, sha256, size, media_type)
        if not self.has(artifact, verify=True):
            self._storage.put(incoming, artifact.path)
        return artifact

    def write_result(self, folder: str, result: Mapping[str, Any]) -> None:
        """Write result.json, atomically. Written last, it says that the folder is complete."""
        write_json(self._storage, self._inside(f"{folder}/{RESULT_NAME}"), result)

    def write_use(self, folder: str, use: Mapping[str, Any]) -> None:
        """Write used.json: this product's stage stands on a result that was not made for it now."""
        write_json(self._storage, self._inside(f"{folder}/{USE_NAME}"), use)

    def knows_of(self, folder: str) -> bool:
        """Whether a result was stored in a folder, or a note that its work stands on another's.

        A store that nothing was ever written to knows of none.
        """
        return any(
            self._storage.read(self._inside(f"{folder}/{name}")) is not None
            for name in (RESULT_NAME, USE_NAME)
        )

    def publish(self, path: str, data: bytes) -> None:
        """Make a file what it has to be now, whole or not at all: for what is made from the rest.

        What was paid for goes through `keep`, which overwrites nothing.
        """
        with self.incoming() as incoming:
            with told("cannot be written", str(incoming)):
                incoming.write_bytes(data)
            self._storage.put(incoming, self._inside(path))

    def published(self, path: str) -> bytes | None:
        """What `publish` last wrote there; None when it never did."""
        return self._storage.read(self._inside(path))

    def files(self, account: str | None = None) -> Mapping[str, int]:
        """Path and size in bytes of every file of an account, or of the whole store.

        Raises:
            StoreError: also when the store is not the expected one: one that is not mounted has no
                files and has lost none.
        """
        found = self._storage.files("" if account is None else _plain(account))
        self._check_marker()
        return found

    def read_json(self, path: str) -> dict[str, Any]:
        """A result.json or used.json; one that cannot be understood is a DamagedFile."""
        return read_json(self._storage, self._inside(path))

    def uri_of(self, path: str) -> str:
        """The address of a file by its path, without credentials."""
        return self._storage.uri(self._inside(path))

    def has(self, artifact: Artifact, *, verify: bool = False) -> bool:
        """Whether the file is there with its size, and with `verify` with its hash.

        Raises:
            StoreError: also when it is missing and so is the store, see `expect`: what is not
                mounted is not gone.
        """
        path = self._inside(artifact.path)
        size = self._storage.size(path)
        if size is None:
            self._check_marker()
        if size != artifact.bytes:
            return False
        if not verify:
            return True
        with self._storage.open(path) as file:
            return sha256_of(file) == (artifact.sha256, artifact.bytes)

    def open(self, artifact: Artifact) -> BinaryIO:
        """The file, opened for reading bytes."""
        return self._storage.open(self._inside(artifact.path))

    def read_bytes(self, artifact: Artifact) -> bytes:
        """All of the file."""
        with self.open(artifact) as file:
            return file.read()

    def uri(self, artifact: Artifact) -> str:
        """Its address for people and other programs, without credentials."""
        return self._storage.uri(self._inside(artifact.path))

    def local_path(self, artifact: Artifact) -> Path | None:
        """Its path on this machine, None in a remote store."""
        return self._storage.local(self._inside(artifact.path))

    def check_writable(self) -> None:
        """Write, find and remove a small file; StoreError says what prevents it."""
        with self.incoming() as incoming:
            probe = f"{incoming.name}.probe"
            self._storage.put(incoming, probe)
            self._storage.remove(probe)

    def sweep(self, *, now: float | None = None) -> int:
        """Remove incoming files older than a day; how many. `now` in seconds since the epoch."""
        oldest = (time.time() if now is None else now) - _SWEEP_AFTER_SECONDS
        swept = 0
        for path in self._storage.incoming.glob("*.part"):
            with contextlib.suppress(FileNotFoundError):  # another process sweeps too
                if path.stat().st_mtime < oldest:
                    path.unlink()
                    swept += 1
        return swept

    def _check_marker(self) -> None:
        if self._expected is not None and self.marker.read() != self._expected:
            mend = "Is it still mounted? Whatever is missing here is fetched when it is back."
            raise StoreError("this is no longer the store that was here before", self.where, mend)

    def _inside(self, path: str) -> str:
        parts = PurePosixPath(path)
        if parts.is_absolute() or ".." in parts.parts or "\\" in path:
            raise ValueError(f"{path!r} leads out of the store")
        return parts.as_posix()


def sha256_of(file: BinaryIO) -> tuple[str, int]:
    """The hash in hex, and the number of bytes, from here to the file's end."""
    digest, size = hashlib.sha256(), 0
    while chunk := file.read(1 << 20):
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def _plain(name: str) -> str:
    if not _PLAIN_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no plain name: letters, digits, '.', '_' and '-' only")
    return name


def _open_storage(root: str) -> Storage:
    directory = local_path(root)
    if directory is not None:
        return LocalStorage(directory.expanduser().absolute())
    # Together 0.1 s with fsspec, which a local store never needs.
    from upath import UPath

    from topview_pipeline.artifacts.remote import RemoteStorage

    with told("cannot be opened", shown(root)):
        return RemoteStorage(UPath(root))
