"""Dagster as real processes on a shop's instance: runs, and `dagster dev` with daemon and buttons.

A test can have tasks that last for ever, and end them by moving the sandbox's clock.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
from dagster_graphql import DagsterGraphQLClient

from tests.defs.shop import Shop
from topview_pipeline.cli.demohome import free_port
from topview_pipeline.defs.jobs import CATCH_UP
from topview_pipeline.ledger import TaskState
from topview_pipeline.sandbox.control import Control

ROOT = Path(__file__).parents[2]
LOCATION = "topview_pipeline"
_REPOSITORY = "__repository__"

EXECUTE = f"""
import sys
from dagster._cli import main
sys.argv = ["dagster", "job", "execute", "-m", "topview_pipeline.definitions", "-j", "{CATCH_UP}",
            *sys.argv[1:]]
main()
"""
"""Runs catch_up as `dagster job execute` does."""

MATERIALIZE = """
import sys
import dagster as dg
from topview_pipeline.definitions import defs
first, last = sys.argv[1:]
ranged = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
which = {"partition_key": first} if first == last else {"tags": ranged}
with dg.DagsterInstance.get() as instance:
    job = defs.resolve_implicit_global_asset_job_def()
    done = job.execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey(a) for a in
                         ("bgRemovedImage", "replacedImages", "finishedVideo")],
        raise_on_error=False,
        **which,
    )
sys.exit(0 if done.success else 1)
"""
"""Runs the three assets over a range of products, as a run of a backfill does; or over one."""


@contextmanager
def process_of(code: str, log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process of its own, in the test's environment; it is killed at the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=ROOT,
            env=dict(os.environ),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def until(
    is_so: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, seconds: float = 60
) -> None:
    """Wait for a state of the world; a process that ends before it fails the test."""
    end = time.monotonic() + seconds
    while not is_so():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.02)


def videos(shop: Shop, state: TaskState) -> int:
    """How many videos are in this state."""
    with shop.ledger() as ledger:
        rows = ledger.tasks.in_state((state,))
    return len([row for row in rows if row.stage == "finishedVideo"])


def pass_time(shop: Shop, seconds: float) -> None:
    """Move the sandbox's clock: what lasts so long is finished."""
    with Control(shop.sandbox.base_url) as control:
        control.advance_clock(seconds)


@contextmanager
def time_passing(shop: Shop, seconds: float) -> Iterator[None]:
    """Within this block every task that lasts `seconds` ends half a second after it began."""
    over = threading.Event()

    def move() -> None:
        while not over.wait(0.5):
            pass_time(shop, seconds)

    mover = threading.Thread(target=move)
    mover.start()
    try:
        yield
    finally:
        over.set()
        mover.join()


def run_requested(shop: Shop, request: dg.RunRequest, log: Path) -> int:
    """Run what the sensor asked for, in a process of its own; its exit code."""
    config = shop.folder / "requested.json"
    config.write_text(json.dumps(request.run_config), encoding="utf-8")
    with process_of(EXECUTE, log, "-c", str(config)) as process:
        return process.wait(60)


class DagsterDev:
    """`dagster dev` on an instance: web server, daemon and code server."""

    def __init__(
        self, instance: dg.DagsterInstance, log: Path, workspace: Path = ROOT / "workspace.yaml"
    ) -> None:
        self._instance = instance
        self._log = log
        self._workspace = workspace
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where its web server answers."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start all its processes, and wait until the code location is loaded."""
        command = ["-m", "dagster", "dev", "-w", str(self._workspace), "-p"]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, *command, str(self._port), "-h", "127.0.0.1"],
                cwd=ROOT,
                env={**os.environ, "PYTHONWARNINGS": "ignore"},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.until(self._answers)

    def kill(self) -> None:
        """The power is cut: every process that it started ends at once, runs included."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def until(self, is_so: Callable[[], bool], seconds: float = 150) -> None:
        """Wait for a state of the world. The sensor ticks once a minute."""
        assert self._process is not None
        until(is_so, self._process, self._log, seconds)

    def launch(self) -> str:
        """Launch catch_up as the UI's button does; the run's id."""
        return self._buttons().submit_job_execution(
            CATCH_UP, repository_location_name=LOCATION, repository_name=_REPOSITORY, run_config={}
        )

    def terminate(self, run_id: str) -> None:
        """Press Terminate."""
        self._buttons().terminate_run(run_id)

    def graphql(self, query: str, **variables: Any) -> Mapping[str, Any]:
        """Ask the web server what no button of the client asks."""
        answer = httpx.post(
            f"{self.url}/graphql",
            json={"query": query, "variables": variables},
            trust_env=False,
            timeout=60,
        ).json()
        assert "errors" not in answer, answer
        data: Mapping[str, Any] = answer["data"]
        return data

    def status(self, run_id: str) -> dg.DagsterRunStatus:
        """Of a run, as Dagster shows it."""
        run = self._instance.get_run_by_id(run_id)
        assert run is not None
        return run.status

    def _buttons(self) -> DagsterGraphQLClient:
        return DagsterGraphQLClient("127.0.0.1", port_number=self._port)

    def _answers(self) -> bool:
        query = "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }"
        try:
            answer = httpx.post(
                f"{self.url}/graphql", json={"query": query}, trust_env=False
            ).json()
        except (httpx.HTTPError, ValueError):
            return False
        entries: list[Mapping[str, Any]] = answer["data"]["workspaceOrError"]["locationEntries"]
        return [entry["loadStatus"] for entry in entries] == ["LOADED"]


@contextmanager
def dagster_dev(
    shop: Shop, log: Path, workspace: Path = ROOT / "workspace.yaml"
) -> Iterator[DagsterDev]:
    """One that can be started, killed and started again; nothing of it is left at the end."""
    dev = DagsterDev(shop.instance, log, workspace)
    try:
        yield dev
    finally:
        dev.kill()
