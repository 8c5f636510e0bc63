"""A finished task as the store knows it: its files, and its record in the index.

Not here: reading and writing them (`store`).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError


@dataclasses.dataclass(frozen=True, slots=True)
class Artifact:
    """One kept file: as it stands in the ledger and in the record."""

    name: str  # its role in the stage, as `cutout.png`
    path: str  # relative to the store's root, with `/`
    sha256: str
    size: int
    media_type: str

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in the ledger and in the record."""
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
    """What a result is: enough to make the ledger's row again, should the ledger be lost.

    Fields that a newer version wrote are ignored.
    """

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
    """Return JSON for people: sorted, indented, with umlauts as they are.

    Raises:
        ValueError: No JSON reader would take it, as NaN.
    """
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode(errors="replace")  # JSON can hold half characters, UTF-8 cannot
