"""A rehearsal of compose.yaml without containers: the same processes, each with an empty home.

Two brands with an account and a code server each share a daemon, a webserver, PostgreSQL, a bucket
and a Topview with faults. On the way each kind of process is killed, PostgreSQL is restarted and
the bucket does not answer. Then one plain run makes the same catalogue on SQLite.

    make rehearsal [PRODUCTS=300]
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import sqlalchemy as sa

from benchmarks.catch_up import Cost, measure
from benchmarks.load import SLOTS, sandbox, write_catalogue
from benchmarks.processes import ROOT, session_cpu_seconds
from benchmarks.servers import BUCKET_SECRET, DATABASE_PASSWORD, Servers, dagster_yaml, servers
from topview_pipeline.cli.demo import free_port
from topview_pipeline.ledger import Ledger, TaskState
from topview_pipeline.ledger.health import is_retried
from topview_pipeline.sandbox.api.control import Control

LAST: Final = "finishedVideo"
MANY: Final = 100
"""With fewer products it is the rehearsal that CI can afford."""
KEYS: Final = {"acme": "first-secret-key", "zeta": "second-secret-key"}
"""Of the brands' accounts, which share the slots that the plain run has."""
FAULTS: Final = {
    **dict.fromkeys(("drop_submit", "moderation"), 0.01),
    **dict.fromkeys(("busy", "http429", "fail"), 0.02),
    **dict.fromkeys(("cut_download", "nourl", "notfound_grace", "unknown_status"), 0.03),
}
OFTEN: Final = dict.fromkeys(("busy", "http429", "cut_download", "nourl", "unknown_status"), 0.15)
"""With few products: of the faults that cost little time."""
SETTINGS: Final = {
    "TOPVIEW_ACCOUNT_EXCLUSIVE": "true",
    "TOPVIEW_CREDIT_LIMIT": "100000",
    "TOPVIEW_DEADLINE_REMOVE_BACKGROUND": "300",
    "TOPVIEW_LOG_FORMAT": "json",
    "TOPVIEW_POLL_SECONDS": "0.5",
    "TOPVIEW_SLOTS": str(SLOTS // len(KEYS)),
}
_LAUNCH: Final = """mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) { __typename }
}"""
_SCHEDULE: Final = """mutation ($selector: ScheduleSelector!) {
  startSchedule(scheduleSelector: $selector) { __typename }
}"""
_LOADED: Final = "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }"


class Processes:
    """Dagster's processes, and the folder with their homes and logs.

    Attributes:
        cpu: seconds of those that ended, by what they are.

    Args:
        ends: the time of `time.monotonic` after which nothing is waited for.
    """

    def __init__(
        self, folder: Path, stack: ExitStack, dagster_yaml: str, workspace: str, ends: float
    ) -> None:
        self._folder = folder
        self._ends = ends
        self._files = {"dagster.yaml": dagster_yaml, "workspace.yaml": workspace}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._arguments: dict[str, tuple[tuple[str, ...], Mapping[str, str]]] = {}
        self.cpu: Counter[str] = Counter()
        stack.callback(self.kill_all)

    def start(self, name: str, *module: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start `python -m` in an empty folder with an empty DAGSTER_HOME, as a pod begins."""
        self._arguments[name] = module, environment
        home = self._folder / f"{name}-{time.monotonic_ns()}"
        home.mkdir()
        for file, text in self._files.items():
            (home / file).write_text(text)
        plain = {key: text for key, text in os.environ.items() if not key.startswith("TOPVIEW_")}
        own = {"DAGSTER_HOME": str(home), "NO_PROXY": "127.0.0.1", "PYTHONPATH": str(ROOT)}
        with (self._folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *module],
                cwd=home,
                env=plain | own | {"no_proxy": "127.0.0.1"} | dict(environment),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._running[name] = process
        return process

    def kill(self, name: str) -> None:
        """End a process and its children at once, as a node that is gone."""
        process = self._running.pop(name)
        self.cpu.update(session_cpu_seconds(process.pid))
        with suppress(ProcessLookupError):  # it ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def kill_all(self) -> None:
        """End all that run."""
        for name in list(self._running):
            self.kill(name)

    def restart(self, name: str) -> None:
        """Kill it, and start it once more in another empty folder."""
        self.kill(name)
        self.start(name, *self._arguments[name][0], **self._arguments[name][1])

    def kill_runs(self, name: str) -> int:
        """Kill the runs of a code server, which spawns each; how many there were."""
        killed = 0
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):  # it ended meanwhile
                pid = int(path.parent.name)
                if b"spawn_main" in path.read_bytes() and os.getpgid(pid) == self._pid(name):
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
        return killed

    def until(self, what: str, holds: Callable[[], bool]) -> None:
        """Wait until it holds; all processes must live."""
        while not holds():
            ended = [name for name, one in self._running.items() if one.poll() is not None]
            if ended or time.monotonic() > self._ends:
                raise SystemExit(f"not within --seconds: {what}; ended: {ended}")
            time.sleep(1.0)

    def _pid(self, name: str) -> int:
        return self._running[name].pid


class Production:
    """Both brands in one Dagster, as the ledgers of their accounts see them."""

    def __init__(
        self,
        folder: Path,
        stack: ExitStack,
        remote: Servers,
        topview: str,
        products: int,
        ends: float,
    ) -> None:
        self._stack = stack
        self._remote = remote
        self._topview = topview
        self._products = products
        self._folder = folder
        self._ports = {name: free_port() for name in KEYS}
        self._web = f"http://127.0.0.1:{free_port()}"
        self._ledgers: list[Ledger] = []
        workspace = "load_from:\n" + "".join(
            f"  - grpc_server: {{host: 127.0.0.1, port: {port}, location_name: {name}}}\n"
            for name, port in self._ports.items()
        )
        self.processes = Processes(folder, stack, dagster_yaml(remote.database), workspace, ends)

    def start(self) -> None:
        """Start all processes, launch the first run of each brand, and its schedule."""
        of_dagster = {
            name: text
            for name, text in self._remote.environment.items()
            if name.startswith("DAGSTER_")
        }
        for name in KEYS:
            self._start_brand(name)
        web = ("dagster_webserver", "-h", "127.0.0.1", "-p", self._web.rpartition(":")[2])
        self.processes.start("webserver", *web, **of_dagster)
        self.processes.until("the webserver has both code locations", self._is_loaded)
        self.processes.start("daemon", "dagster._daemon", "run", **of_dagster)
        for name in KEYS:
            at = {"repositoryName": "__repository__", "repositoryLocationName": name}
            job = {"selector": at | {"pipelineName": f"{name}_catch_up"}, "mode": "default"}
            self._ask(_LAUNCH, params=job)
            self._ask(_SCHEDULE, selector=at | {"scheduleName": f"{name}_nightly_catch_up"})

    def _start_brand(self, name: str) -> None:
        every = 1 if self._products >= MANY else 2  # a run's start costs 5 s of CPU
        brand = (
            self._remote.environment
            | SETTINGS
            | {
                "TOPVIEW_NAME": name,
                "TOPVIEW_UID": name,
                "TOPVIEW_API_KEY": KEYS[name],
                "TOPVIEW_BASE_URL": self._topview,
                "TOPVIEW_CATALOGUE": str(self._folder / "catalogue" / f"{name}.csv"),
                "TOPVIEW_NIGHTLY_CRON": f"*/{every} * * * *",
                "TOPVIEW_RUN_SIZE": str(max(10, self._products // 6)),
            }
        )
        url = brand["TOPVIEW_LEDGER_URL"]
        upgrade = ("topview_pipeline", "ledger", "upgrade")
        upgraded = self.processes.start("upgrade", *upgrade, **brand)
        self.processes.until("the ledger has tables", lambda: upgraded.poll() is not None)
        if upgraded.returncode:
            raise SystemExit(f"no ledger: {self._folder}/upgrade.log")
        self.processes.kill("upgrade")
        server = ("dagster", "api", "grpc", "-h", "127.0.0.1", "-p", str(self._ports[name]))
        of = brand | {"TOPVIEW_MIGRATE": "false"}
        self.processes.start(f"code-{name}", *server, "-m", "topview_pipeline.definitions", **of)
        ledger = Ledger(url, base_url=self._topview, uid=name, pipeline=name)
        self._ledgers.append(self._stack.enter_context(closing(ledger)))

    def make(self, topview: Control) -> float:
        """Wait until all is made or named, with troubles on the way; returns the seconds."""
        began = time.monotonic()
        troubles = self._troubles()
        for number, (what, trouble) in enumerate(troubles.items(), 1):
            share = number / (len(troubles) + 1)
            self.processes.until(f"{share:.0%} are made", partial(self._is_made, share))
            made = self._made() / self._products
            trouble()
            print(f"{time.monotonic() - began:4.0f} s: {made:.0%} made; {what}", flush=True)
        self.processes.until("all is made or named", partial(self._is_settled, topview))
        return time.monotonic() - began

    def _troubles(self) -> dict[str, Callable[[], object]]:
        processes = self.processes
        outage = 30.0 if self._products >= MANY else 5.0

        def runs_are_killed() -> None:
            # None may be running now: the schedule starts the next.
            processes.until("acme has a run", lambda: processes.kill_runs("code-acme") > 0)

        def bucket_hangs() -> None:
            self._remote.s3.send_signal(signal.SIGSTOP)
            time.sleep(outage)
            self._remote.s3.send_signal(signal.SIGCONT)

        return {
            "acme's runs are killed": runs_are_killed,
            "PostgreSQL is restarted": self._remote.postgres.restart,
            "the webserver is killed": partial(processes.restart, "webserver"),
            "zeta's code server and runs are killed": partial(processes.restart, "code-zeta"),
            "the daemon is killed": partial(processes.restart, "daemon"),
            f"the bucket hangs for {outage:g} s": bucket_hangs,
        }

    def named(self) -> dict[str, str]:
        """The reasons of products that are not made: nothing goes on with them by itself."""
        reasons = {}
        for ledger in self._ledgers:
            for row in ledger.tasks.unmade():
                is_over = row.state in (TaskState.UNKNOWN, TaskState.OVERDUE)
                if is_over or (row.state is TaskState.FAILED and not is_retried(row)):
                    reasons[row.product_id] = f"{row.stage} {row.state.value}: {row.error_message}"
        return reasons

    def _made(self) -> int:
        stored = [ledger.tasks.in_state([TaskState.STORED]) for ledger in self._ledgers]
        return len({row.product_id for rows in stored for row in rows if row.stage == LAST})

    def _is_made(self, share: float) -> bool:
        return self._made() >= share * self._products

    def _is_settled(self, topview: Control) -> bool:
        live = (TaskState.RESERVED, TaskState.PENDING, TaskState.SUCCEEDED)
        if any(ledger.tasks.in_state(live) for ledger in self._ledgers):
            return False
        is_all = self._made() + len(self.named()) == self._products
        return is_all and not topview.counters()["orphans"]

    def _is_loaded(self) -> bool:
        try:
            entries = self._ask(_LOADED)["workspaceOrError"]["locationEntries"]
        except (httpx.HTTPError, KeyError):
            return False
        return [one["loadStatus"] for one in entries] == ["LOADED"] * len(KEYS)

    def _ask(self, query: str, **variables: Any) -> Any:
        body = {"query": query, "variables": variables}
        answer = httpx.post(f"{self._web}/graphql", json=body, timeout=120, trust_env=False)
        data = answer.raise_for_status().json()["data"]
        if any(found.get("__typename", "").endswith("Error") for found in data.values()):
            raise SystemExit(f"the webserver said {data}")
        return data


def assert_clean(topview: Control, remote: Servers, folder: Path) -> None:
    """Nothing was paid twice, nothing is lost, no log has a secret, and the policy suffices."""
    counters = topview.counters()
    wrong = [f"paid twice: {one}" for one in counters["duplicate_tasks"]]
    wrong += [f"lost: {one}" for one in counters["orphan_tasks"]]
    wrong += [f"not in the bucket's policy: {one}" for one in remote.requests()["refused"]]
    texts = {path.name: path.read_text(errors="replace") for path in folder.glob("*.log")}
    engine = sa.create_engine(remote.dagster_url)
    with engine.connect() as connection:
        for column, table in (("event", "event_logs"), ("run_body", "runs")):
            found = connection.exec_driver_sql(f"SELECT {column} FROM {table}")  # noqa: S608
            texts[f"Dagster's {table}"] = "\n".join(row[0] for row in found)
    engine.dispose()
    secrets = (*KEYS.values(), DATABASE_PASSWORD, BUCKET_SECRET)
    wrong += [f"{one} in {name}" for name, text in texts.items() for one in secrets if one in text]
    wrong += [f"empty: {name}" for name, text in texts.items() if not text]
    if not sum(counters["faults"].values()):
        wrong.append("Topview had no fault")
    if wrong:
        raise SystemExit(f"not as it must be: {wrong}")


def in_production(folder: Path, products: int, ends: float) -> Iterator[tuple[str, str, float]]:
    """Make the catalogue with all that goes wrong; gives rows of the table."""
    with ExitStack() as stack:
        topview = stack.enter_context(sandbox(1.0))
        control = stack.enter_context(Control(topview.base_url))
        control.set_slots(SLOTS // len(KEYS))
        control.set_faults(**FAULTS | (OFTEN if products < MANY else {}))
        for name, key in KEYS.items():
            control.add_account(name, key, 1e6)
        remote = stack.enter_context(servers())
        production = Production(folder, stack, remote, topview.base_url, products, ends)
        production.start()
        yield "wall", "{:.0f} s", production.make(control)
        for name, why in production.named().items():
            print(f"named: {name}: {why}")
        production.processes.kill_all()
        assert_clean(control, remote, folder)
        slots = control.counters()["slots"]
        seconds = slots["changes"][-1][0] - slots["changes"][0][0]
        yield "slots busy", "{:.1%}", slots["busy_seconds"] / (SLOTS * seconds)
        calls = sum(remote.requests()["requests"].values())
        yield "S3 calls a product", "{:.1f}", calls / products
        cpu = production.processes.cpu
        yield "CPU a product", "{:.2f} s", cpu.total() / products
        for role, spent in cpu.most_common():
            yield f"of it {role}", "{:.2f} s", spent / products


def plain_run(folder: Path, products: int) -> dict[str, float]:
    """The numbers of one run on SQLite, by row of the table."""
    pictures = {"TOPVIEW_PREVIEWS": "true", "TOPVIEW_CHECKS": "true"}
    plain: Cost = measure(folder, products, speed=1.0, environ=pictures)
    return {
        "wall": plain.wall_seconds * products,
        "slots busy": plain.busy,
        "CPU a product": plain.cpu_seconds,
    }


def main() -> None:
    """Run the rehearsal in a temporary folder; it stays when something went wrong."""
    parser = argparse.ArgumentParser(prog="python -m deploy.rehearsal")
    parser.add_argument("--products", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=1800.0, help="for all that it waits for")
    parser.add_argument("--no-plain", action="store_true", help="do not compare with SQLite")
    given = parser.parse_args()
    products, ends = given.products, time.monotonic() + given.seconds
    folder = Path(tempfile.mkdtemp(prefix="rehearsal-"))
    print(f"homes and logs: {folder}", flush=True)
    columns, *rows = write_catalogue(folder / "catalogue", products).read_text().splitlines()
    for number, name in enumerate(KEYS):
        mine = [columns, *rows[number :: len(KEYS)]]
        (folder / "catalogue" / f"{name}.csv").write_text("\n".join(mine))
    found = list(in_production(folder, products, ends))
    of_plain = {} if given.no_plain else plain_run(folder / "plain", products)
    print(f"\n| {products} products | rehearsal | SQLite, one plain run |\n| --- | --- | --- |")
    for what, shown, ours in found:
        other = shown.format(of_plain[what]) if what in of_plain else ""
        print(f"| {what} | {shown.format(ours)} | {other} |")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
