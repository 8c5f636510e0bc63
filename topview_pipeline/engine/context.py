"""Context of all parts of one engine: collaborators, configuration, clocks and signs of life."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ParamSpec, TypeVar

from topview_pipeline.catalogue import InputFiles, Product
from topview_pipeline.engine.events import Event, Made, Warned
from topview_pipeline.engine.inputs import Offload, Reader, in_thread
from topview_pipeline.engine.poll_plan import PollPlan
from topview_pipeline.engine.scene_judge import Judge
from topview_pipeline.ledger import IllegalMove, Ledger, Task, TaskState
from topview_pipeline.prices import CostSeen, Estimate, PriceList, estimate
from topview_pipeline.settings import Gate, PipelineConfig
from topview_pipeline.stages import STAGES, ProofLists, Stage
from topview_pipeline.store import Store
from topview_pipeline.topview.client import TopviewClient

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class RunInfo:
    """The Dagster run that an engine works for.

    Attributes:
        root_run_id: of the run that this one re-executes, else its own; or a schedule's occasion.
        explicit: a person or a schedule asked, not the sensor: failed work is tried now.
        credit_limit: the most credits that the tasks of the root run may cost; None: no limit.
        gate, canary: override the pipeline's, and the gate also the rows'.
        occasion: the day of a schedule, however often it runs, with one limit and one more attempt
            at what failed; None: the run is its own.
    """

    run_id: str
    root_run_id: str
    explicit: bool = True
    credit_limit: float | None = None
    gate: Gate | None = None
    canary: int | None = None
    occasion: str | None = None


@dataclass(frozen=True)
class ProductWork:
    """One product and the stages that are wanted for it.

    Attributes:
        stages: their keys, in pipeline order.
        asked: all stages that the run was asked for, up to date or not: what Topview forgot of them
            is remade. Empty: `stages`.
        force: make them again, though they exist; once per root run.
        keep_made: hold what was made and would be remade: no guard has passed it.
        retry_of: the failed attempt that the sensor's run tries again.
    """

    product: Product
    stages: tuple[str, ...]
    asked: tuple[str, ...] = ()
    force: bool = False
    keep_made: bool = False
    retry_of: Task | None = None


@dataclass(frozen=True)
class Timing:
    """Waits of the engine, in seconds. Tests shorten them."""

    retry: float = 30.0
    """Before the second attempt after a failed task; doubles with each."""
    busy: float = 30.0
    """After 4007, 5003 and 429 without Retry-After (Topview's own advice)."""
    network: float = 2.0
    """First wait after a connection that could not be made, or a download that broke."""


class Activity:
    """Signs of life: a run that makes no progress for its wait time ends."""

    def __init__(self, ticks: Callable[[], float]) -> None:
        self._ticks = ticks
        self._last = ticks()
        self._under_way: Counter[str] = Counter()
        self.changed = asyncio.Event()

    def progress(self) -> None:
        """A product of the run came forward."""
        self._last = self._ticks()
        self.changed.set()

    def busy(self) -> AbstractContextManager[None]:
        """Uploading or downloading: cut off only by a stop."""
        return self._during("busy")

    def submitting(self) -> AbstractContextManager[None]:
        """A POST is under way, or its answer is being written down: never cut off."""
        return self._during("busy", "submitting")

    def asking(self) -> AbstractContextManager[None]:
        """A question that can be asked again: it may be cut off."""
        return self._during("asking")

    @contextmanager
    def _during(self, *what: str) -> Iterator[None]:
        self._under_way.update(what)
        try:
            yield
        finally:
            self._under_way.subtract(what)
            self.changed.set()

    @property
    def is_busy(self) -> bool:
        return self._under_way["busy"] > 0

    @property
    def is_submitting(self) -> bool:
        return self._under_way["submitting"] > 0

    @property
    def is_asking(self) -> bool:
        return self._under_way["asking"] > 0

    def idle_seconds(self) -> float:
        return self._ticks() - self._last


class Estimator:
    """Estimates tasks by what such tasks cost so far, else by the price list."""

    def __init__(self, ledger: Ledger, prices: PriceList) -> None:
        self._prices = prices
        self._cost_seen = ledger.history.cost_seen
        self._costs: dict[tuple[str, str | None], CostSeen] = {}

    def __call__(
        self, stage: Stage, mode: str | None, seconds: float | None, usual: float | None = None
    ) -> Estimate:
        """The credits of a task; `seconds` of speech, spoken slowly and at the usual pace."""
        seen = self._seen(stage.key, mode)
        of = stage.kind, mode, seconds
        return estimate(*of, free=stage.free, seen=seen, prices=self._prices, usual=usual)

    def learn(self, task: Task, booked: float | None) -> None:
        """A finished task says what it cost; what was not asked for yet, the ledger will say."""
        known = self._costs.get((task.stage, task.mode))
        if booked is not None and known is not None:
            self._costs[task.stage, task.mode] = known.and_of(booked, task.seconds)

    def _seen(self, stage: str, mode: str | None) -> CostSeen:
        if (stage, mode) not in self._costs:
            self._costs[stage, mode] = self._cost_seen(stage, mode)
        return self._costs[stage, mode]


@dataclass
class Context:
    """Collaborators, configuration and clocks of one engine.

    Attributes:
        worker: the engine's id in the ledger.
        submit_seconds: all of a submit's timeouts together.
        clock: seconds since the epoch, compared with the ledger's times.
        ticks: seconds of a monotonic clock.
        offload: runs a blocking call elsewhere.
        apart: likewise, and one that hangs keeps no thread of the others'.
        beside: likewise for calls of the ledger; None: called in place.
        stopping: nothing new is submitted any more.
    """

    client: TopviewClient
    ledger: Ledger
    store: Store
    files: InputFiles
    run: RunInfo
    config: PipelineConfig
    submit_seconds: float
    worker: str = field(default_factory=lambda: secrets.token_hex(16))
    stages: Sequence[Stage] = STAGES
    timing: Timing = field(default_factory=Timing)
    clock: Callable[[], float] = time.time
    ticks: Callable[[], float] = time.monotonic
    offload: Offload = asyncio.to_thread
    apart: Offload = in_thread
    beside: Offload | None = None
    judge: Judge | None = None
    stopping: bool = False

    def __post_init__(self) -> None:
        self.activity = Activity(self.ticks)
        self.events: asyncio.Queue[Event | None] = asyncio.Queue()
        self.by_key = {stage.key: stage for stage in self.stages}
        self.proofs = ProofLists(
            self.client,
            refuse=self.config.unknown_ids == "fail",
            when_no_face=self.config.when_no_face,
            warn=lambda what: self.emit(Warned(what)),
        )
        # Reading, sending and downloading apart: an outage of one must not starve the others.
        self.reader = Reader(self.files, self.apart)
        self.reading = asyncio.Semaphore(8)
        self.sending = asyncio.Semaphore(8)
        self.downloading = asyncio.Semaphore(8)
        self.querying = asyncio.Semaphore(32)
        self.plans = {
            stage.key: PollPlan(
                self.ledger.history.seconds(stage.key), shortest=self.config.poll_seconds
            )
            for stage in self.stages
        }
        self._reported: set[int] = set()
        self.estimate = Estimator(self.ledger, self.config.prices)

    async def look(self, call: Callable[P, R], *given: P.args, **named: P.kwargs) -> R:
        """Ask the ledger what changes nothing: a cancellation does not wait for the answer."""
        if self.beside is None:
            return call(*given, **named)
        answer: R = await self.beside(partial(call, *given, **named))
        return answer

    async def in_ledger(self, call: Callable[P, R], *given: P.args, **named: P.kwargs) -> R:
        """Call the ledger, which does not hold up the loop.

        Nothing cuts a call off: a cancellation comes at what the caller awaits next.
        """
        if self.beside is None:
            return call(*given, **named)
        asked: asyncio.Future[R] = asyncio.ensure_future(
            self.beside(partial(call, *given, **named))
        )
        current, cancelled = asyncio.current_task(), False
        while not asked.done():
            try:
                await asyncio.wait({asked})
            except asyncio.CancelledError:
                cancelled = True
        if cancelled and current is not None:
            current.cancel()
        return asked.result()

    async def moved(self, move: Callable[..., Task], task: Task, **values: Any) -> Task:
        """The row after a move of `ledger.tasks`, or as somebody else has moved it before."""
        try:
            return await self.in_ledger(move, task.id, who=self.worker, **values)
        except IllegalMove:
            return await self.in_ledger(self.ledger.tasks.get, task.id)

    def emit(self, event: Event) -> None:
        if isinstance(event, Made):
            self._reported.add(event.task.id)
        self.events.put_nowait(event)

    def emit_orphan(self, task: Task) -> None:
        """Report a stored row that this run was not asked for, unless it was reported already."""
        if task.state is TaskState.STORED and task.id not in self._reported:
            self.emit(Made(task.product_id, task.stage, task, task.inputs, wanted=False))

    def deadline(self, stage: Stage) -> float:
        """Seconds after which a task of this stage is overdue."""
        return self.config.deadline_seconds.get(stage.kind, stage.deadline_seconds)

    def typical(self, stage_key: str) -> float:
        """Median seconds of a stage's tasks; a guess until the ledger knows better."""
        stage = self.by_key[stage_key]
        probed = self.config.typical_seconds(stage.kind)
        return self.plans[stage_key].typical or probed or stage.typical_seconds


async def until_set(event: asyncio.Event, seconds: float | None) -> None:
    """Wait until the event is set; it is also set when the time is over.

    Not `asyncio.wait_for`: before Python 3.12 it swallows a cancellation that comes together with
    the event, and the caller that cancelled waits for ever.
    """
    if seconds is None:
        await event.wait()
        return
    timer = asyncio.get_running_loop().call_later(max(seconds, 0.0), event.set)
    try:
        await event.wait()
    finally:
        timer.cancel()
