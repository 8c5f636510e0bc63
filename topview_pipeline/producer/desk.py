"""What all parts of one producer share: its collaborators, its settings, its signs of life."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from topview_pipeline.artifacts import ArtifactStore
from topview_pipeline.inputs import InputFile
from topview_pipeline.ledger import CostSeen, Ledger, Owner, Task, TaskState
from topview_pipeline.prices import PriceList
from topview_pipeline.producer.events import Event, Made
from topview_pipeline.producer.polling import PollPlan
from topview_pipeline.stages import BY_KEY, STAGES, Stage
from topview_pipeline.stages.estimates import Estimate, estimate_of
from topview_pipeline.topview.client import TopviewClient


class Inputs(Protocol):
    """Reads what the catalogue names; `inputs.InputFiles` in production."""

    def read(self, ref: str, *, kind: Literal["image", "audio"]) -> InputFile:
        """The file's bytes, verified. Raises InputError."""
        ...


@dataclass(frozen=True)
class Run:
    """For whom a producer works.

    Attributes:
        run_id: of the Dagster run.
        root_run_id: of the run that this one re-executes, else its own.
        explicit: a person or a schedule asked, not the sensor: failed work is tried now.
    """

    run_id: str
    root_run_id: str
    explicit: bool = True


@dataclass(frozen=True)
class ProducerConfig:
    """How a producer works. All times in seconds."""

    slots: int = 4
    credits_a_day: float | None = None
    """The account's limit for a UTC day; None is no limit."""
    prices: PriceList = field(default_factory=lambda: PriceList({}, "no price list"))
    """What estimates go by until such a task was really paid."""
    poll_seconds: float = 3.0
    wait_seconds: float = 1800.0
    deadline_seconds: Mapping[str, float] = field(
        default_factory=lambda: {stage.kind: stage.deadline_seconds for stage in STAGES}
    )
    when_no_face: Literal["fail", "avatar2"] = "fail"
    account_exclusive: bool = False
    """Nobody else uses the account: the one charge that fits a lost answer is its task."""
    unknown_deadlines: int = 2
    """Deadlines of its kind after which a lost answer that is in no log was never charged."""
    retry_seconds: float = 30.0
    """Wait before the second attempt after a failed task; doubles with each."""
    busy_seconds: float = 30.0
    """Wait after 4007, 5003 and 429 without Retry-After (Topview's advice, section 3)."""
    network_seconds: float = 2.0
    """First wait after a connection that could not be made, or a download that broke."""
    parallel_transfers: int = 8
    parallel_queries: int = 32
    largest_image: int = 64 * 2**20
    largest_video: int = 2 * 2**30


Offload = Callable[..., Awaitable[Any]]
"""Runs a blocking call elsewhere: `asyncio.to_thread`; tests run it in place."""


class Activity:
    """Whether anything moves: a run without progress for its wait time parks what is left.

    Args:
        ticks: seconds of a clock that nobody sets.
    """

    def __init__(self, ticks: Callable[[], float]) -> None:
        self._ticks = ticks
        self._busy = 0
        self._asking = 0
        self._last = ticks()
        self.changed = asyncio.Event()

    def progress(self) -> None:
        """A task of the run came forward."""
        self._last = self._ticks()
        self.changed.set()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Something is done that is better not cut off: uploading, submitting, downloading."""
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
            self.changed.set()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Topview is asked what it can be asked again: no harm is done when that is cut off."""
        self._asking += 1
        try:
            yield
        finally:
            self._asking -= 1
            self.changed.set()

    @property
    def is_busy(self) -> bool:
        """Whether something is being done right now that has to be waited for."""
        return self._busy > 0

    @property
    def is_asking(self) -> bool:
        """Whether an answer is awaited that may be let go."""
        return self._asking > 0

    def idle_seconds(self) -> float:
        """Seconds since the last progress."""
        return self._ticks() - self._last


class Desk:
    """The collaborators of one producer.

    Args:
        clock: seconds since the epoch, for what is compared with the ledger's times.
        ticks: seconds of a clock that nobody sets, for what only this producer waits for.
        submit_seconds: all of a submit's timeouts together.
    """

    def __init__(
        self,
        *,
        client: TopviewClient,
        ledger: Ledger,
        store: ArtifactStore,
        inputs: Inputs,
        run: Run,
        config: ProducerConfig,
        owner: Owner | None = None,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
        offload: Offload = asyncio.to_thread,
        submit_seconds: float,
    ) -> None:
        self.client = client
        self.ledger = ledger
        self.store = store
        self.inputs = inputs
        self.run = run
        self.config = config
        self.owner = owner or Owner()
        self.clock = clock
        self.ticks = ticks
        self.offload = offload
        self.submit_seconds = submit_seconds
        self.activity = Activity(ticks)
        self.stopping = False
        self.events: asyncio.Queue[Event | None] = asyncio.Queue()
        self.told: set[int] = set()
        """Task rows that an event was made of."""
        self.transfers = asyncio.Semaphore(config.parallel_transfers)
        self.queries = asyncio.Semaphore(config.parallel_queries)
        self._costs: dict[tuple[str, str | None], CostSeen] = {}
        self.plans = {
            stage.key: PollPlan(ledger.history.seconds(stage.key), shortest=config.poll_seconds)
            for stage in STAGES
        }

    def estimate(self, stage: Stage, mode: str | None, seconds: float | None) -> Estimate:
        """What a task may cost; `seconds` of speech, where it has any."""
        return estimate_of(
            stage,
            mode,
            seconds,
            seen=self._cost_seen(stage.key, mode).of(seconds),
            prices=self.config.prices,
        )

    def learn_cost(self, task: Task, booked: float | None) -> None:
        """A task ended and says what it cost."""
        if booked is not None:
            known = self._cost_seen(task.stage, task.mode)
            self._costs[task.stage, task.mode] = known.and_of(booked, task.seconds)

    def _cost_seen(self, stage_key: str, mode: str | None) -> CostSeen:
        key = (stage_key, mode)
        if key not in self._costs:
            self._costs[key] = self.ledger.history.cost_seen(stage_key, mode)
        return self._costs[key]

    @property
    def me(self) -> str:
        """The producer's id in the ledger."""
        return self.owner.id

    def emit(self, event: Event) -> None:
        """Tell what happened."""
        if isinstance(event, Made):
            self.told.add(event.task.id)
        self.events.put_nowait(event)

    def emit_unordered(self, task: Task) -> None:
        """Tell of a row that was brought home for no open order, unless it was told already."""
        if task.state is TaskState.STORED and task.id not in self.told:
            self.emit(Made(task.product_id, task.stage, task, None, task.inputs))

    def deadline(self, stage: Stage) -> float:
        """Seconds after which a task of this stage counts as stalled."""
        return self.config.deadline_seconds.get(stage.kind, stage.deadline_seconds)

    def typical(self, stage_key: str) -> float:
        """Median seconds of a stage; a guess in proportion until the ledger knows better."""
        return self.plans[stage_key].typical or BY_KEY[stage_key].typical_seconds
