"""A rehearsal of compose.yaml without containers: the same processes, each with an empty home.

Two brands with an account and a code server each share a daemon, a webserver, PostgreSQL, a bucket
and a Topview with faults. On the way each kind of process is killed, PostgreSQL is restarted and
the bucket does not answer. Then one `topview-pipeline run` makes the same catalogue on SQLite.

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
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import sqlalchemy as sa

from benchmarks.processes import ROOT, session_cpu_seconds
from benchmarks.servers import BUCKET_SECRET, DATABASE_PASSWORD, Servers, dagster_yaml, servers
from topview_pipeline.cli.demo import free_port
from topview_pipeline.ledger import Ledger, TaskState
from topview_pipeline.ledger.health import is_retried
from topview_pipeline.testing import ProductRows, Sandbox, sandbox

LAST: Final = "finishedVideo"
SLOTS: Final = 12
MANY: Final = 100
"""With fewer products it is the rehearsal that CI can afford."""
KEYS: Final = {"acme": "first-secret-key", "zeta": "second-secret-key"}
"""Of the brands' accounts."""
FAULTS: Final = {
    "drop_submit": 0.01,
    "moderation": 0.01,
    **dict.fromkeys(("busy", "http429", "fail"), 0.02),
    **dict.fromkeys(("cut_download", "nourl", "notfound_grace", "unknown_status"), 0.03),
}
SETTINGS: Final = {
    "TOPVIEW_ACCOUNT_EXCLUSIVE": "true",
    "TOPVIEW_CREDIT_LIMIT": "100000",
    "TOPVIEW_DEADLINE_REMOVE_BACKGROUND": "60",
    "TOPVIEW_LOG_FORMAT": "json",
    "TOPVIEW_POLL_SECONDS": "0.5",
    "TOPVIEW_SLOTS": str(SLOTS),
}
TOPVIEW: Final[Mapping[str, Any]] = {"speed": 10.0, "credits": 1e6, "where": "process"}
_LAUNCH: Final = """mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) { __typename }
}"""
_SCHEDULE: Final = """mutation ($selector: ScheduleSelector!) {
  startSchedule(scheduleSelector: $selector) { __typename }
}"""
_LOADED: Final = "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }"


@dataclass
class Numbers:
    """The numbers of one way of making the catalogue; `cpu` seconds by process."""

    seconds: float
    cpu: Counter[str]
    s3_calls: int
    slots_busy: float


class Processes:
    """Dagster's processes, and the folder with their homes and logs."""

    def __init__(self, folder: Path, stack: ExitStack, dagster_yaml: str) -> None:
        self.folder = folder
        self._dagster_yaml = dagster_yaml
        self.workspace = ""
        stack.callback(self.kill_all)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._arguments: dict[str, tuple[tuple[str, ...], Mapping[str, str]]] = {}
        self.cpu: Counter[str] = Counter()

    def start(self, name: str, *module: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start `python -m` in an empty folder with an empty DAGSTER_HOME, as a pod begins."""
        self._arguments[name] = module, environment
        home = self.folder / f"{name}-{time.monotonic_ns()}"
        home.mkdir()
        (home / "dagster.yaml").write_text(self._dagster_yaml)
        if self.workspace:
            (home / "workspace.yaml").write_text(self.workspace)
        plain = {key: text for key, text in os.environ.items() if not key.startswith("TOPVIEW_")}
        own = {"DAGSTER_HOME": str(home), "NO_PROXY": "127.0.0.1", "PYTHONPATH": str(ROOT)}
        with (self.folder / f"{name}.log").open("ab") as log:
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
        process = self._running.pop(name, None)
        if process is not None:
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

    def until(self, what: str, seconds: float, holds: Callable[[], bool]) -> None:
        """Wait until it holds; all processes must live."""
        ends = time.monotonic() + seconds
        while not holds():
            ended = [name for name, one in self._running.items() if one.poll() is not None]
            if ended or time.monotonic() > ends:
                raise SystemExit(f"not within {seconds:g} s: {what}; ended: {ended}")
            time.sleep(1.0)

    def kill_runs(self, name: str) -> None:
        """Kill the runs of a code server, which spawns each."""
        runs = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                is_run = b"spawn_main" in path.read_bytes()
                if is_run and os.getpgid(int(path.parent.name)) == self._running[name].pid:
                    runs.append(int(path.parent.name))
            except OSError:  # it ended meanwhile
                continue
        for pid in runs:
            os.kill(pid, signal.SIGKILL)


class Production:
    """Both brands in one Dagster, as the ledgers of their accounts see them."""

    def __init__(
        self, processes: Processes, servers: Servers, topview: Sandbox, products: int
    ) -> None:
        self._processes = processes
        self._servers = servers
        self._topview = topview
        self._products = products
        self._web = f"http://127.0.0.1:{free_port()}"
        self._began = 0.0
        self._ledgers: list[Ledger] = []

    def start(self, stack: ExitStack, catalogues: Mapping[str, Path]) -> None:
        """Start all processes, launch the first run of each brand, and its schedule."""
        ports = {name: free_port() for name in catalogues}
        of_dagster = {
            name: text
            for name, text in self._servers.environment.items()
            if name.startswith("DAGSTER_")
        }
        self._processes.workspace = "load_from:\n" + "".join(
            f"  - grpc_server: {{host: 127.0.0.1, port: {port}, location_name: {name}}}\n"
            for name, port in ports.items()
        )
        size = str(max(10, self._products // 6))
        cron = f"*/{1 if self._products >= MANY else 2} * * * *"  # a run's start costs 5 s of CPU
        for name, port in ports.items():
            brand = self._servers.environment | SETTINGS | {"TOPVIEW_NAME": name}
            brand |= {"TOPVIEW_UID": name, "TOPVIEW_API_KEY": KEYS[name]}
            brand |= {"TOPVIEW_BASE_URL": self._topview.base_url, "TOPVIEW_RUN_SIZE": size}
            brand["TOPVIEW_NIGHTLY_CRON"] = cron
            brand["TOPVIEW_CATALOGUE"] = str(catalogues[name])
            upgrade = ("topview_pipeline", "ledger", "upgrade")
            if self._processes.start("upgrade", *upgrade, **brand).wait(300):
                raise SystemExit(f"no ledger: {self._processes.folder}/upgrade.log")
            self._processes.kill("upgrade")
            brand["TOPVIEW_MIGRATE"] = "false"
            server = ("dagster", "api", "grpc", "-h", "127.0.0.1", "-p", str(port))
            definitions = ("-m", "topview_pipeline.definitions")
            self._processes.start(f"code-{name}", *server, *definitions, **brand)
            ledger = Ledger(
                brand["TOPVIEW_LEDGER_URL"],
                base_url=self._topview.base_url,
                uid=name,
                pipeline=name,
            )
            self._ledgers.append(stack.enter_context(closing(ledger)))
        web = ("dagster_webserver", "-h", "127.0.0.1", "-p", self._web.rpartition(":")[2])
        self._processes.start("webserver", *web, **of_dagster)
        self._processes.until("the webserver has both code locations", 600, self._is_loaded)
        self._processes.start("daemon", "dagster._daemon", "run", **of_dagster)
        self._began = time.monotonic()
        for name in catalogues:
            at = {"repositoryName": "__repository__", "repositoryLocationName": name}
            job = {"selector": at | {"pipelineName": f"{name}_catch_up"}, "mode": "default"}
            self._ask(_LAUNCH, params=job)
            schedule = at | {"scheduleName": f"{name}_nightly_catch_up"}
            self._ask(_SCHEDULE, selector=schedule)

    def make(self, troubles: list[tuple[str, Callable[[], object]]]) -> Numbers:
        """Wait until all is made or named; the troubles come on the way, one after the other."""
        for number, (what, trouble) in enumerate(troubles, 1):
            share = number / (len(troubles) + 1)
            is_made = partial(self._is_made, share)
            self._processes.until(f"{share:.0%} are made", 1800, is_made)
            print(f"{time.monotonic() - self._began:4.0f} s: {self._share():.0%} made; {what}")
            trouble()
        self._processes.until(f"all is made or named: {self._named()}", 1800, self._is_settled)
        seconds = time.monotonic() - self._began
        self._processes.kill_all()
        calls = sum(self._servers.requests()["requests"].values())
        busy = slots_busy(self._topview, 2 * SLOTS)
        return Numbers(seconds, self._processes.cpu, calls, busy)

    def troubles(self, outage: float) -> list[tuple[str, Callable[[], object]]]:
        """The troubles that come on the way."""
        processes, servers = self._processes, self._servers

        def bucket_hangs() -> None:
            servers.s3.send_signal(signal.SIGSTOP)
            time.sleep(outage)
            servers.s3.send_signal(signal.SIGCONT)

        return [
            ("acme's runs are killed", lambda: processes.kill_runs("code-acme")),
            ("PostgreSQL is restarted", servers.postgres.restart),
            ("the webserver is killed", lambda: processes.restart("webserver")),
            ("zeta's code server and runs are killed", lambda: processes.restart("code-zeta")),
            ("the daemon is killed", lambda: processes.restart("daemon")),
            (f"the bucket hangs for {outage:g} s", bucket_hangs),
        ]

    def named(self) -> list[str]:
        """The products that are not made, each with the reason."""
        return [name for ledger in self._ledgers for name in _named(ledger)]

    def _named(self) -> str:
        return f"{self._share():.0%} made, {len(self.named())} named"

    def _share(self) -> float:
        made = 0
        for ledger in self._ledgers:
            stored = ledger.tasks.in_state([TaskState.STORED])
            made += len({row.product_id for row in stored if row.stage == LAST})
        return made / self._products

    def _is_made(self, share: float) -> bool:
        return self._share() >= share

    def _is_settled(self) -> bool:
        live = (TaskState.RESERVED, TaskState.PENDING, TaskState.SUCCEEDED)
        if any(ledger.tasks.in_state(live) for ledger in self._ledgers):
            return False
        all_named = round(self._share() * self._products) + len(self.named()) == self._products
        return all_named and not self._topview.counters()["orphans"]

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


def _named(ledger: Ledger) -> Iterator[str]:
    """Products whose last word is a reason: nothing goes on with them by itself."""
    last = {row.product_id: row for row in ledger.tasks.unmade()}
    for name, row in last.items():
        is_over = row.state is TaskState.FAILED and not is_retried(row) and row.error_message
        if is_over or row.state is TaskState.UNKNOWN:
            yield f"{name}: {row.stage} {row.state.value}: {row.error_message}"


def slots_busy(topview: Sandbox, slots: int) -> float:
    """The share of the slots that was taken, from the first task to the last one's end."""
    seen = topview.counters()["slots"]
    changes = seen["changes"]
    return float(seen["busy_seconds"] / (slots * (changes[-1][0] - changes[0][0])))


def assert_clean(topview: Sandbox, servers: Servers, folder: Path) -> None:
    """Nothing was paid twice, nothing is lost, no log has a secret, and the policy suffices."""
    counters = topview.counters()
    wrong = [f"paid twice: {one}" for one in counters["duplicate_tasks"]]
    wrong += [f"lost: {one}" for one in counters["orphan_tasks"]]
    wrong += [f"not in the bucket's policy: {one}" for one in servers.requests()["refused"]]
    texts = {path.name: path.read_text(errors="replace") for path in folder.glob("*.log")}
    engine = sa.create_engine(servers.dagster_url)
    with engine.connect() as connection:
        for column, table in (("event", "event_logs"), ("run_body", "runs")):
            found = connection.exec_driver_sql(f"SELECT {column} FROM {table}")  # noqa: S608
            texts[f"Dagster's {table}"] = "\n".join(row[0] for row in found)
    engine.dispose()
    secrets = (*KEYS.values(), DATABASE_PASSWORD, BUCKET_SECRET)
    wrong += [f"{one} in {name}" for name, text in texts.items() for one in secrets if one in text]
    if wrong or len(texts) < len(KEYS) + 4:
        raise SystemExit(f"not as it must be: {wrong}")


def in_production(folder: Path, catalogues: Mapping[str, Path], products: int) -> Numbers:
    """Make the catalogues with all that goes wrong."""
    with ExitStack() as stack:
        topview = stack.enter_context(sandbox(concurrency=SLOTS, faults=FAULTS, **TOPVIEW))
        for name, key in KEYS.items():
            topview.add_account(name, key, TOPVIEW["credits"])
        remote = stack.enter_context(servers())
        processes = Processes(folder, stack, dagster_yaml(remote.database))
        production = Production(processes, remote, topview, products)
        production.start(stack, catalogues)
        numbers = production.make(production.troubles(30.0 if products >= MANY else 5.0))
        for one in production.named():
            print(f"named: {one}")
        assert_clean(topview, remote, folder)
    return numbers


def on_sqlite(folder: Path, catalogue: Path) -> Numbers:
    """Make the same products in one plain run, with nothing wrong and as many slots."""
    with sandbox(concurrency=2 * SLOTS, **TOPVIEW) as topview, ExitStack() as stack:
        own = SETTINGS | {"TOPVIEW_BASE_URL": topview.base_url, "TOPVIEW_UID": topview.uid}
        own |= {"TOPVIEW_API_KEY": topview.api_key, "TOPVIEW_CATALOGUE": str(catalogue)}
        own |= {"TOPVIEW_SLOTS": str(2 * SLOTS), "TOPVIEW_HOME": str(folder / "home")}
        processes = Processes(folder, stack, "telemetry: {enabled: false}\n")
        began = time.monotonic()
        process = processes.start("plain", "topview_pipeline", "run", **own)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"the plain run ended with {process.returncode}: {folder}/plain.log")
        cpu = Counter({"run workers": used.ru_utime + used.ru_stime})
        seconds = time.monotonic() - began
        return Numbers(seconds, cpu, 0, slots_busy(topview, 2 * SLOTS))


def show(production: Numbers, plain: Numbers, products: int) -> None:
    """Print both as a table."""
    print(f"\n| {products} products | rehearsal | SQLite, one plain run |\n| --- | --- | --- |")
    rows = [("wall", "{:.0f} s", production.seconds, plain.seconds)]
    rows.append(("slots busy", "{:.1%}", production.slots_busy, plain.slots_busy))
    calls = production.s3_calls / products
    rows.append(("S3 calls a product", "{:.1f}", calls, 0.0))
    cpu = "{:.2f} s"
    for role in sorted(production.cpu):
        ours, other = (one.cpu[role] / products for one in (production, plain))
        rows.append((f"CPU a product, {role}", cpu, ours, other))
    ours, other = (one.cpu.total() / products for one in (production, plain))
    rows.append(("CPU a product, all", cpu, ours, other))
    for what, shown, ours, other in rows:
        print(f"| {what} | {shown.format(ours)} | {shown.format(other)} |")


def main() -> None:
    """Run the rehearsal in a temporary folder; it stays when something went wrong."""
    parser = argparse.ArgumentParser(prog="python -m deploy.rehearsal")
    parser.add_argument("--products", type=int, default=12)
    products = parser.parse_args().products
    folder = Path(tempfile.mkdtemp(prefix="rehearsal-"))
    print(f"homes and logs: {folder}", flush=True)
    rows = ProductRows(folder)
    rows.add(*(f"product-{number}" for number in range(products)))
    rows.write()
    catalogues = {}
    for number, name in enumerate(KEYS):
        catalogues[name] = folder / f"{name}.csv"
        part = ProductRows(folder)
        part.path = catalogues[name]
        part.rows = dict(list(rows.rows.items())[number :: len(KEYS)])
        part.write()
    production = in_production(folder, catalogues, products)
    show(production, on_sqlite(folder, rows.path), products)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
