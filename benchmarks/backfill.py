"""A backfill through `dagster dev` as a user runs it: ours, and the textbook's three assets.

Web server, daemon, code server and run workers run on an instance of their own; the backfill is
launched as the UI's button does it, and all of their processes are counted. Tasks are done at once.
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
from typing import Any, Final

import dagster as dg
import httpx
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES

from benchmarks.load import INSTANT, counters, environment, product_ids, sandbox
from benchmarks.processes import ROOT, session_cpu_seconds
from topview_pipeline.defs.instance import DAGSTER_YAML
from topview_pipeline.stages import STAGES

_ASSETS: Final = tuple(stage.key for stage in STAGES)
_START_SECONDS: Final = 180.0
_SETTLE_SECONDS: Final = 5.0
_STOP_SECONDS: Final = 20.0
_SECONDS_PER_PRODUCT: Final = 60.0
_LEAST_SECONDS: Final = 300.0
_LOADED: Final = "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }"
_LAUNCH: Final = """
mutation($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""


class BackfillFailedError(RuntimeError):
    """A backfill that did not make everything: no number counts."""


@dataclass(frozen=True)
class Cost:
    """The cost of one product.

    Attributes:
        cpu_seconds: by role, of all of Dagster's processes, from the launch until the daemon knew
            the end; starting them is not in it, and the sandbox neither.
        wall_seconds: from the creation of the first run to the end of the last one. That the
            daemon looks for new backfills every 30 seconds is not in it.
    """

    cpu_seconds: Mapping[str, float]
    wall_seconds: float

    @property
    def cpu(self) -> float:
        """CPU seconds of all processes."""
        return sum(self.cpu_seconds.values())


def ours(folder: Path, products: int, *, pictures: bool) -> Cost:
    """As `topview-pipeline` sets Dagster up; `pictures`: with previews and checks."""
    shown = str(pictures).lower()
    settings = {"TOPVIEW_PREVIEWS": shown, "TOPVIEW_CHECKS": shown}
    home = folder / f"ours-{pictures}"
    return _measure(home, products, ("-w", "workspace.yaml"), settings, DAGSTER_YAML)


def textbook(folder: Path, products: int) -> Cost:
    """Dagster's own defaults: a run for each product, a process for each step."""
    made = folder / "made"
    made.mkdir(parents=True)
    settings = {"TEXTBOOK_FOLDER": str(made)}
    return _measure(folder / "textbook", products, ("-m", "benchmarks.textbook"), settings)


def _measure(
    home: Path,
    products: int,
    location: Sequence[str],
    settings: Mapping[str, str],
    dagster_yaml: str | None = None,
) -> Cost:
    """Run it with an instance, a ledger and a sandbox of its own."""
    with sandbox(INSTANT) as topview:
        environ = {**environment(home, products, topview), **settings}
        if dagster_yaml is not None:
            Path(environ["DAGSTER_HOME"], "dagster.yaml").write_text(dagster_yaml)
        with _dagster_dev(location, environ) as dev:
            cost = dev.backfill(product_ids(products))
        counters(topview, products=products)
    return cost


class _DagsterDev:
    """A running `dagster dev` and its instance."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, home: Path) -> None:
        self._process = process
        self._url = f"http://127.0.0.1:{port}/graphql"
        self._home = home

    def wait_until_loaded(self) -> None:
        """Wait until the code location is there and its processes have come to rest."""

        def is_loaded() -> bool:
            try:
                entries = self._ask(_LOADED)["workspaceOrError"]["locationEntries"]
            except (httpx.HTTPError, ValueError):
                return False
            return [entry["loadStatus"] for entry in entries] == ["LOADED"]

        self._until(is_loaded, _START_SECONDS)
        time.sleep(_SETTLE_SECONDS)

    def backfill(self, products: Sequence[str]) -> Cost:
        """Materialize all assets of products, registered here, and wait for the end.

        Raises:
            BackfillFailedError: not everything was made, or not in time.
        """
        with dg.DagsterInstance.from_config(str(self._home)) as instance:
            instance.add_dynamic_partitions("products", list(products))
            before = session_cpu_seconds(self._process.pid)
            backfill_id = self._launch(products)
            seconds = max(_LEAST_SECONDS, _SECONDS_PER_PRODUCT * len(products))
            self._until(lambda: _is_over(instance, backfill_id), seconds)
            after = session_cpu_seconds(self._process.pid)
            for asset in _ASSETS:
                made = len(instance.get_materialized_partitions(dg.AssetKey(asset)))
                if made != len(products):
                    raise BackfillFailedError(f"{asset}: {made} of {len(products)} products")
            filters = dg.RunsFilter(tags={"dagster/backfill": backfill_id})
            runs = instance.get_run_records(filters)
        wall = max(run.end_time or 0.0 for run in runs) - min(
            run.create_timestamp.timestamp() for run in runs
        )
        cpu = {role: (after[role] - before.get(role, 0.0)) / len(products) for role in after}
        return Cost(cpu, wall / len(products))

    def _launch(self, products: Sequence[str]) -> str:
        selection = [{"path": [asset]} for asset in _ASSETS]
        params = {"assetSelection": selection, "partitionNames": list(products)}
        launched = self._ask(_LAUNCH, params=params)["launchPartitionBackfill"]
        if launched["__typename"] != "LaunchBackfillSuccess":
            raise BackfillFailedError(str(launched))
        return str(launched["backfillId"])

    def _ask(self, query: str, **variables: Any) -> Mapping[str, Any]:
        body = {"query": query, "variables": variables}
        answer = httpx.post(self._url, json=body, timeout=60.0, trust_env=False)
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
def _dagster_dev(location: Sequence[str], environ: Mapping[str, str]) -> Iterator[_DagsterDev]:
    """Start it; at the end nothing of it is left. `location`: the code location's options."""
    home = Path(environ["DAGSTER_HOME"])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    with (home / "dev.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dagster", "dev", *location, "-p", str(port), "-h", "127.0.0.1"],
            cwd=ROOT,
            env={**os.environ, **environ, "PYTHONWARNINGS": "ignore"},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            dev = _DagsterDev(process, port, home)
            dev.wait_until_loaded()
            yield dev
        finally:
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
