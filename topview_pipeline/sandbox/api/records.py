"""The records of the sandbox: accounts, files, tasks, credit entries. Plain data, no behaviour.

Every field is JSON, so that a record is kept on disk as it is.
"""

from dataclasses import dataclass, field
from typing import Any

from topview_pipeline.sandbox.kinds import FACTS, Kind


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
