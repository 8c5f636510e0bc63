"""`dagster dev` as a user runs it: web server, daemon, code server, and the run workers below them.

Starts it on an instance of its own, launches a backfill as the UI's button does, and counts what
all of its processes took for it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES

from benchmarks.tree import cpu_seconds

_ROOT = Path(__file__).parent.parent
_START_SECONDS = 180.0
_SETTLE_SECONDS = 5.0
_LOADED = "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }"
_LAUNCH = """
mutation($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
_STOP_SECONDS = 20.0


class BackfillFailedError(RuntimeError):
    """A backfill that did not make everything: no number counts."""


@dataclass(frozen=True)
class Backfilled:
    """What a backfill took.

    Attributes:
        cpu_seconds: of all of Dagster's processes, from the launch until the daemon knew the end;
            starting them is not in it.
        wall_seconds: from the creation of the first run to the end of the last one. That the
            daemon looks for new backfills every 30 seconds is not in it.
        runs: how many there were.
    """

    cpu_seconds: float
    wall_seconds: float
    runs: int


class DagsterDev:
    """A running `dagster dev` and its instance."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, home: Path) -> None:
        self._process = process
        self._url = f"http://127.0.0.1:{port}/graphql"
        self._home = home

    def wait_until_loaded(self) -> None:
        """Wait until the code location is there and its processes have come to rest."""
        self._until(self._is_loaded, _START_SECONDS)
        time.sleep(_SETTLE_SECONDS)

    def backfill(
        self, assets: Sequence[str], products: Sequence[str], *, seconds: float
    ) -> Backfilled:
        """Materialize assets for products, registered here, and wait for the end.

        Raises:
            BackfillFailedError: not everything was made, or not in time.
        """
        with dg.DagsterInstance.from_config(str(self._home)) as instance:
            instance.add_dynamic_partitions("products", list(products))
            before = cpu_seconds(self._process.pid)
            backfill_id = self._launch(assets, products)
            self._until(lambda: _is_over(instance, backfill_id), seconds)
            cpu = cpu_seconds(self._process.pid) - before
            for asset in assets:
                made = len(instance.get_materialized_partitions(dg.AssetKey(asset)))
                if made != len(products):
                    raise BackfillFailedError(f"{asset}: {made} of {len(products)} products")
            runs = instance.get_run_records(
                dg.RunsFilter(tags={"dagster/backfill": backfill_id}), ascending=True
            )
        first = min(run.create_timestamp.timestamp() for run in runs)
        last = max(run.end_time or 0.0 for run in runs)
        return Backfilled(cpu, last - first, len(runs))

    def _launch(self, assets: Sequence[str], products: Sequence[str]) -> str:
        selection = [{"path": [asset]} for asset in assets]
        params = {"assetSelection": selection, "partitionNames": list(products)}
        launched = self._ask(_LAUNCH, params=params)["launchPartitionBackfill"]
        if launched["__typename"] != "LaunchBackfillSuccess":
            raise BackfillFailedError(str(launched))
        return str(launched["backfillId"])

    def _is_loaded(self) -> bool:
        try:
            entries = self._ask(_LOADED)["workspaceOrError"]["locationEntries"]
        except (httpx.HTTPError, ValueError):
            return False
        return [entry["loadStatus"] for entry in entries] == ["LOADED"]

    def _ask(self, query: str, **variables: Any) -> Mapping[str, Any]:
        answer = httpx.post(
            self._url,
            json={"query": query, "variables": variables},
            timeout=60.0,
            trust_env=False,
        )
        found: Mapping[str, Any] = answer.raise_for_status().json()["data"]
        return found

    def _until(self, is_so: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not is_so():
            if self._process.poll() is not None or time.monotonic() > end:
                log = (self._home / "dev.log").read_text(errors="replace")
                raise BackfillFailedError(f"dagster dev, after {seconds:g} s: {log[-3000:]}")
            time.sleep(0.5)


@contextmanager
def dagster_dev(
    home: Path, location: Sequence[str], environ: Mapping[str, str]
) -> Iterator[DagsterDev]:
    """Start it; at the end nothing of it is left.

    Args:
        home: DAGSTER_HOME, with its dagster.yaml.
        location: the options that name the code location.
        environ: beside DAGSTER_HOME.
    """
    port = _free_port()
    with (home / "dev.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dagster", "dev", *location, "-p", str(port), "-h", "127.0.0.1"],
            cwd=_ROOT,
            env={**os.environ, **environ, "DAGSTER_HOME": str(home), "PYTHONWARNINGS": "ignore"},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            dev = DagsterDev(process, port, home)
            dev.wait_until_loaded()
            yield dev
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS)
    # What did not end by itself: the process group is this one's own.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _is_over(instance: dg.DagsterInstance, backfill_id: str) -> bool:
    backfill = instance.get_backfill(backfill_id)
    return backfill is not None and backfill.status in BULK_ACTION_TERMINAL_STATUSES


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
