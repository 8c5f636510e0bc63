"""One life of a process that produces: real ledger file, store, HTTP and signals, no Dagster.

It does what `defs.producing.Production` does for a run; what Dagster would store is a line of a
file. Processes come from a fork server that has imported everything: they start in milliseconds.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, NoReturn

from tests.producer.world import FakeInputs, fates
from tests.scenarios.windows import End, Ender
from topview_pipeline.artifacts import ArtifactStore
from topview_pipeline.catalogue import Product
from topview_pipeline.defs.pending import take_up
from topview_pipeline.ledger import Ledger, Order, Owner, Task, Wanted
from topview_pipeline.producer import Desk, Event, Made, ProducerConfig, ProducerThread, Run, Work
from topview_pipeline.stages import STAGES
from topview_pipeline.stages.shapes import shape_of
from topview_pipeline.topview.client import TopviewClient
from topview_pipeline.topview.errors import NotTopview

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

NOT_TOPVIEW: Final = 3
"""Exit code of a life whose first question was answered by something else than Topview."""
Fates = dict[tuple[str, str], str]
"""What became of each product's stage; see `world.fates`."""


@dataclass(frozen=True)
class Life:
    """What a process is told when it begins.

    Attributes:
        folder: of ledger, store and events; it outlives the process.
        explicit: a person asked for all stages of the products; else it is the sensor's run.
        ahead: seconds that its clock, and the ledger's, are ahead of the machine's.
    """

    folder: Path
    base_url: str
    uid: str
    api_key: str
    products: tuple[Product, ...]
    run_id: str
    explicit: bool = True
    end: End | None = None
    ahead: float = 0.0
    config: Mapping[str, Any] = field(default_factory=dict)

    def clock(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self.ahead

    def ledger(self) -> Ledger:
        """The ledger, as this process opens it."""
        return Ledger(
            f"sqlite:///{self.folder}/ledger.db",
            base_url=self.base_url,
            uid=self.uid,
            clock=self.clock,
        )


class Terminated(BaseException):
    """SIGTERM, raised in the main thread, as Dagster does."""


def _terminated(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


class Producing:
    """The process's work."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._ledger = life.ledger()
        self._owner = Owner()
        self._run = Run(life.run_id, life.run_id, life.explicit)
        self._inputs = FakeInputs()
        self._store = ArtifactStore(str(life.folder / "store"))
        self._stop_was_asked = threading.Event()
        if life.end is not None:
            Ender(life.end, life.base_url, self._stop_was_asked).arm()

    def run(self) -> list[Event]:
        """The events, also of a life that SIGTERM ended."""
        self._ledger.producers.start(self._owner, run_id=self._run.run_id)
        events: list[Event] = []
        try:
            orders = self._placed()
            client = TopviewClient(
                base_url=self._life.base_url, uid=self._life.uid, api_key=self._life.api_key
            )
            thread = ProducerThread(
                client, self._desk, resume=self._strays(orders.values()) if self._resumes else ()
            )
            try:
                self._feed(thread, orders)
                for event in thread.events():
                    events.append(event)
                    self._tell(event)
            except BaseException:
                thread.stop()
                self._stop_was_asked.set()
                raise
            finally:
                thread.close()
        except Terminated:
            pass
        finally:
            self._ledger.leave(self._owner)
            self._ledger.close()
        return events

    @property
    def _resumes(self) -> bool:
        return not self._life.explicit

    def _placed(self) -> Mapping[tuple[str, str], Order]:
        placed = self._ledger.orders.place(
            self._wanted(),
            run_id=self._run.run_id,
            root_run_id=self._run.root_run_id,
            owner=self._owner.id,
            only_open=not self._life.explicit,
        )
        if not self._life.explicit:
            self._ledger.orders.take_up(
                [order.id for order in placed.orders.values()],
                run_id=self._run.run_id,
                is_at_work=self._ledger.producers.is_at_work,
            )
        return placed.orders

    def _wanted(self) -> list[Wanted]:
        if self._life.explicit:
            return [
                Wanted(product.product_id, stage.key, "ordered")
                for product in self._life.products
                for stage in STAGES
            ]
        found = take_up(
            self._ledger.orders.open_orders(),
            self._ledger.tasks.on_their_way(),
            now=self._life.clock(),
            is_alive=self._ledger.producers.is_alive,
        )
        return [Wanted(product_id, stage, "taken up") for product_id, stage in found.orders]

    def _strays(self, orders: Sequence[Order] | Any) -> tuple[Task, ...]:
        gone_on_with = {order.task_id for order in orders}
        is_alive = self._ledger.producers.is_alive
        rows = self._ledger.tasks.on_their_way()
        return tuple(r for r in rows if r.id not in gone_on_with and not is_alive(r.owner))

    def _desk(self, client: TopviewClient) -> Desk:
        return Desk(
            client=client,
            ledger=self._ledger,
            store=self._store,
            inputs=self._inputs,
            run=self._run,
            config=ProducerConfig(**self._life.config),
            owner=self._owner,
            clock=self._life.clock,
            submit_seconds=client.timeouts.submit_total,
        )

    def _feed(self, thread: ProducerThread, orders: Mapping[tuple[str, str], Order]) -> None:
        for product in self._life.products:
            mine = {
                stage.key: orders[product.product_id, stage.key]
                for stage in STAGES
                if (product.product_id, stage.key) in orders
            }
            if mine:
                shapes = {s.key: shape_of(s, product, self._inputs.sha256) for s in STAGES}
                thread.put(Work(product, mine, shapes))
        thread.no_more()

    def _tell(self, event: Event) -> None:
        if not isinstance(event, Made):
            return
        with (self._life.folder / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps([event.product_id, event.stage]) + "\n")
        if event.order_id is None:
            self._ledger.tasks.materialized(event.task.id)
        else:
            self._ledger.orders.done(event.order_id, event.task.id)


def live(life: Life, answer: Connection) -> None:
    """The process's main function; it answers with its fates, unless it is killed."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        answer.send(fates(Producing(life).run()))
    except NotTopview:
        sys.exit(NOT_TOPVIEW)
    finally:
        answer.close()


class Living:
    """A process that lives, seen from its parent."""

    def __init__(self, process: ForkServerProcess, answer: Connection) -> None:
        self._process = process
        self._answer = answer

    def kill(self) -> None:
        """`kill -9`."""
        os.kill(self._process.pid or 0, signal.SIGKILL)

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.is_alive()

    def end(self, seconds: float = 60.0) -> tuple[int, Fates]:
        """Wait for its end: the exit code (-9: killed) and what it told."""
        told: Fates = {}
        if self._answer.poll(seconds):
            try:
                told = self._answer.recv()
            except EOFError:
                told = {}
        self._process.join(seconds)
        exit_code = self._process.exitcode
        if exit_code is None:
            self._process.kill()
            raise AssertionError(f"the process still lived after {seconds:g} s")
        return exit_code, told


@contextmanager
def born(life: Life) -> Iterator[Living]:
    """A process with this life; it is killed when the block ends."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=live, args=(life, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Living(process, ours)
    finally:
        process.kill()
        process.join()
        ours.close()
