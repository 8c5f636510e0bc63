"""Everything that the sandbox remembers, indexed and kept in a `Storage`, and its clock.

Lookups by id, key and credentials, and the end of ids and media, live here; what tasks do is in
tasks.py.
"""

import secrets
import uuid
from collections.abc import Callable, Collection, Iterable

from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.sandbox.kinds import Kind

from .records import Account, CreditEntry, File, Task
from .storage import Storage
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
