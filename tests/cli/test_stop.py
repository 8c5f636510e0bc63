"""Ctrl-C that is ignored, sends on, or shows a traceback, at whatever moment it comes.

TOPVIEW_STOP_MOMENTS sets how many moments of the first 20 seconds are tried (the trial of the
closing note: 300).
"""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import httpx
import pytest

from tests.catalogue.conftest import FileServer, serving
from tests.cli.conftest import Project, ProjectOf, unsigned, wait_for
from topview_pipeline.defs.dagster_private import has_daemon
from topview_pipeline.ledger import Ledger, TaskState
from topview_pipeline.stop import Stop, stop

_FOREIGN = ("Traceback", "KeyboardInterrupt", "Exception ignored", "Interrupted", "watch_orphans")
_COUNT = int(os.environ.get("TOPVIEW_STOP_MOMENTS", "8"))


def moments(count: int) -> list[float]:
    """Moments of the first 20 seconds, half of them in the first 3, where most differs."""
    parts = ((0.3, 3.0, count // 2), (3.0, 8.0, count // 4), (8.0, 20.0, count - 3 * count // 4))
    return [
        round(begin + (end - begin) * number / share, 3)
        for begin, end, share in parts
        for number in range(share)
    ]


@pytest.fixture
def project(project_of: ProjectOf) -> Project:
    """A run that lasts for half a minute."""
    project = project_of(speed=2.0, concurrency=2)
    project.products(6)
    project.environment["TOPVIEW_SLOTS"] = "2"
    return project


def accepted(project: Project) -> int:
    """Tasks that the sandbox has accepted so far."""
    return sum(project.sandbox.counters()["accepted"].values())


@pytest.mark.slow
@pytest.mark.parametrize("moment", moments(_COUNT))
def test_ctrl_c_is_accepted_at_every_moment(project: Project, moment: float) -> None:
    with project.terminal("run") as terminal:
        terminal.read(moment)
        assert terminal.code is None, terminal.text
        terminal.press()
        terminal.read(2.0)
        at_two_seconds = accepted(project)
        code = terminal.end(20.0)
    time.sleep(0.2)
    assert accepted(project) == at_two_seconds, "something was sent later than 2 s after Ctrl-C"
    assert not [word for word in _FOREIGN if word in terminal.text], terminal.text
    # A shell calls both 130: the system ends a process that has not loaded its handler yet.
    assert code in (130, -signal.SIGINT), terminal.text
    assert "Stopped. " in terminal.text or code == -signal.SIGINT


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_is_said_after_a_stop_is_what_the_ledger_knows(
    project: Project, number: signal.Signals
) -> None:
    process = project.command("run")
    wait_for(lambda: project.sandbox.counters()["accepted"].get("image_replace", 0) >= 2, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 128 + number
    assert unsigned(err) == ""
    with closing(project.ledger()) as ledger:
        assert not ledger.tasks.in_state((TaskState.RESERVED, TaskState.UNKNOWN))
        left = ledger.tasks.in_state((TaskState.PENDING, TaskState.SUCCEEDED))
        stored = len(ledger.tasks.in_state((TaskState.STORED,)))
        assert ledger.workers.alive() == set()
    cost = sum(row.estimate or 0.0 for row in left)
    assert len(left) >= 2
    assert f"Stopped. In progress at Topview: {len(left)} tasks, about {cost:g} credit" in out
    assert "run again within 7 days" in out
    assert f"Never sent: {18 - len(left) - stored} stages of 6 products" in out
    # As a failure, Dagster's run retries would have started it again, to send what is left.
    with dg.DagsterInstance.from_config(project.environment["DAGSTER_HOME"]) as instance:
        (record,) = instance.get_run_records()
        assert record.dagster_run.status is dg.DagsterRunStatus.CANCELED
        assert not has_daemon(instance)


@contextmanager
def slow_submits(target: str, seconds: float) -> Iterator[tuple[str, threading.Event]]:
    """A way to Topview on which the answer to a submit takes so long; its URL, and "one came"."""
    came = threading.Event()

    class Way(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            url, given = target + self.path, dict(self.headers)
            answer = httpx.request(self.command, url, headers=given, content=body, timeout=30.0)
            mine = answer.content.replace(target.encode(), f"http://{given['Host']}".encode())
            if self.path.endswith("/submit"):
                came.set()
                time.sleep(seconds)
            with contextlib.suppress(OSError):  # its process has ended
                self.send_response(answer.status_code)
                self.send_header("Content-Type", answer.headers.get("Content-Type", ""))
                self.send_header("Content-Length", str(len(mine)))
                self.end_headers()
                self.wfile.write(mine)

        do_POST = do_PUT = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Keep the test output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Way)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", came
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answers_after", "shutdown", "states"),
    [(4.0, "6", {TaskState.PENDING}), (60.0, "3", {TaskState.UNKNOWN})],
)
def test_sigterm_waits_for_answers_so_long_as_it_may_and_sends_nothing_more(
    project: Project, answers_after: float, shutdown: str, states: set[TaskState]
) -> None:
    """Kubernetes kills after its grace period: what was not written down by then was lost."""
    with slow_submits(project.sandbox.base_url, answers_after) as (url, came):
        changes = {"TOPVIEW_BASE_URL": url, "TOPVIEW_SHUTDOWN_SECONDS": shutdown}
        process = project.command("run", **changes)
        if not came.wait(100.0):
            process.kill()
            pytest.fail(process.communicate()[1])
        wait_for(lambda: accepted(project) == 2, process)  # both slots are filled
        process.send_signal(signal.SIGTERM)
        began, sent = time.monotonic(), accepted(project)
        process.communicate(timeout=60)
        assert time.monotonic() - began < float(shutdown) + 4.0
        assert accepted(project) == sent
        with closing(
            Ledger(f"sqlite:///{project.home}/ledger.db", base_url=url, uid=project.sandbox.uid)
        ) as ledger:
            rows = ledger.tasks.in_state(tuple(TaskState))
            alive = ledger.workers.alive()
    left = {row.state for row in rows if row.state is not TaskState.VOID}
    assert (left, alive) == (states, set())
    assert sent > 0


@pytest.mark.slow
def test_a_second_ctrl_c_ends_at_once_and_dagster_knows(project: Project) -> None:
    """Dagster's run was CANCELING for ever."""
    with project.terminal("run") as terminal:
        terminal.until(lambda: accepted(project) >= 2)
        # What is on its way cannot be written down: the first Ctrl-C waits.
        with closing(sqlite3.connect(project.home / "ledger.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            terminal.press()
            terminal.until(lambda: "Stopping" in terminal.text)
            terminal.read(1.0)
            terminal.press()
            pressed = time.monotonic()
            code = terminal.end(5.0)
            assert time.monotonic() - pressed < 2.0
            other.execute("ROLLBACK")
    assert code == 130, terminal.text
    assert "Ended at once. A later run collects what is at Topview" in terminal.text
    assert not [word for word in _FOREIGN if word in terminal.text], terminal.text
    with dg.DagsterInstance.from_config(project.environment["DAGSTER_HOME"]) as instance:
        (record,) = instance.get_run_records()
        assert record.dagster_run.status is dg.DagsterRunStatus.CANCELED


IN_A_COLLECTORS_CALLBACK = """
class Thing: pass
thing = Thing()
import weakref
ref = weakref.ref(thing, lambda _: (print("ready", flush=True), time.sleep(30)))
del thing
"""
IN_C_CODE = """
import sqlite3
first, second = (sqlite3.connect("locked.db", timeout=30) for _ in range(2))
first.execute("BEGIN EXCLUSIVE")
print("ready", flush=True)
second.execute("BEGIN EXCLUSIVE")
"""
WHILE_SOMETHING_IS_ON_ITS_WAY = """
import topview_pipeline.stop
topview_pipeline.stop._ONE_PRESS_SECONDS = 0.0
with stop.calling(lambda: print("called", flush=True)):
    print("ready", flush=True)
    time.sleep(30)
"""


AFTER_THE_RUN = """
with stop.calling(lambda: print("called", flush=True)):
    pass
print("ready", flush=True)
time.sleep(30)
"""


@pytest.mark.parametrize(
    ("code", "count", "said"),
    [
        (AFTER_THE_RUN, 1, "Stopped. The run had already ended."),
        (IN_A_COLLECTORS_CALLBACK, 1, "Stopped. Nothing was sent."),
        (IN_C_CODE, 1, "Stopped. Nothing was sent."),
        (WHILE_SOMETHING_IS_ON_ITS_WAY, 2, "Ended at once."),
    ],
)
def test_no_code_can_swallow_a_signal(tmp_path: Path, code: str, count: int, said: str) -> None:
    """Python raises KeyboardInterrupt, which a collector's callback drops and C code delays."""
    begin = "import time; from topview_pipeline.stop import stop; stop.accept()\n"
    with subprocess.Popen(
        [sys.executable, "-c", begin + code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for number in range(count):
            process.send_signal(signal.SIGINT)
            if number + 1 < count:
                assert process.stdout.readline() == "called\n"
        _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert said in err
    assert "KeyboardInterrupt" not in err


def test_a_key_that_repeats_is_one_press() -> None:
    """The run was ended at once, before Dagster knew that a person stops it, and started again."""
    received: list[str] = []
    fresh = Stop()
    with fresh.calling(lambda: received.append("called")):
        for _ in range(3):
            fresh._received(signal.SIGINT)
    assert received == ["called"]
    assert fresh.code == 130


class HangingServer(FileServer):
    """A server that takes a request and never answers."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.over = threading.Event(), threading.Event()

    def answer(self, request: object) -> None:
        self.reached.set()
        self.over.wait(30)


@pytest.mark.slow
def test_ctrl_c_ends_a_command_that_reads_a_catalogue_that_hangs(project: Project) -> None:
    server = HangingServer()
    with serving(server):
        with project.terminal("run", TOPVIEW_CATALOGUE=server.url) as terminal:
            terminal.until(server.reached.is_set)
            terminal.press()
            assert terminal.end(5.0) == 130
        server.over.set()
    assert "Stopped. Nothing was sent." in terminal.text


def test_a_plan_that_takes_long_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashing thousands of photos cannot be cut off, and sends nothing."""
    from topview_pipeline.cli import catch_up
    from topview_pipeline.cli.environment import code_location

    never = threading.Event()

    def execute(_job: object, instance: dg.DagsterInstance, *, run_id: str, **_: Any) -> None:
        instance.add_run(dg.DagsterRun("catch_up", run_id, status=dg.DagsterRunStatus.STARTED))
        monkeypatch.setattr(stop, "code", 130)
        never.wait(30)

    monkeypatch.setattr(catch_up, "execute_as_launched", execute)
    run_id = "2b0f1d4e-7a55-4a37-9c3e-1f6b1c0a9d11"
    watcher: Any = SimpleNamespace(stopping=lambda: None)
    try:
        with dg.DagsterInstance.ephemeral() as instance:
            began = time.monotonic()
            catch_up._execute(code_location(), instance, {}, run_id, watcher)
            assert time.monotonic() - began < 5
            run = instance.get_run_by_id(run_id)
    finally:
        never.set()
    assert run is not None
    assert run.status is dg.DagsterRunStatus.CANCELED
