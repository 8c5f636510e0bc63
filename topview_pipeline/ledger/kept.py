"""What a store says of the ledger's rows, as data: enough to make them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from topview_pipeline.ledger.states import TaskState


@dataclass(frozen=True, kw_only=True)
class KeptChoice:
    """A person's preference of an image (from 1) of a scene, as it was when a video was made."""

    scene: str
    image: int
    chosen_at: float


@dataclass(frozen=True, kw_only=True)
class KeptResult:
    """A finished task as its result.json tells of it: most fields are columns of its row.

    Attributes:
        state: STORED; SUPERSEDED, when a younger result stands for the same work; SUCCEEDED, when
            its files are gone: as any stored row that lost its files it is downloaded again for
            nothing while Topview has it, and else expires. It is not paid again by itself.
        anew: how often the work had been made before and superseded.
        choice: the preference that a video followed.
    """

    product_id: str
    stage: str
    work: str
    generation: int
    fingerprint: str
    attempt: int
    run_id: str
    root_run_id: str
    topview_task_id: str
    request: Mapping[str, Any]
    inputs: Mapping[str, str]
    mode: str | None
    seconds: float | None
    estimate: float | None
    cost_credits: float | None
    queued_at: float
    reserved_at: float
    pending_at: float | None
    succeeded_at: float
    stored_at: float
    deadline_at: float
    result: Mapping[str, Any]
    artifacts: Sequence[Mapping[str, Any]]
    anew: int = 0
    choice: KeptChoice | None = None
    state: TaskState = TaskState.STORED


@dataclass(frozen=True, kw_only=True)
class KeptUse:
    """A product's stage stands on a result that another product had made, or on an older one."""

    product_id: str
    stage: str
    fingerprint: str
    force: bool
    root_run_id: str
    used_at: float
    choice: KeptChoice | None = None


@dataclass(frozen=True)
class Rebuilt:
    """What was added to the ledger."""

    tasks: int
    orders: int
    choices: int
