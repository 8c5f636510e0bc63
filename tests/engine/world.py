"""A small world for engines: the sandbox, a ledger, a store, a virtual clock."""

from __future__ import annotations

import asyncio
import hashlib
import io
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
from PIL import Image

from tests.engine.gateway import Gateway
from tests.stages.fakes import PLAIN
from tests.virtual_time import VirtualClock, inline
from topview_pipeline.catalogue import InputFile, InputFiles, Product
from topview_pipeline.engine import (
    Context,
    Engine,
    Failed,
    Held,
    HoldReason,
    Made,
    Observed,
    ProductWork,
    RunInfo,
    Warned,
)
from topview_pipeline.engine.scene_judge import Judge
from topview_pipeline.ledger import (
    DEAD_AFTER_SECONDS,
    Ledger,
    LedgerUnavailable,
    Task,
    TaskState,
)
from topview_pipeline.ledger.database import Database
from topview_pipeline.media import Verdict
from topview_pipeline.sandbox.api.app import create_app
from topview_pipeline.sandbox.api.faults import FAULTS
from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.settings import DEFAULT_NAME, Gate, PipelineConfig
from topview_pipeline.stages import STAGES, Stage
from topview_pipeline.store import Store
from topview_pipeline.topview.client import TopviewClient

BASE_URL = "http://127.0.0.1:1"
MEDIANS = {"remove_background": 3.0, "image_replace": 20.0, "image2Video": 45.0}
ALL_FAULTS = tuple(FAULTS)
Outcome = Made | Failed | Held
DEFAULTS: Mapping[str, Any] = PipelineConfig.from_environment({}).__dict__
HOUR = 3600.0
DAY = 24 * HOUR
ALL_STAGES = tuple(stage.key for stage in STAGES)
CUT_OUT: dict[str, Any] = {"stages": ALL_STAGES[:1]}


def product(product_id: str, **changes: Any) -> Product:
    """A product that needs nothing but a photo, a template and a script."""
    own: dict[str, Any] = {
        "product_id": product_id,
        "image": f"photo of {product_id}",
        "script": f"This is {product_id}.",
        "voice_id": "zeeTdrCqbhpVKOucLtOKdhytM7rbJx5t",
        "caption_id": "3cfcb29df99746d4b438e169dda47647",
    }
    return replace(PLAIN, **own | changes)


class FakeFiles(InputFiles):
    """Photos whose bytes are named by their reference; `contents` can change them."""

    def __init__(self) -> None:
        super().__init__()
        self.contents: dict[str, bytes] = {}

    def data(self, ref: str) -> bytes:
        """The bytes behind a reference: really a picture, so that Topview takes it."""
        if ref in self.contents:
            return self.contents[ref]
        shade = hashlib.sha256(ref.encode()).digest()
        file = io.BytesIO()
        Image.new("RGB", (8, 8), tuple(shade[:3])).save(file, "PNG")
        return file.getvalue() + shade

    def sha256(self, ref: str) -> str:
        return hashlib.sha256(self.data(ref)).hexdigest()

    def read(self, ref: str, *, kind: str) -> InputFile:
        return InputFile(self.data(ref), self.sha256(ref), "png")


class Killed(BaseException):
    """`kill -9`: from here on this process does nothing."""


@dataclass
class Death:
    """Ends a process at its nth write to the ledger, before it or right after its commit."""

    at: int
    after_commit: bool
    writes: int = 0

    @property
    def came(self) -> bool:
        """The process is dead."""
        return self.writes > self.at or (self.writes == self.at and self.after_commit)

    @contextmanager
    def of(self, database: Database) -> Iterator[None]:
        """Within this block the process that uses the database dies."""
        write = type(database).write.__get__(database)

        @contextmanager
        def dying(*, lock: str | None = None) -> Iterator[sa.Connection]:
            if self.came:
                raise Killed
            self.writes += 1
            if self.writes == self.at and not self.after_commit:
                self.writes += 1
                raise Killed
            with write(lock=lock) as connection:
                yield connection
            if self.came:
                raise Killed

        database.write = dying  # type: ignore[method-assign]  # of this one object
        try:
            yield
        except (Killed, LedgerUnavailable):  # the last words of a dead process
            if not self.came:
                raise
        finally:
            del database.write


class FarLedger:
    """A ledger's server that takes its time: a call of it in the event loop stops all others.

    Args:
        seconds: until it has answered; it acts half-way. 0: SQLite, which is asked in place.
    """

    def __init__(self, database: Database, seconds: float) -> None:
        self._database = database
        self._seconds = seconds
        self._elsewhere = 0

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Within this block a call that would hold up the loop fails."""
        if not self._seconds:
            yield
            return
        database: Any = self._database
        for name in ("read", "write"):
            setattr(database, name, partial(self._opened, getattr(database, name)))
        try:
            yield
        finally:
            del database.read, database.write

    @contextmanager
    def elsewhere(self) -> Iterator[None]:
        """Calls of the block do not run in the loop."""
        self._elsewhere += 1
        try:
            yield
        finally:
            self._elsewhere -= 1

    def _opened(self, transaction: Any, *args: Any, **named: Any) -> Any:
        assert self._elsewhere, "this call of the ledger holds up the event loop"
        return transaction(*args, **named)

    async def beside(self, call: Callable[[], Any]) -> Any:
        """As `Context.beside`."""
        await asyncio.sleep(self._seconds / 2)
        try:
            return await self.apart(call)
        finally:
            await asyncio.sleep(self._seconds / 2)

    async def apart(self, call: Callable[[], Any]) -> Any:
        """As `Context.apart`."""
        with self.elsewhere():
            return call()


class World:
    """Runs engines one after the other, or together, against one sandbox.

    Args:
        config: fields of the PipelineConfig; its slots are those of the sandbox.
        sandbox: fields of SandboxConfig.
    """

    def __init__(
        self,
        folder: Path,
        *,
        config: Mapping[str, Any] | None = None,
        stages: Sequence[Stage] = STAGES,
        ledger_url: str | None = None,
        **sandbox: Any,
    ) -> None:
        self.clock = VirtualClock()
        self.skew = 0.0
        """Seconds by which the clock of our machine is off."""
        tiny: dict[str, Any] = {"media": "tiny", "media_workers": 0, "medians": MEDIANS}
        self.settings = SandboxConfig(**tiny | {"concurrency": 4} | sandbox)
        self.app = create_app(self.settings, clock=self.clock, sleep=asyncio.sleep)
        self.gateway = Gateway(self.app)
        self.folder = folder
        self.stages = stages
        self.ledger_url = ledger_url or f"sqlite:///{folder}/ledger.db"
        self.ledger = self.open_ledger()
        self.others: list[Ledger] = []
        """Of other pipelines of the account."""
        self.store = Store(str(folder / "store"))
        self.files = FakeFiles()
        self.config = PipelineConfig.model_construct(
            **{**DEFAULTS, "slots": self.settings.concurrency, **(config or {})}
        )
        self.runs = 0
        self.warnings: list[str] = []
        self.observed: dict[tuple[str, str, str], list[str]] = {}
        """Data versions in the order of their observation, by (pipeline, source, product)."""

    def machine(self) -> float:
        """The wall clock of our machine."""
        return self.clock() + self.skew

    def open_ledger(self, pipeline: str = DEFAULT_NAME) -> Ledger:
        """The ledger, as another process opens it."""
        of: Any = {"base_url": BASE_URL, "uid": self.settings.uid, "pipeline": pipeline}
        return Ledger(self.ledger_url, clock=self.machine, **of)

    def other(self, pipeline: str) -> Ledger:
        """The ledger as another pipeline of the account sees it, for `run` and `resume`."""
        self.others.append(self.open_ledger(pipeline))
        return self.others[-1]

    def close(self) -> None:
        for ledger in (self.ledger, *self.others):
            ledger.close()
        self.app.state.world.close()
        self.clock.close()

    def client(self) -> TopviewClient:
        return client_of(self.gateway, uid=self.settings.uid, api_key=self.settings.api_key)

    def run(self, products: Sequence[Product], **options: Any) -> list[Outcome]:
        """Run an engine over products until it ends, as a run of Dagster would."""
        return self.clock.run(self.run_async(products, **options))

    def run_together(self, *runs: tuple[Sequence[Product], dict[str, Any]]) -> list[list[Outcome]]:
        """Several runs at the same time."""

        async def together() -> list[list[Outcome]]:
            return await asyncio.gather(
                *(self.run_async(products, **options) for products, options in runs)
            )

        return self.clock.run(together())

    def resume(self, products: Sequence[Product] = (), **options: Any) -> list[Outcome]:
        """The sensor's run: orphans, and failed tasks that are due again."""
        by_id = {one.product_id: one for one in products}
        orphans = (options.get("ledger") or self.ledger).orphans
        works = [
            ProductWork(by_id[row.product_id], (row.stage,), retry_of=row)
            for row in orphans.retries_due()
            if row.product_id in by_id
        ]
        return self.run((), works=works, orphans=tuple(orphans.all()), explicit=False, **options)

    def break_ledger(self) -> None:
        """Another program has locked it: nothing can be written."""

        def locked(*, lock: str | None = None) -> Any:
            raise LedgerUnavailable("the database is locked")

        self.ledger._database.write = locked  # type: ignore[method-assign]  # of this one object

    def repair_ledger(self) -> None:
        """The other program ends."""
        del self.ledger._database.write

    def later(self, seconds: float) -> None:
        """Time passes with nobody at work."""
        self.clock.run(asyncio.sleep(seconds))

    def kill_at(
        self, write: int, products: Sequence[Product], *, after_commit: bool, **options: Any
    ) -> bool:
        """Run, and die at the nth write; tells whether it came to that.

        The next run comes when the worker's heartbeat is old enough.

        Args:
            options: of `run`; with `sensor=True` it is the sensor's run that dies.
        """
        death = Death(write, after_commit)
        run = self.resume if options.pop("sensor", False) else self.run
        with death.of((options.get("ledger") or self.ledger)._database):
            run(products, **options)
        if death.came:
            self.later(DEAD_AFTER_SECONDS + 1.0)
        return death.came

    async def run_async(
        self,
        products: Sequence[Product],
        *,
        stages: Iterable[str] = (),
        works: Sequence[ProductWork] = (),
        force: bool = False,
        explicit: bool = True,
        run_id: str | None = None,
        root_run_id: str | None = None,
        ledger: Ledger | None = None,
        orphans: tuple[Task, ...] = (),
        report: bool = True,
        stop_after: float | None = None,
        credit_limit: float | None = None,
        day_limit: float | None = None,
        run_gate: Gate | None = None,
        run_canary: int | None = None,
        judge: Judge | None = None,
        occasion: str | None = None,
        ledger_seconds: float = 0.0,
        **changes: Any,
    ) -> list[Outcome]:
        """One run, with `changes` of the configuration.

        Args:
            report: Dagster stores the events and the ledger notes it, as the op does.
            stop_after: seconds until a person stops it.
            credit_limit, day_limit: of the run, and of the account's day.
            run_gate, run_canary: the run's own.
            ledger_seconds: see `FarLedger`.
        """
        self.runs += 1
        run_id = run_id or f"run-{self.runs}"
        ledger = ledger or self.ledger
        worker = secrets.token_hex(16)
        ledger.workers.start(worker, run_id=run_id)
        keys = tuple(stages) or tuple(stage.key for stage in self.stages)
        events: list[Outcome] = []
        far = FarLedger(ledger._database, ledger_seconds)
        async with self.client() as client:
            context = Context(
                client=client,
                ledger=ledger,
                store=self.store,
                files=self.files,
                run=RunInfo(
                    run_id,
                    occasion or root_run_id or run_id,
                    explicit,
                    credit_limit,
                    run_gate,
                    run_canary,
                    occasion,
                ),
                config=self.config.model_copy(update={"credit_limit": day_limit, **changes}),
                worker=worker,
                stages=self.stages,
                clock=self.machine,
                ticks=self.clock.loop.time,
                judge=judge,
                offload=inline,
                apart=far.apart,
                submit_seconds=client.timeouts.submit.whole,
                beside=far.beside if ledger_seconds else None,
            )
            engine = Engine(context)
            if stop_after is not None:
                asyncio.get_running_loop().call_later(stop_after, engine.stop)
            wanted = [*works, *(ProductWork(one, keys, force=force) for one in products)]
            running = engine.run(_each(wanted), orphans=orphans)
            async with aclosing(running) as stream:
                with far.guarded():
                    async for event in stream:
                        if isinstance(event, Observed):
                            for source, version in event.versions.items():
                                of = ledger.pipeline, source, event.product_id
                                seen = self.observed.setdefault(of, [])
                                seen.append(version)
                            continue
                        if isinstance(event, Warned):
                            self.warnings.append(event.what)
                            continue
                        events.append(event)
                        if isinstance(event, Made):
                            self._check_observed(event, ledger.pipeline)
                            if report:
                                with far.elsewhere():
                                    ledger.tasks.reported(
                                        event.task.id,
                                        event.product_id,
                                        who=run_id,
                                        quality=_lasting(event.task.quality),
                                    )
        ledger.workers.end(worker)
        return events

    def _check_observed(self, made: Made, pipeline: str) -> None:
        """Its inputs were observed before; else it would be stale at once.

        An orphan is the pipeline's own: the event names one of its products.
        """
        source = next(stage.source for stage in self.stages if stage.key == made.stage)
        if made.wanted:
            assert made.inputs[source] == self.observed[pipeline, source, made.product_id][-1]
        else:
            assert made.task.pipeline == pipeline

    def control(self, method: str, path: str, **body: Any) -> Any:
        """Steer the sandbox."""

        async def ask() -> Any:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url=BASE_URL) as http:
                answer = await http.request(method, f"/_sandbox/{path}", json=body)
                return answer.raise_for_status().json()

        return self.clock.run(ask())

    def counters(self) -> Mapping[str, Any]:
        """The sandbox's own view of what it did."""
        counters: Mapping[str, Any] = self.control("GET", "counters")
        return counters

    def submits(self) -> int:
        """Number of submits that reached the sandbox, whatever became of them."""
        return sum(self.counters()["submits"].values())

    def paid(self) -> tuple[int, int]:
        """Scenes and videos that Topview made."""
        succeeded = self.counters()["succeeded"]
        return succeeded.get("image_replace", 0), succeeded.get("image2Video", 0)

    def set_faults(self, **probabilities: float) -> None:
        """Replace the sandbox's faults; none named: calm."""
        self.control("PUT", "faults", **probabilities)

    def rows(self, *states: TaskState) -> list[Task]:
        """The ledger's task rows, of these states or all, of all pipelines."""
        ledgers = self.ledger, *self.others
        rows = [row for one in ledgers for row in one.tasks.in_state(states or tuple(TaskState))]
        return sorted(rows, key=lambda row: row.id)

    def assert_nothing_paid_twice(self) -> None:
        """No second success for the same paid work, and never more tasks than slots."""
        counters = self.counters()
        assert counters["duplicate_tasks"] == []
        assert counters["slots"]["peak"] <= self.settings.concurrency

    def assert_paid_once(self) -> None:
        """The same, at the end of every test in which nothing was forced or remade."""
        if not any(row.generation for row in self.rows()):
            self.assert_nothing_paid_twice()

    def assert_nothing_lost(self) -> None:
        """All that Topview finished is in the store, but for lost answers: those are named."""
        unknown = self.rows(TaskState.UNKNOWN)
        assert len(self.counters()["orphan_tasks"]) <= len(unknown)
        assert self.rows(TaskState.SUCCEEDED, TaskState.RESERVED) == []


def client_of(server: Any, *, uid: str, api_key: str) -> TopviewClient:
    """A client of an ASGI application, not yet open."""
    transport = httpx.ASGITransport(app=server)
    return TopviewClient(
        base_url=BASE_URL, uid=uid, api_key=api_key, transport=transport, media_transport=transport
    )


def _lasting(quality: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """A verdict as `defs` keeps it: one without a version is measured again."""
    return None if Verdict.from_json(quality) is None else quality


async def _each(works: Iterable[ProductWork]) -> AsyncIterator[ProductWork]:
    for work in works:
        yield work


def fates(events: Iterable[Any]) -> dict[tuple[str, str], str]:
    """The outcome of each product's stage: made, failed or held."""
    names = {Made: "made", Failed: "failed", Held: "held"}
    return {(event.product_id, event.stage): names[type(event)] for event in events}


def holds(events: Iterable[Outcome]) -> list[Held]:
    """The holds that are not only for an earlier stage of the same product."""
    held = [event for event in events if isinstance(event, Held)]
    return [event for event in held if event.reason is not HoldReason.UPSTREAM]


def everything(fate: str, *product_ids: str) -> dict[tuple[str, str], str]:
    """All stages of these products with one fate."""
    return {(product_id, stage): fate for product_id in product_ids for stage in ALL_STAGES}
