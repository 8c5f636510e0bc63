"""The rules of the store: folders a person can browse, and files whole or not at all.

    <account>/<product>/<stage>/<fingerprint>/cutout.png, mask.png, ..., result.json

Not here: the download (`topview`), which files a stage has (`stages`), how bytes reach a disk or a
bucket (`local`, `remote`).
"""

import contextlib
import hashlib
import json
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from topview_pipeline.artifacts.local import LocalStorage
from topview_pipeline.artifacts.slugs import product_slug
from topview_pipeline.artifacts.storage import Storage, StoreError, told
from topview_pipeline.sources import local_path, shown

RESULT_NAME = "result.json"
_SWEEP_AFTER_SECONDS = (
    86_400  # no download lasts a day: what is older was left by a process that died
)
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_FINGERPRINT = re.compile(r"[0-9a-f]{12,}")


@dataclass(frozen=True, slots=True)
class Artifact:
    """One kept file: its path inside the store (posix, relative), sha256 in hex, size in bytes."""

    name: str
    path: str
    sha256: str
    bytes: int
    media_type: str

    def to_json(self) -> dict[str, Any]:
        """As it stands in the ledger and in result.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Artifact":
        """The inverse of `to_json`; unknown fields are ignored, a missing one is a ValueError."""
        try:
            return cls(
                name=str(data["name"]),
                path=str(data["path"]),
                sha256=str(data["sha256"]),
                bytes=int(data["bytes"]),
                media_type=str(data["media_type"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not an artifact: {data!r}") from error


class ArtifactStore:
    """Artifacts below `root`, a directory or an fsspec URL.

    Its methods block, some of them on the disk: call them in a thread from asyncio. All raise
    StoreError when the storage does not answer, is full or is not writable.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._storage = _open_storage(root)

    def folder(self, *, account: str, product_id: str, stage: str, fingerprint: str) -> str:
        """The folder of one piece of work, relative to the root. Any product id is safe here."""
        if not _FINGERPRINT.fullmatch(fingerprint):
            raise ValueError(f"a fingerprint is lower-case hex, not {fingerprint!r}")
        parts = (_plain(account), product_slug(product_id), _plain(stage), fingerprint[:12])
        return "/".join(parts)

    @contextlib.contextmanager
    def incoming(self) -> Iterator[Path]:
        """An empty local file to download into; it is removed at the end unless `keep` took it."""
        path = _new_incoming(self._storage)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def keep(
        self, incoming: Path, folder: str, name: str, *, sha256: str, media_type: str
    ) -> Artifact:
        """Take a file from `incoming()` into the store, whole or not at all.

        Twice the same is once. Other bytes under a name that is taken are kept beside it, with
        their hash in the name: what was paid for is never overwritten. Raises StoreError when the
        bytes do not hash to `sha256`.
        """
        if _plain(name) == RESULT_NAME:
            raise ValueError(f"{RESULT_NAME} is written by write_result")
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
        text = json.dumps(result, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        path = self._inside(f"{folder}/{RESULT_NAME}")
        with self.incoming() as incoming:
            with told("cannot be written", str(incoming)):
                incoming.write_text(text + "\n", encoding="utf-8")
            self._storage.put(incoming, path)

    def results(self, account: str) -> Iterator[dict[str, Any]]:
        """Every result.json of an account, in the order of paths: the ledger's second copy."""
        for path in self._storage.find(_plain(account), RESULT_NAME):
            with self._storage.open(path) as file:
                data = file.read()
            try:
                result = json.loads(data)
            except ValueError as error:
                mend = "Restore it from a backup, or delete its folder to have the work made anew."
                raise StoreError("this is not JSON", self._storage.uri(path), mend) from error
            if not isinstance(result, dict):
                mend = "Restore it from a backup, or delete its folder to have the work made anew."
                raise StoreError("this is no result", self._storage.uri(path), mend)
            yield result

    def has(self, artifact: Artifact, *, verify: bool = False) -> bool:
        """Whether the file is there with its size, and with `verify` with its hash."""
        path = self._inside(artifact.path)
        if self._storage.size(path) != artifact.bytes:
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


def _new_incoming(storage: Storage) -> Path:
    """An empty file in the incoming folder, with the permissions that the umask gives."""
    path = storage.incoming / f"{uuid.uuid4().hex}.part"
    with told("cannot be written", str(storage.incoming)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(exist_ok=False)
    return path
