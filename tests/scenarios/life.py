"""One life of a process with an engine: real ledger file, store, HTTP and signals, no Dagster.

It does what `defs.run.Production` does for a run; an event of Dagster's is a line of a file.
Processes come from a fork server that has imported everything: they start in milliseconds.
"""

from __future__ import annotations

import json
import multiprocessing
import secrets
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, NoReturn

from tests.engine.world import ALL_STAGES, FakeFiles, fates
from tests.scenarios.windows import End
from topview_pipeline.catalogue import Product
from topview_pipeline.engine import (
    Context,
    EngineThread,
    Event,
    Made,
    Observed,
    ProductWork,
    RunInfo,
    Timing,
)
from topview_pipeline.ledger import Ledger, Task
from topview_pipeline.settings import PipelineConfig
from topview_pipeline.store import Store
from topview_pipeline.topview.client import TopviewClient
from topview_pipeline.topview.errors import NotTopview

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

NOT_TOPVIEW: Final = 3
"""Exit code of a life whose first question was answered by something else than Topview."""
TERMINATED: Final = 4
"""Exit code of a life that SIGTERM ended."""
Fates = dict[tuple[str, str], str]
"""The outcome of each product's stage; see `world.fates`."""


@dataclass(frozen=True)
class Life:
    """The orders of a process.

    Attributes:
        folder: of ledger, store and events; it outlives the process.
        root_run_id: of the run that this one starts again; None: it is the first.
        explicit: a person asked for all stages of the products; else it is the sensor's run.
        ahead: seconds that its clock, and the ledger's, are ahead of the machine's.
        config: of the pipeline.
        timing: the engine's waits.
    """

    folder: Path
    base_url: str
    uid: str
    api_key: str
    products: tuple[Product, ...]
    run_id: str
    root_run_id: str | None = None
    explicit: bool = True
    force: bool = False
    end: End | None = None
    ahead: float = 0.0
    config: Mapping[str, Any] = field(default_factory=dict)
    timing: Timing = field(default_factory=Timing)

    def clock(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self.ahead

    @property
    def ends(self) -> Path:
        """The file of its fates."""
        return self.folder / f"{self.run_id}.json"

    def ledger(self) -> Ledger:
        """The ledger, as this process opens it."""
        url = f"sqlite:///{self.folder}/ledger.db"
        return Ledger(url, base_url=self.base_url, uid=self.uid, clock=self.clock)


class Terminated(BaseException):
    """SIGTERM, raised in the main thread, as Dagster does."""


def _terminated(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


def live(life: Life) -> None:
    """The process's main function; it leaves its fates in a file, unless it is killed."""
    signal.signal(signal.SIGTERM, _terminated)
    if life.end is not None:
        life.end.arm()
    ledger, events, exit_code = life.ledger(), list[Event](), 0
    try:
        _produce(life, ledger, events)
    except Terminated:
        exit_code = TERMINATED
    except NotTopview:
        exit_code = NOT_TOPVIEW
    finally:
        ledger.close()
    ends = fates(event for event in events if not isinstance(event, Observed))
    life.ends.write_text(json.dumps([[*key, fate] for key, fate in ends.items()]))
    sys.exit(exit_code)


def _produce(life: Life, ledger: Ledger, events: list[Event]) -> None:
    orphans, works = _wanted(life, ledger)
    worker = secrets.token_hex(16)

    def context(client: TopviewClient) -> Context:
        return Context(
            client=client,
            ledger=ledger,
            store=Store(str(life.folder / "store")),
            files=FakeFiles(),
            run=RunInfo(life.run_id, life.root_run_id or life.run_id, life.explicit),
            config=PipelineConfig(**life.config),
            submit_seconds=client.timeouts.submit.whole,
            worker=worker,
            timing=life.timing,
            clock=life.clock,
        )

    ledger.workers.start(worker, run_id=life.run_id)
    client = TopviewClient(base_url=life.base_url, uid=life.uid, api_key=life.api_key)
    leave = lambda: ledger.workers.end(worker)  # noqa: E731 - as Production's
    thread = EngineThread(client, context, orphans=orphans, leave=leave)
    try:
        for work in works:
            thread.put(work)
        thread.no_more()
        for event in thread.events():
            events.append(event)
            if isinstance(event, Made):
                with (life.folder / "events.jsonl").open("a", encoding="utf-8") as file:
                    file.write(json.dumps([event.product_id, event.stage]) + "\n")
                ledger.tasks.reported(event.task.id, event.product_id, who=life.run_id)
    finally:
        thread.close()


def _wanted(life: Life, ledger: Ledger) -> tuple[tuple[Task, ...], list[ProductWork]]:
    """Orphans and works: all of a person's products, or what the sensor finds."""
    if life.explicit:
        return (), [ProductWork(one, ALL_STAGES, force=life.force) for one in life.products]
    products = {one.product_id: one for one in life.products}
    due = [
        ProductWork(products[row.product_id], (row.stage,), retry_of=row)
        for row in ledger.orphans.retries_due()
    ]
    return tuple(ledger.orphans.all()), due


@contextmanager
def born(life: Life) -> Iterator[ForkServerProcess]:
    """A process with this life; it is killed when the block ends."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=live, args=(life,), daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def ended(life: Life, process: ForkServerProcess, seconds: float = 60.0) -> tuple[int, Fates]:
    """Wait for the end of a life: the exit code (-9: killed), and its fates."""
    process.join(seconds)
    assert process.exitcode is not None, f"it still lived after {seconds:g} s"
    if not life.ends.exists():
        return process.exitcode, {}
    ends = json.loads(life.ends.read_text())
    return process.exitcode, {(product_id, stage): fate for product_id, stage, fate in ends}
