"""A whole little world for producers: the sandbox, a ledger, a store, a virtual clock."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
from PIL import Image

from tests.virtual_time import VirtualClock, inline
from topview_pipeline.artifacts import ArtifactStore
from topview_pipeline.catalogue import Product
from topview_pipeline.defs.pending import room_under, take_up
from topview_pipeline.inputs import InputFile
from topview_pipeline.ledger import Ledger, Owner, Task, TaskState, Wanted
from topview_pipeline.ledger.database import Database
from topview_pipeline.producer import (
    Desk,
    Event,
    Failed,
    Held,
    Made,
    Parked,
    Producer,
    ProducerConfig,
    Run,
    Work,
)
from topview_pipeline.sandbox.app import create_app
from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.stages import STAGES, stages_named
from topview_pipeline.stages.shapes import shape_of
from topview_pipeline.topview.client import TopviewClient

BASE_URL = "http://127.0.0.1:1"
MEDIANS = {"remove_background": 3.0, "image_replace": 20.0, "image2Video": 45.0}
HOUR = 3600.0
DAY = 24 * HOUR
ALL_STAGES = tuple(stage.key for stage in STAGES)


def product(product_id: str, **changes: Any) -> Product:
    """A product that needs nothing but a photo, a template and a script."""
    plain = Product(
        product_id=product_id,
        image=f"photo of {product_id}",
        product_image_file_id=None,
        template_image="template",
        template_image_file_id=None,
        avatar_id=None,
        location=None,
        image_edit_prompt="put it into the hand",
        user_face_image=None,
        user_face_image_file_id=None,
        script=f"This is {product_id}.",
        audio=None,
        audio_file_id=None,
        voice_id="zeeTdrCqbhpVKOucLtOKdhytM7rbJx5t",
        caption_id="3cfcb29df99746d4b438e169dda47647",
        mode="avatar2",
        chosen_image=None,
    )
    return replace(plain, **changes)


class FakeInputs:
    """Photos whose bytes are named by their reference; `contents` can change them."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    def data(self, ref: str) -> bytes:
        """The bytes behind a reference: really a picture, so that Topview takes it."""
        return self.contents.get(ref, _picture(ref))

    def sha256(self, ref: str) -> str:
        return hashlib.sha256(self.data(ref)).hexdigest()

    def read(self, ref: str, *, kind: str) -> InputFile:
        return InputFile(self.data(ref), self.sha256(ref), "png")


def _picture(ref: str) -> bytes:
    shade = hashlib.sha256(ref.encode()).digest()
    image = Image.new("RGB", (8, 8), (shade[0], shade[1], shade[2]))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue() + shade


@dataclass(frozen=True)
class Watcher(Owner):
    """Looks at other producers: those are dead that a test has killed."""

    dead: set[str] = field(default_factory=set)

    def is_alive(self, other: Mapping[str, Any], *, now: float) -> bool:
        return other["ended_at"] is None and other["id"] not in self.dead


class Killed(BaseException):
    """`kill -9`: from here on this process does nothing at all."""


@dataclass
class Death:
    """Ends a process at its nth write to the ledger, before it or right after its commit."""

    at: int
    after_commit: bool
    writes: int = 0

    @property
    def came(self) -> bool:
        """Whether the process is dead."""
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
        except Killed:
            pass
        finally:
            del database.write


class World:
    """Runs producers one after the other, or together, against one sandbox.

    Args:
        config: of the producers; its slots are those of the sandbox.
        server: answers instead of the sandbox, given the sandbox.
        ledger_url: of the ledger; else it is on SQLite in the folder.
        sandbox: fields of SandboxConfig.
    """

    def __init__(
        self,
        folder: Path,
        *,
        config: ProducerConfig | None = None,
        server: Callable[[Any], Any] | None = None,
        ledger_url: str | None = None,
        **sandbox: Any,
    ) -> None:
        self.clock = VirtualClock()
        self.skew = 0.0
        """Seconds by which the clock of our machine is off."""
        settings: dict[str, Any] = {
            "media": "tiny",
            "media_workers": 0,
            "medians": MEDIANS,
            "concurrency": 4,
            **sandbox,
        }
        self.settings = SandboxConfig(**settings)
        self.app = create_app(self.settings, clock=self.clock, sleep=asyncio.sleep)
        self.server = self.app if server is None else server(self.app)
        self.folder = folder
        self.watcher = Watcher()
        self.ledger_url = ledger_url or f"sqlite:///{folder}/ledger.db"
        self.ledger = self.open_ledger()
        self.store = ArtifactStore(str(folder / "store"))
        self.inputs = FakeInputs()
        self.config = config or ProducerConfig(slots=self.settings.concurrency)
        self.runs = 0
        self.refused: dict[tuple[str, str], str] = {}

    def machine(self) -> float:
        """The wall clock of our machine."""
        return self.clock() + self.skew

    def open_ledger(self) -> Ledger:
        """The ledger, as another process opens it; without fsync, as no power cut is tested."""
        ledger = Ledger(
            self.ledger_url,
            base_url=BASE_URL,
            uid=self.settings.uid,
            clock=self.machine,
            observer=self.watcher,
        )
        engine = ledger._database._engine
        if engine.dialect.name == "sqlite":
            sa.event.listen(
                engine,
                "connect",
                lambda connection, _: connection.execute("PRAGMA synchronous=OFF"),
            )
            engine.dispose()
        return ledger

    def close(self) -> None:
        self.ledger.close()
        self.app.state.world.close()
        self.clock.close()

    def client(self) -> TopviewClient:
        return TopviewClient(
            base_url=BASE_URL,
            uid=self.settings.uid,
            api_key=self.settings.api_key,
            transport=httpx.ASGITransport(app=self.server),
            media_transport=httpx.ASGITransport(app=self.server),
        )

    def run(self, products: Sequence[Product], **options: Any) -> list[Event]:
        """Run a producer over products until it ends, as a run of Dagster would."""
        return self.clock.run(self.produce(products, **options))

    def run_together(self, *runs: tuple[Sequence[Product], dict[str, Any]]) -> list[list[Event]]:
        """Several runs at the same time."""

        async def together() -> list[list[Event]]:
            return await asyncio.gather(
                *(self.produce(products, **options) for products, options in runs)
            )

        return self.clock.run(together())

    def catch_up(self, products: Sequence[Product]) -> list[Event]:
        """The sensor's run: open orders that are due, and tasks that nobody watches."""
        found = take_up(
            self.ledger.orders.open_orders(),
            rows := self.ledger.tasks.on_their_way(),
            now=self.machine(),
            is_alive=self.ledger.producers.is_alive,
            room=room_under(self.ledger, self.config.credits_a_day),
        )
        resume = tuple(row for row in rows if row.id in found.strays)
        return self.run(products, explicit=False, only=set(found.orders), resume=resume)

    def later(self, seconds: float) -> None:
        """Time passes with nobody at work."""
        self.clock.run(asyncio.sleep(seconds))

    def kill_at(
        self, write: int, products: Sequence[Product], *, after_commit: bool, **options: Any
    ) -> bool:
        """Run, and die at the nth write; whether it came to that."""
        death = Death(write, after_commit)
        owner = Owner()
        with death.of(self.ledger._database):
            self.run(products, owner=owner, **options)
        if death.came:
            self.watcher.dead.add(owner.id)
        return death.came

    async def produce(
        self,
        products: Sequence[Product],
        *,
        stages: Iterable[str] = (),
        force: bool = False,
        only: set[tuple[str, str]] | None = None,
        explicit: bool = True,
        run_id: str | None = None,
        root_run_id: str | None = None,
        config: ProducerConfig | None = None,
        ledger: Ledger | None = None,
        owner: Owner | None = None,
        resume: tuple[Task, ...] = (),
        keep: bool = True,
        stop_after: float | None = None,
        credit_limit: float | None = None,
        **changes: Any,
    ) -> list[Event]:
        """One run.

        Args:
            only: the orders to take, of all stages.
            keep: mark what was made as stored by Dagster, as the op does.
            credit_limit: of the run's orders.
            stop_after: seconds until a person stops it.
            changes: of the configuration.
        """
        self.runs += 1
        run_id = run_id or f"run-{self.runs}"
        ledger = ledger or self.ledger
        async with self.client() as client:
            desk = Desk(
                client=client,
                ledger=ledger,
                store=self.store,
                inputs=self.inputs,
                run=Run(run_id, root_run_id or run_id, explicit),
                config=replace(config or self.config, **changes),
                owner=owner or Owner(),
                clock=self.machine,
                ticks=self.clock.loop.time,
                offload=inline,
                submit_seconds=client.timeouts.submit_total,
            )
            producer = Producer(desk)
            if stop_after is not None:
                asyncio.get_running_loop().call_later(stop_after, producer.stop)
            wanted = [
                Wanted(one.product_id, stage.key, "ordered", force)
                for one in products
                for stage in stages_named(tuple(stages))
                if only is None or (one.product_id, stage.key) in only
            ]
            events = []
            stream = producer.stream(
                self._work(desk, products, wanted, credit_limit), resume=resume
            )
            async with aclosing(stream):
                async for event in stream:
                    events.append(event)
                    if keep and isinstance(event, Made):
                        ledger.tasks.materialized(event.task.id)
                        if event.order_id is not None:
                            ledger.orders.done(event.order_id, event.task.id)
        return events

    async def _work(
        self,
        desk: Desk,
        products: Sequence[Product],
        wanted: Sequence[Wanted],
        credit_limit: float | None,
    ) -> AsyncIterator[Work]:
        placed = desk.ledger.orders.place(
            wanted,
            run_id=desk.run.run_id,
            root_run_id=desk.run.root_run_id,
            owner=desk.me,
            only_open=not desk.run.explicit,
            credit_limit=credit_limit,
        )
        self.refused |= placed.refused
        for one in products:
            orders = {
                stage: order
                for (product_id, stage), order in placed.orders.items()
                if product_id == one.product_id
            }
            shapes = {stage.key: shape_of(stage, one, self.inputs.sha256) for stage in STAGES}
            if orders:
                yield Work(one, orders, shapes)

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
        """How many submits reached the sandbox, whatever became of them."""
        return sum(self.counters()["submits"].values())

    def set_faults(self, **probabilities: float) -> None:
        """Replace the sandbox's faults; none named: calm."""
        self.control("PUT", "faults", **probabilities)

    def rows(self, *states: TaskState) -> list[Task]:
        """The ledger's task rows, of these states or all."""
        return self.ledger.tasks.in_state(states or tuple(TaskState))

    def assert_nothing_paid_twice(self) -> None:
        """No second success for the same paid work, and never more tasks than slots."""
        counters = self.counters()
        assert counters["duplicate_tasks"] == []
        assert counters["slots"]["peak"] <= self.settings.concurrency

    def assert_nothing_lost(self) -> None:
        """What Topview finished is in the store, but for lost answers: those are named."""
        unknown = self.rows(TaskState.UNKNOWN)
        assert len(self.counters()["orphan_tasks"]) <= len(unknown)
        assert self.rows(TaskState.SUCCEEDED, TaskState.RESERVED) == []


def fates(events: Iterable[Event]) -> dict[tuple[str, str], str]:
    """What became of each product's stage: made, failed, held or parked."""
    names = {Made: "made", Failed: "failed", Held: "held", Parked: "parked"}
    return {(event.product_id, event.stage): names[type(event)] for event in events}


def everything(fate: str, *product_ids: str) -> dict[tuple[str, str], str]:
    """All stages of these products with one fate."""
    return {(product_id, stage): fate for product_id in product_ids for stage in ALL_STAGES}
