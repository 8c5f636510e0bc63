"""Dagster as real processes on a shop's instance: runs, and `dagster dev` with daemon and buttons.

A test can have tasks that last for ever, and end them by moving the sandbox's clock.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import dagster as dg
import httpx
from dagster._core.execution.backfill import BulkActionStatus
from dagster_graphql import DagsterGraphQLClient

from tests.defs.shop import ASSETS, Shop
from topview_pipeline.cli.demo import free_port
from topview_pipeline.defs.jobs import CATCH_UP
from topview_pipeline.ledger import TaskState
from topview_pipeline.settings import VARIABLES

ROOT: Final = Path(__file__).parents[2]
QUICK: Final = "tests.scenarios.quick"
"""The code location with a quick heartbeat, as a module."""
LOCATION: Final = "topview_pipeline"
_REPOSITORY: Final = "__repository__"
_IMPATIENT: Final = {
    "PYTHONPATH": str(Path(__file__).parent / "impatient"),
    "DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "2",
    "DAGSTER_GRPC_TIMEOUT_SECONDS": "600",
}
"""Variables of a daemon that looks every two seconds, on a machine that may be busy."""
_UNFINISHED: Final = (
    BulkActionStatus.REQUESTED,
    BulkActionStatus.CANCELING,
    BulkActionStatus.FAILING,
)
_LOADED: Final = "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }"
_BACKFILL: Final = """mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
  }
}"""
_CANCEL: Final = """mutation ($id: String!) {
  cancelPartitionBackfill(backfillId: $id) {
    __typename ... on PythonError { message }
  }
}"""
_REEXECUTE: Final = """mutation ($params: ReexecutionParams!) {
  launchRunReexecution(reexecutionParams: $params) {
    ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  }
}"""

EXECUTE: Final = f"""
import sys
from dagster._cli import main
sys.argv = ["dagster", "job", "execute", "-m", "{QUICK}", "-j", *sys.argv[1:]]
main()
"""
"""Runs a job as `dagster job execute` does."""


def environment(shop: Shop) -> dict[str, str]:
    """The environment in which other processes work on the shop."""
    inherited = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return {**inherited, **shop.settings, "DAGSTER_HOME": shop.instance.root_directory}


@contextmanager
def process_of(
    shop: Shop, log: Path, code: str, *arguments: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process of its own on the shop; it is killed at the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=ROOT,
            env=environment(shop),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def command(shop: Shop, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m ...` on the shop, to its end."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=environment(shop),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def until(
    is_so: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, seconds: float = 60
) -> None:
    """Wait for a state of the world; a process that ends before it fails the test."""
    end = time.monotonic() + seconds
    while not is_so():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.2)


def both_slots_make_videos(shop: Shop) -> bool:
    """No POST is under way then, because nothing can be reserved."""
    pending = [row for row in shop.rows_in(TaskState.PENDING) if row.stage == "finishedVideo"]
    return len(pending) == int(shop.settings["TOPVIEW_SLOTS"])


@contextmanager
def time_passing(shop: Shop, seconds: float) -> Iterator[None]:
    """Within this block every task that lasts `seconds` ends half a second after it began."""
    over = threading.Event()

    def move() -> None:
        while not over.wait(0.5):
            shop.control.advance_clock(seconds)

    mover = threading.Thread(target=move)
    mover.start()
    try:
        yield
    finally:
        over.set()
        mover.join()


def assert_paid_once(shop: Shop) -> None:
    """Each product is made, by one task of each kind."""
    counters = shop.control.counters()
    assert counters["duplicates"] == counters["orphans"] == counters["repeats"] == 0
    assert set(counters["accepted"].values()) == {len(shop.rows)}
    for asset in ASSETS:
        assert shop.materialized(asset) == set(shop.rows)
        assert shop.failed(asset) == set()
    with shop.ledger() as ledger:
        assert ledger.orphans.all() == []


class DagsterDev:
    """`dagster dev` on an instance: web server, daemon and code server.

    Args:
        env: of its processes.
        workspace: its code locations.
    """

    def __init__(
        self, instance: dg.DagsterInstance, log: Path, env: Mapping[str, str], workspace: Path
    ) -> None:
        self.instance = instance
        self._log = log
        self._env = env
        self._workspace = workspace
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of its web server."""
        return f"http://127.0.0.1:{self._port}"

    # Its processes.

    def start(self) -> None:
        """Start all its processes, and wait until the code location is loaded."""
        arguments = ["-m", "dagster", "dev", "-w", str(self._workspace), "-p", str(self._port)]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, *arguments, "-h", "127.0.0.1"],
                cwd=ROOT,
                env={**self._env, "PYTHONWARNINGS": "ignore", **_IMPATIENT},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.until(self._is_loaded)

    def end(self, by: signal.Signals = signal.SIGKILL) -> None:
        """Every process that it started gets this signal at once, runs included."""
        if self._process is not None:
            os.killpg(self._process.pid, by)
            self._process.wait()
            self._process = None

    def until(self, is_so: Callable[[], bool], seconds: float = 600) -> None:
        """Wait for a state of the world."""
        assert self._process is not None
        try:
            until(is_so, self._process, self._log, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\nThe runs: {self._stories()}") from error

    def _stories(self) -> list[tuple[str, str, str]]:
        """Each run's job, status and last event."""
        runs = self.instance.get_runs()
        last = [
            self.instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
            for run in runs
        ]
        return [
            (run.job_name, run.status.value, str(records[0].event_log_entry) if records else "")
            for run, records in zip(runs, last, strict=True)
        ]

    def _is_loaded(self) -> bool:
        try:
            found = self.graphql(_LOADED)["workspaceOrError"]["locationEntries"]
        except httpx.HTTPError:
            return False
        return bool(found) and all(entry["loadStatus"] == "LOADED" for entry in found)

    # Runs.

    def launch(self, job: str = CATCH_UP, location: str = LOCATION) -> str:
        """Launch a job as the UI's button does; the run's id."""
        return self._buttons().submit_job_execution(
            job, repository_location_name=location, repository_name=_REPOSITORY, run_config={}
        )

    def terminate(self, run_id: str) -> None:
        """Press Terminate."""
        self._buttons().terminate_run(run_id)

    def execute_again(self, run_id: str, strategy: str) -> dg.DagsterRun:
        """Press Re-execute on a run; the new run, once it ended."""
        params = {"parentRunId": run_id, "strategy": strategy}
        answer = self.graphql(_REEXECUTE, params=params)["launchRunReexecution"]
        again = str(answer["run"]["runId"])
        self.until(lambda: self.run(again).is_finished)
        return self.run(again)

    def kill_run(self, run_id: str) -> None:
        """`kill -9` of a run's processes: its own, and its step's where that has another."""
        logs = self.instance.all_logs(run_id)
        pids = {found[1] for entry in logs if (found := re.search(r"pid: (\d+)", entry.message))}
        assert pids
        for pid in pids:
            os.kill(int(pid), signal.SIGKILL)

    def run(self, run_id: str) -> dg.DagsterRun:
        """A run, as Dagster shows it."""
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run

    # Backfills.

    def backfill(
        self, products: Sequence[str] | None = None, assets: Sequence[str] = ASSETS
    ) -> str:
        """Launch one over these assets and products (None: all); its id."""
        params: dict[str, Any] = {"assetSelection": [{"path": [asset]} for asset in assets]}
        params |= {"allPartitions": True} if products is None else {"partitionNames": products}
        answer = self.graphql(_BACKFILL, params=params)["launchPartitionBackfill"]
        return str(answer["backfillId"])

    def cancel(self, backfill_id: str) -> None:
        """Press Cancel until the backfill is canceled.

        The daemon reads a backfill, changes it and writes it back every time it looks. A Cancel
        between the two is lost, and a person presses it again.
        """

        def is_canceled() -> bool:
            if (status := self._status(backfill_id)) is BulkActionStatus.REQUESTED:
                answer = self.graphql(_CANCEL, id=backfill_id)["cancelPartitionBackfill"]
                assert answer["__typename"] == "CancelBackfillSuccess", answer
            return status is BulkActionStatus.CANCELED

        self.until(is_canceled)

    def ended(self, backfill_id: str) -> BulkActionStatus:
        """A backfill's status once the daemon has nothing more to do for it."""
        self.until(lambda: self._status(backfill_id) not in _UNFINISHED)
        return self._status(backfill_id)

    def _status(self, backfill_id: str) -> BulkActionStatus:
        found = self.instance.get_backfill(backfill_id)
        assert found is not None
        return found.status

    def runs_of(self, backfill_id: str) -> list[dg.DagsterRun]:
        """A backfill's runs."""
        which = dg.RunsFilter(tags={"dagster/backfill": backfill_id})
        return [record.dagster_run for record in self.instance.get_run_records(which)]

    # The web server.

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

    def _buttons(self) -> DagsterGraphQLClient:
        return DagsterGraphQLClient("127.0.0.1", port_number=self._port)


@contextmanager
def dagster_dev(shop: Shop, file: Path) -> Iterator[DagsterDev]:
    """A running one that can be killed and started again; nothing of it is left at the end.

    Args:
        file: its code location.
    """
    location = f"relative_path: {file}, working_directory: {ROOT}, location_name: {LOCATION}"
    workspace = shop.folder / "workspace.yaml"
    workspace.write_text(f"load_from:\n  - python_file: {{{location}}}\n", encoding="utf-8")
    dev = DagsterDev(shop.instance, shop.folder / "dagster-dev.log", environment(shop), workspace)
    try:
        dev.start()
        yield dev
    finally:
        dev.end()
