"""The engine in its own thread: its events, its worker's heartbeat, and what ends it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.engine.world import (
    BASE_URL,
    DEFAULTS,
    FakeFiles,
    client_of,
    everything,
    fates,
    product,
)
from topview_pipeline.engine import Context, EngineThread, Made, ProductWork, RunInfo
from topview_pipeline.ledger import Ledger, LedgerUnavailable
from topview_pipeline.ledger.database import Database
from topview_pipeline.sandbox.api.app import create_app
from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.settings import PipelineConfig
from topview_pipeline.stages import STAGES
from topview_pipeline.store import Store
from topview_pipeline.topview.client import TopviewClient

CUT_OUT = ("bgRemovedImage",)
WORKER = "this worker"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db", base_url=BASE_URL, uid="u")
    ledger.workers.start(WORKER, run_id="run")
    yield ledger
    ledger.close()


@pytest.fixture
def sandbox() -> Iterator[Any]:
    config = SandboxConfig(uid="u", api_key="k", media="tiny", media_workers=0, speed=100.0)
    app = create_app(config)
    yield app
    app.state.world.close()


def _start(folder: Path, ledger: Ledger, server: Any, **options: Any) -> EngineThread:
    def context_of(opened: TopviewClient) -> Context:
        return Context(
            client=opened,
            ledger=ledger,
            store=Store(str(folder / "store")),
            files=FakeFiles(),
            run=RunInfo("run", "run"),
            config=PipelineConfig.model_construct(**{**DEFAULTS, "poll_seconds": 0.05}),
            worker=WORKER,
            submit_seconds=1.0,
        )

    client = client_of(server, uid="u", api_key="k")
    return EngineThread(client, context_of, leave=lambda: ledger.workers.end(WORKER), **options)


def test_its_worker_leaves_with_it(tmp_path: Path, ledger: Ledger, sandbox: Any) -> None:
    thread = _start(tmp_path, ledger, sandbox)
    thread.put(ProductWork(product("a"), tuple(stage.key for stage in STAGES)))
    thread.no_more()
    made = [event for event in thread.events() if isinstance(event, Made)]
    assert fates(made) == everything("made", "a")
    assert ledger.workers.is_alive(WORKER)
    thread.close()
    thread.close()
    assert not ledger.workers.is_alive(WORKER)


def test_closing_it_ends_the_engine(tmp_path: Path, ledger: Ledger, sandbox: Any) -> None:
    """The op failed, or a person stopped the run: nobody reads the events any more."""
    thread = _start(tmp_path, ledger, sandbox)
    for number in range(5):
        thread.put(ProductWork(product(f"p{number}"), CUT_OUT))
    thread.close()
    assert not ledger.workers.is_alive(WORKER)
    assert threading.active_count() < 5


def test_a_server_is_asked_outside_of_the_loops_thread(
    tmp_path: Path, ledger: Ledger, sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Milliseconds away, it would hold up every poll and every submit for each answer."""
    asked: set[tuple[str, str]] = set()
    for name in ("read", "write"):
        real = getattr(Database, name)

        @contextmanager
        def noted(*given: Any, _real: Any = real, **named: Any) -> Iterator[sa.Connection]:
            thread = threading.current_thread().name.partition("_")[0]
            asked.add((thread, sys._getframe(2).f_code.co_name))
            with _real(*given, **named) as connection:
                yield connection

        monkeypatch.setattr(Database, name, noted)
    monkeypatch.setattr(Ledger, "is_remote", True)
    thread = _start(tmp_path, ledger, sandbox)
    thread.put(ProductWork(product("a"), tuple(stage.key for stage in STAGES)))
    thread.no_more()
    made = [event for event in thread.events() if isinstance(event, Made)]
    assert fates(made) == everything("made", "a")
    thread.close()
    in_threads = {what for name, what in asked if name == "topview-ledger"}
    assert {"to_decide", "reserve", "_move", "rows", "remember"} <= in_threads
    # Once a run, and at its end:
    assert {what for name, what in asked if name == "topview-engine"} <= {"rows", "beat"}


def test_what_ended_the_engine_is_raised_to_the_reader_of_its_events() -> None:
    def context_of(_: TopviewClient) -> Context:
        raise LedgerUnavailable("the disk is gone")

    client = client_of(None, uid="u", api_key="k")
    thread = EngineThread(client, context_of, leave=lambda: None)
    try:
        with pytest.raises(LedgerUnavailable):
            list(thread.events())
        thread.put(ProductWork(product("a"), CUT_OUT))
        thread.no_more()
        thread.stop()
        assert list(thread.events()) == []
    finally:
        thread.close()


def test_the_heartbeat_goes_on_until_the_last_events_are_stored(
    tmp_path: Path, ledger: Ledger, sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine itself has ended: its rows would pass for a dead run's."""
    beats = threading.Semaphore(0)
    monkeypatch.setattr(ledger.workers, "beat", lambda _worker: beats.release())
    thread = _start(tmp_path, ledger, sandbox, heartbeat_seconds=0.01)
    thread.no_more()
    assert list(thread.events()) == []
    for _ in range(5):
        assert beats.acquire(timeout=30.0)
    thread.close()
    while beats.acquire(blocking=False):
        pass
    assert not beats.acquire(timeout=0.1)
