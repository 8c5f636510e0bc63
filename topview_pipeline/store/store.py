"""The rules of the store: folders that a person can browse, and files whole or not at all.

    .topview-store.json                                                  the store's identity
    <account>/<product>/<stage>/<fingerprint>/cutout.png, ...
    <account>/index/<fingerprint>.json                        the record of that result

A result is its media first, then its record: what the index finds is whole. Two products with the
same work share the folder of the one that paid. Not here: how bytes reach a disk or a bucket
(`backends`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import secrets
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from topview_pipeline.store.backends import Backend, StoreError, explained, open_backend

INDEX: Final = "index"  # the folder of an account that finds its results by fingerprint
RESERVED: Final = frozenset({INDEX, "gallery", "manifest", "plans"})
"""Folders of an account that are no product's."""

_READABLE: Final = 64  # characters kept of an id; with its hash a name stays far below 255
_PLAIN: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9_])?")
_LOOKS_HASHED: Final = re.compile(r".*--[0-9a-f]{12}", re.IGNORECASE)
_DEVICE_NAMES: Final = frozenset(
    ["con", "prn", "aux", "nul"] + [f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10)]
)
_JSON: Final = "application/json"
MARKER_NAME: Final = ".topview-store.json"
_MEANING: Final = (
    "Marks this folder as one store of topview_pipeline. The ledgers that keep results here know "
    "it by this id: leave it, and take it along when the store is moved."
)


@dataclasses.dataclass(frozen=True, slots=True)
class Artifact:
    """One kept file: as it stands in the ledger and in the record."""

    name: str  # its role in the stage, as `cutout.png`
    path: str  # relative to the store's root, with `/`
    sha256: str
    size: int
    media_type: str

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Artifact:
        """Return the artifact of `to_json`; unknown fields are ignored."""
        return cls(*(data[field.name] for field in dataclasses.fields(cls)))


class Times(BaseModel, frozen=True):
    """When a task reached its states, in seconds since the epoch."""

    queued_at: float | None = None
    reserved_at: float
    pending_at: float | None = None
    succeeded_at: float | None = None
    stored_at: float | None = None
    deadline_at: float | None = None


class ResultRecord(BaseModel, frozen=True):
    """The record of a result: enough to make the ledger's row again. Unknown fields are ignored."""

    account: str
    pipeline: str  # whose product this is
    product_id: str
    stage: str
    work: str  # the ledger's name of product and stage without the generation
    generation: int
    fingerprint: str
    attempt: int
    topview_task_id: str
    request: dict[str, Any]  # the body that was sent
    inputs: dict[str, Any]  # data version of each input, by asset key
    mode: str | None = None
    seconds: float | None = None  # of the video or speech, where the price depends on it
    estimate: float | None = None  # credits expected when the task was reserved
    credits: float | None = None  # credits charged; None where Topview did not say
    run_id: str
    root_run_id: str
    times: Times
    result: dict[str, Any]  # Topview's answer as it came, without the queries of signed URLs
    artifacts: tuple[Artifact, ...]

    @classmethod
    def from_json(cls, data: object) -> ResultRecord:
        """Return the record of `model_dump`. Raises ValueError naming the first bad field."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, first["loc"])) or "the record"
            raise ValueError(f"{field}: {first['msg']}") from None


def json_bytes(value: object) -> bytes:
    """Return JSON for people: sorted, indented, with umlauts. Raises ValueError for NaN."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode(errors="replace")  # JSON can hold half characters, UTF-8 cannot


class Store:
    """The files below a location: a path, or an fsspec URL as `s3://bucket/folder`.

    Its methods block and may be called from any thread. All raise StoreError when the place does
    not answer, is full, or does not allow it. A stage costs a bucket one read, and one write for
    each file and for the record; what was just written is read from this machine.
    """

    def __init__(self, location: str) -> None:
        self._backend = open_backend(location)
        self._is_local = self.local_root is not None
        self._identity: str | None = None

    @property
    def location(self) -> str:
        return self._backend.location

    @property
    def local_root(self) -> Path | None:
        """The root as a folder of this machine; None for a remote store."""
        return self._backend.local("")

    def identity(self, create: bool = False) -> str | None:
        """Return the id by which a ledger knows this store, if it has one; `create` gives it one.

        From then on a missing file is an error in a store without this id: one that was unmounted
        in the middle of a run has lost nothing.
        """
        found = _create_identity(self._backend) if create else _read_identity(self._backend)
        self._identity = self._identity or found
        return found

    def has_results(self, account: str) -> bool:
        """Return True if anything of the account's products is here. Lists one folder."""
        return any(
            name == INDEX or not (name in RESERVED or name.startswith("."))
            for name in self._backend.names(account)
        )

    def check_writable(self, account: str) -> None:
        """Write a small file: a place that takes none is found before anything is paid."""
        self.write_file(f"{account}/.probe", b"", "text/plain")

    def folder(self, *, account: str, product_id: str, stage: str, fingerprint: str) -> str:
        """Return the folder of one work item, relative to the root. Any product id is safe."""
        return f"{account}/{product_slug(product_id)}/{stage}/{fingerprint}"

    def incoming(self) -> contextlib.AbstractContextManager[Path]:
        """Give an empty local file to download into; removed at the end unless `keep` took it."""
        return self._backend.incoming()

    def keep(self, path: Path, folder: str, name: str, *, sha256: str, media_type: str) -> Artifact:
        """Take a file from `incoming()` into the store, whole or not at all; one of its name goes.

        `sha256` is of the bytes as they were streamed into the file.
        """
        with explained("cannot be read", str(path)):
            size = path.stat().st_size
        artifact = Artifact(name, self._inside(f"{folder}/{name}"), sha256, size, media_type)
        self._check_mounted()
        self._backend.put(path, artifact.path, media_type)
        return artifact

    def write_result(self, record: ResultRecord, before: Iterable[str] = ()) -> None:
        """Write the record by which `find` finds the result; all its files are here by now.

        Args:
            before: fingerprints of earlier generations. Where they have no result, a note says that
                there is a later one, so that of new work one look is enough.
        """
        for fingerprint in before:
            earlier = _index_path(record.account, fingerprint)
            if self.read_file(earlier) is None:
                self._backend.write_new(earlier, json_bytes({"passed_over": True}), _JSON)
        self.write_json(_index_path(record.account, record.fingerprint), record.model_dump())

    def find(self, account: str, fingerprint: str) -> ResultRecord | Literal["passed over"] | None:
        """Return the result of a fingerprint, by one read; None when there is none.

        "passed over": there is none, and perhaps one of a later generation. StoreError: also for a
        record that is damaged.
        """
        path = _index_path(account, fingerprint)
        found = self.read_json(path)
        if found is None:
            self._check_mounted()
            return None
        if found == {"passed_over": True}:
            return "passed over"
        try:
            record = ResultRecord.from_json(found)
        except ValueError as error:
            raise self._damaged(path, str(error)) from error
        if (record.account, record.fingerprint) != (account, fingerprint):
            raise self._damaged(path, "it is the record of another result")
        for artifact in record.artifacts:
            self._inside(artifact.path)
        return record

    def has(self, artifact: Artifact) -> bool:
        """Return True if the file is there with its size. StoreError when the store is gone."""
        size = self._backend.size(self._inside(artifact.path))
        if size is None:
            self._check_mounted(ask_remote=True)
        return size == artifact.size

    def read_bytes(self, artifact: Artifact) -> bytes:
        """Return all of the file. StoreError: it is gone, or its bytes are not those stored."""
        path = self._inside(artifact.path)
        data = self._backend.read(path)
        where = self._backend.address(path)
        if data is None:
            raise StoreError("it is gone", where, "Run again: that downloads it again, free.")
        if hashlib.sha256(data).hexdigest() != artifact.sha256:
            fix = "Delete it and run again: that downloads it again, free."
            raise StoreError("its bytes are not those that were stored", where, fix)
        return data

    def local_copy(self, artifact: Artifact) -> contextlib.AbstractContextManager[Path]:
        """Give a local file to read: the file itself in a local store, else a copy for a while."""
        return self._backend.local_copy(self._inside(artifact.path))

    def address(
        self, file: Artifact | str, *, base_url: str | None = None, beside: Path | None = None
    ) -> str:
        """Return the URL of an artifact or key, without credentials.

        Args:
            base_url: Where the store's root is served.
            beside: The folder of a page on this machine: it shows a local file without a server.
        """
        path = self._inside(file if isinstance(file, str) else file.path)
        if base_url is not None:
            return f"{base_url.rstrip('/')}/{quote(path)}"
        local = self._backend.local(path)
        if local is not None and beside is not None:
            return quote(os.path.relpath(local, beside))
        return self._backend.address(path)

    def link(self, file: Artifact | str, base_url: str | None = None) -> str:
        """Return the address for a browser: of a bucket without `base_url` a signed one."""
        if base_url is not None:
            return self.address(file, base_url=base_url)
        return self._backend.link(self._inside(file if isinstance(file, str) else file.path))

    def write_file(self, key: str, data: bytes, media_type: str) -> None:
        """Make these bytes the file at a key, whole or not at all. Not for what was paid for."""
        self._backend.write(self._inside(key), data, media_type)

    def read_file(self, key: str) -> bytes | None:
        """Return the bytes at a key; None when there are none."""
        return self._backend.read(self._inside(key))

    def write_json(self, key: str, value: object) -> None:
        """Write a JSON file, whole or not at all; ValueError when JSON cannot hold the value."""
        self.write_file(key, json_bytes(value), _JSON)

    def read_json(self, key: str) -> Any | None:
        """Return the value in a JSON file, None when there is none; StoreError if it is no JSON."""
        data = self.read_file(key)
        try:
            return None if data is None else json.loads(data)
        except ValueError as error:
            raise self._damaged(key, "this is not JSON") from error

    def _check_mounted(self, *, ask_remote: bool = False) -> None:
        """A bucket is not unmounted: it is asked only where a request more does not matter."""
        is_asked = self._identity is not None and (self._is_local or ask_remote)
        if is_asked and _read_identity(self._backend) != self._identity:
            fix = "Is it still mounted? What is missing here is downloaded when that store is back."
            what = "this is no longer the store that was here before"
            raise StoreError(what, self.location, fix)

    def _inside(self, path: str) -> str:
        parts = PurePosixPath(path)
        if not parts.parts or parts.is_absolute() or ".." in parts.parts or "\\" in path:
            fix = "Restore the ledger or the record in the index that names it from a backup."
            raise StoreError(f"{path!r} leads out of the store", self.location, fix)
        return parts.as_posix()

    def _damaged(self, path: str, what: str) -> StoreError:
        fix = "Restore it from a backup, or delete it: what only this file proves is paid again."
        return StoreError(what, self._backend.address(path), fix)


def _index_path(account: str, fingerprint: str) -> str:
    return f"{account}/{INDEX}/{fingerprint}.json"


def _read_identity(backend: Backend) -> str | None:
    """Return the store's id by one request; None when there is no marker that can be read."""
    return _id_in(backend.read(MARKER_NAME))


def _create_identity(backend: Backend) -> str | None:
    """Return the store's id; a store whose marker is missing or cannot be read gets one."""
    before = backend.read(MARKER_NAME)
    if (found := _id_in(before)) is not None:
        return found
    data = json_bytes({"store_id": secrets.token_hex(16), "meaning": _MEANING})
    write = backend.write_new if before is None else backend.write
    write(MARKER_NAME, data, "application/json")
    return _read_identity(backend)  # another process may have been quicker: its id counts


def _id_in(data: bytes | None) -> str | None:
    try:
        found = json.loads(data or b"")["store_id"]
    except (ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) and found else None


def product_slug(product_id: str) -> str:
    """Return the folder name of a product: readable, ASCII, at most 79 characters, one per id.

    An id that is already a safe name stays as it is. Every other one keeps what is readable of it
    and gets `--` and a hash of the whole id, and so does an id that looks like such a name. Ids
    that differ only by case share a folder on macOS and Windows, which mixes up nothing.
    """
    return product_id if _is_plain(product_id) else hashed_slug(product_id)


def hashed_slug(product_id: str) -> str:
    """Return the name with a hash, which differs from all others even where case does not count."""
    digest = hashlib.sha256(product_id.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{_readable(product_id)}--{digest}"


def _is_plain(product_id: str) -> bool:
    name = product_id.lower()
    return (
        _PLAIN.fullmatch(product_id) is not None
        and _LOOKS_HASHED.fullmatch(product_id) is None
        and name.partition(".")[0] not in _DEVICE_NAMES
        and name not in RESERVED
    )


def _readable(product_id: str) -> str:
    letters = unicodedata.normalize("NFKD", product_id).encode("ascii", "ignore").decode("ascii")
    words = re.sub(r"[^A-Za-z0-9_.]+", "-", letters)
    name = re.sub(r"\.{2,}", ".", words).strip(".-")[:_READABLE].rstrip(".-")
    # Windows reserves a device's name with any extension: `con.png--...` would be the console.
    return f"_{name}" if not name or name.partition(".")[0].lower() in _DEVICE_NAMES else name
