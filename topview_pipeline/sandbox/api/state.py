"""Everything that the sandbox remembers: its records, their place in memory or on disk, its clock.

Lookups by id, key and credentials, and the end of ids and media, live here; what tasks do is in
tasks.py.
"""

import hashlib
import json
import secrets
import sqlite3
import uuid
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.sandbox.kinds import FACTS, Kind

from .wire import ApiError

FILE_ROLES = frozenset({"upload", "cutout", "mask"})
"""Roles that a `...FileId` may name."""
_MORTAL_ROLES = FILE_ROLES | {"scene"}
"""Roles whose ids `forget_after` ends: file ids and image ids."""

_CONTENT_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "bmp": "image/bmp",
    "webp": "image/webp",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "m4a": "audio/mp4",
    "mp4": "video/mp4",
    "avi": "video/x-msvideo",
    "mov": "video/quicktime",
}
UPLOAD_FORMATS = frozenset(_CONTENT_TYPES)
"""The formats that the official client uploads."""

# Records. Every field is JSON, so that a record is kept on disk as it is.


@dataclass
class Account:
    """Credentials and their credits. `revoked` credentials answer 401."""

    uid: str
    api_key: str = field(repr=False)
    credits: float
    revoked: bool = False


@dataclass
class File:
    """Bytes behind an id and a storage key: an upload, a task's output, or a file of the library.

    `sha256` is None until an upload's PUT. `lineage` names the content by where it came from, so
    that the same work done twice gives the same lineage though ids and bytes differ.
    `downloaded` are the byte ranges sent so far, merged.
    """

    id: str
    uid: str
    role: str
    key: str
    content_type: str
    lineage: str = ""
    sha256: str | None = None
    size: int = 0
    created_at: float = 0.0
    permanent: bool = False
    task_id: str | None = None
    width: int = 0
    height: int = 0
    face_existence: bool | None = None
    downloaded: list[list[int]] = field(default_factory=list)

    @property
    def downloaded_whole(self) -> bool:
        """True if every byte was sent at least once."""
        return self.sha256 is not None and self.downloaded == [[0, self.size]]


@dataclass
class Task:
    """An accepted submit.

    `content` identifies the work without ids; `repeat` counts earlier accepted tasks of the same
    content. `inputs` maps a role to the sha256 of its bytes. `ends_at` is the earliest end;
    `ended_at`, `error`, `cost` and `outputs` (file ids) are set when the task has ended.
    """

    id: str
    kind: Kind
    version: str
    uid: str
    content: str
    repeat: int
    inputs: dict[str, str]
    params: dict[str, Any]
    accepted_at: float
    ends_at: float
    estimate: float
    planned_error: str | None
    base: str
    notice_url: str = ""
    notice_uuid: str | None = None
    ended_at: float | None = None
    error: str | None = None
    cost: float = 0.0
    ruins: list[str] = field(default_factory=list)
    """The faults of its pictures."""
    outputs: list[str] = field(default_factory=list)
    seen_at: float | None = None
    """Time at which a query first answered success with its URLs."""

    @property
    def succeeded(self) -> bool:
        """True if it ended, and not in `fail`."""
        return self.ended_at is not None and self.error is None

    @property
    def paid(self) -> bool:
        """True if its kind costs credits."""
        return FACTS[self.kind].task_type is not None


@dataclass
class CreditEntry:
    """One line of the credit log, dated as the contract's `log_date` says."""

    uid: str
    api_key: str = field(repr=False)
    at: float
    cost: float
    task_id: str
    task_type: str


class Storage:
    """Records by table and id, and bytes by sha256, that end with the process.

    Reads of bytes may come from any thread. Records live in `State` too, so that memory need not
    keep them a second time.
    """

    def __init__(self) -> None:
        self._bytes: dict[str, bytes] = {}

    def save(self, table: str, record_id: str, record: Any) -> None:
        """Keep a dataclass instance (or plain JSON dict), replacing the one of that id."""

    def load(self, table: str) -> list[dict[str, Any]]:  # noqa: ARG002 -- no records in memory
        """All records of a table, in the order in which their ids were first saved."""
        return []

    def put(self, content: bytes) -> str:
        """Keep bytes; returns their sha256."""
        sha256 = hashlib.sha256(content).hexdigest()
        self._bytes.setdefault(sha256, content)
        return sha256

    def get(self, sha256: str) -> bytes:
        """The bytes of a sha256 that was put; KeyError for one that never was."""
        return self._bytes[sha256]

    def clear(self) -> None:
        """Forget every record; bytes stay, since files of the library are put only once."""

    def close(self) -> None:
        """Release files."""


class DiskStorage(Storage):
    """A folder: one SQLite file of JSON records, one file per distinct content.

    Each save is committed before it returns. Without fsync: a killed process loses nothing, a
    power cut may, which a sandbox can bear.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._blobs = directory / "blobs"
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(
            directory / "state.sqlite3", isolation_level=None, check_same_thread=False
        )
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS record (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL,"
            " id TEXT NOT NULL, body TEXT NOT NULL, UNIQUE (kind, id))"
        )

    def save(self, table: str, record_id: str, record: Any) -> None:
        body = json.dumps(record if isinstance(record, dict) else asdict(record))
        self._db.execute(
            "INSERT INTO record (kind, id, body) VALUES (?, ?, ?)"
            " ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
            (table, record_id, body),
        )

    def load(self, table: str) -> list[dict[str, Any]]:
        rows = self._db.execute("SELECT body FROM record WHERE kind = ? ORDER BY seq", (table,))
        return [json.loads(body) for (body,) in rows]

    def put(self, content: bytes) -> str:
        sha256 = hashlib.sha256(content).hexdigest()
        path = self._blobs / sha256
        if not path.exists():
            partial = path.with_suffix(f".{uuid.uuid4().hex}.part")
            partial.write_bytes(content)
            partial.replace(path)
        return sha256

    def get(self, sha256: str) -> bytes:
        try:
            return (self._blobs / sha256).read_bytes()
        except FileNotFoundError as error:
            raise KeyError(sha256) from error

    def clear(self) -> None:
        self._db.execute("DELETE FROM record")

    def close(self) -> None:
        self._db.close()


def new_id() -> str:
    """An id in the form of Topview's: 32 lowercase hex. Never seeded, so that none comes twice."""
    return uuid.uuid4().hex


class Clock:
    """UTC wall seconds from `base`, plus an offset that only grows.

    The state of every task, signature and id follows from this one number, so a test that moves
    the clock sees what an hour of waiting would show.
    """

    def __init__(self, base: Callable[[], float]) -> None:
        self._base = base
        self.offset = 0.0

    def __call__(self) -> float:
        return self._base() + self.offset

    def advance(self, seconds: float) -> None:
        """Move time forward by `seconds`; raises ValueError if negative."""
        if seconds < 0:
            raise ValueError(f"time only moves forward: seconds={seconds}")
        self.offset += seconds


class State:
    """Accounts, files, tasks and the credit log.

    Files of the library are there from the start and not saved: they are part of the program.
    """

    def __init__(
        self,
        config: SandboxConfig,
        storage: Storage,
        clock: Clock,
        library: Iterable[tuple[File, bytes]],
    ) -> None:
        self._config = config
        self.contract = config.contract
        self._storage = storage
        self._clock = clock
        self._library: list[File] = []
        for file, content in library:
            file.sha256, file.size = storage.put(content), len(content)
            self._library.append(file)
        self._load()

    def _load(self) -> None:
        self.files: dict[str, File] = {}
        self.tasks: dict[str, Task] = {}
        self._by_key: dict[str, File] = {}
        self._lineage_by_sha256: dict[str, str] = {}
        for file in self._library:
            self._index(file)
        for row in self._storage.load("file"):
            self._index(File(**row))
        for row in self._storage.load("task"):
            task = Task(**{**row, "kind": Kind(row["kind"])})
            self.tasks[task.id] = task
        self.entries = [CreditEntry(**row) for row in self._storage.load("credit")]
        self.accounts = {row["api_key"]: Account(**row) for row in self._storage.load("account")}
        if self._config.api_key not in self.accounts:
            account = Account(self._config.uid, self._config.api_key, self._config.credits)
            self.save_account(account)
        kept = self._storage.load("sandbox")
        if kept:
            self.secret: str = kept[0]["secret"]
            self._clock.offset += kept[0]["clock_offset"]
        else:
            self.secret = secrets.token_hex(20)
            self.save_sandbox()

    def reset(self) -> None:
        """Go back to a new sandbox: one account, no files, no tasks, a new signing secret."""
        self._storage.clear()
        self._load()

    def save_sandbox(self) -> None:
        """Keep the signing secret and the clock's offset."""
        row = {"secret": self.secret, "clock_offset": self._clock.offset}
        self._storage.save("sandbox", "sandbox", row)

    def save_account(self, account: Account) -> None:
        """Keep an account, new or changed."""
        self.accounts[account.api_key] = account
        self._storage.save("account", account.api_key, account)

    def account_of(self, uid: str) -> Account:
        """The account of a uid; LookupError if there is none."""
        for account in self.accounts.values():
            if account.uid == uid:
                return account
        raise LookupError(f"no account has the uid {uid!r}")

    def save_task(self, task: Task) -> None:
        """Keep a task, new or changed."""
        self.tasks[task.id] = task
        self._storage.save("task", task.id, task)

    def save_entry(self, entry: CreditEntry) -> None:
        """Add a line to the credit log."""
        self.entries.append(entry)
        self._storage.save("credit", entry.task_id, entry)

    def save_file(self, file: File, content: bytes | None = None) -> None:
        """Keep a file, new or changed, and its bytes if given."""
        if content is not None:
            file.sha256, file.size = self._storage.put(content), len(content)
        self._index(file)
        self._storage.save("file", file.id, file)

    def _index(self, file: File) -> None:
        self.files[file.id] = file
        self._by_key[file.key] = file
        if file.sha256 is not None:
            self._lineage_by_sha256.setdefault(file.sha256, file.lineage)

    def new_upload(self, uid: str, extension: str) -> File:
        """A new file that waits for its PUT."""
        file_id = new_id()
        file = File(
            id=file_id,
            uid=uid,
            role="upload",
            key=f"upload/{uid}/{file_id}.{extension}",
            content_type=_CONTENT_TYPES[extension],
        )
        self.save_file(file)
        return file

    def fill_upload(self, file: File, content: bytes) -> None:
        """Give an upload its bytes.

        Bytes that a task of this sandbox made keep that task's lineage: a cut-out that is
        downloaded and uploaded again is still the same cut-out.
        """
        file.sha256, file.size = self._storage.put(content), len(content)
        file.lineage = self._lineage_by_sha256.get(file.sha256, f"upload:{file.sha256}")
        file.created_at = self._clock()
        self.save_file(file)

    def content_of(self, file: File) -> bytes:
        """A file's bytes; KeyError if they were never put."""
        if file.sha256 is None:
            raise KeyError(file.id)
        return self._storage.get(file.sha256)

    def usable(self, uid: str, file_id: str, roles: Collection[str], field: str) -> File:
        """The file that a submit names; 4004 if it is unknown, empty, forgotten or another's."""
        file = self.files.get(file_id)
        if (
            file is None
            or file.role not in roles
            or file.sha256 is None
            or (file.uid != uid and not file.permanent)
            or self.forgotten(file)
        ):
            raise ApiError("4004", f"{field} {file_id}")
        return file

    def forgotten(self, file: File) -> bool:
        """True once its id is no longer known (`forget_after`)."""
        limit = self._config.forget_after
        return limit is not None and file.role in _MORTAL_ROLES and self._age(file) >= limit

    def expired(self, file: File) -> bool:
        """True once its media are gone (`retention_seconds`)."""
        return not file.permanent and self._age(file) >= self._config.retention_seconds

    def at_key(self, key: str) -> File | None:
        """The file at a storage key, while its media are kept."""
        file = self._by_key.get(key)
        return None if file is None or (file.sha256 and self.expired(file)) else file

    def _age(self, file: File) -> float:
        return self._clock() - file.created_at
