"""The demo's own folder, `.demo/`: its Dagster history, its ledger and its sandbox.

The sandbox's port and state are kept, because the origin is part of the account: on another port
the same work would be another account's.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from topview_pipeline.cli.errors import CannotStart
from topview_pipeline.cli.media import media_url
from topview_pipeline.settings import project_root

_START_SECONDS: Final = 60.0
SANDBOX_SPEED: Final = 12.0
SLOTS: Final = 4
PROGRAM: Final = "topview-pipeline"
DEMO_PROGRAM: Final = f"{PROGRAM} --demo"


@dataclass(frozen=True)
class DemoHome:
    """Where the demo keeps everything."""

    folder: Path

    @classmethod
    def here(cls) -> DemoHome:
        """`.demo/` beside workspace.yaml."""
        return cls(project_root() / ".demo")

    @property
    def exists(self) -> bool:
        """Whether the demo ran before."""
        return self._sandbox_file.exists()

    @property
    def _sandbox_file(self) -> Path:
        return self.folder / "sandbox.json"

    def port(self) -> int:
        """The sandbox's port: the one it always had, or a free one, which is kept."""
        if self.exists:
            return int(json.loads(self._sandbox_file.read_text(encoding="utf-8"))["port"])
        self.folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        self._sandbox_file.write_text(json.dumps({"port": port}), encoding="utf-8")
        return port

    def media_port(self) -> int:
        """The port at which `ui` serves the store: kept, for links in the history name it."""
        file = self.folder / "media.json"
        if file.exists():
            return int(json.loads(file.read_text(encoding="utf-8"))["port"])
        self.folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        file.write_text(json.dumps({"port": port}), encoding="utf-8")
        return port

    def enter(self) -> None:
        """Make this process work on the demo, and on nothing of the user's own.

        Every setting is cleared first: the user's bucket, ledger or defaults must not leak in.
        """
        from topview_pipeline.settings import VARIABLES

        for variable in VARIABLES:
            os.environ.pop(variable.name, None)
        os.environ.update(self._environment())

    def enter_again(self) -> None:
        """As `enter`, of a demo that was made.

        Raises:
            CannotStart: there is none.
        """
        if not self.exists:
            raise CannotStart("there is no demo yet; make it first: make demo")
        self.enter()

    def _environment(self) -> dict[str, str]:
        from topview_pipeline.sandbox.config import SandboxConfig

        config = SandboxConfig()
        return {
            "DAGSTER_HOME": str(self.folder / "dagster"),
            "TOPVIEW_HOME": str(self.folder / "topview"),
            "TOPVIEW_BASE_URL": f"http://127.0.0.1:{self.port()}",
            "TOPVIEW_UID": config.uid,
            "TOPVIEW_API_KEY": config.api_key,
            "TOPVIEW_CATALOGUE": str(sample_catalogue()),
            "TOPVIEW_MEDIA_URL": media_url(self.media_port()),
            "TOPVIEW_POLL_SECONDS": "0.25",
            "TOPVIEW_MAX_CONCURRENT_TASKS": str(SLOTS),
        }

    @contextmanager
    def sandbox(self, *, may_answer: bool = False) -> Iterator[None]:
        """The demo's sandbox, in a process of its own, while the block runs.

        Args:
            may_answer: whatever answers at its port is taken for it: `ui` has it running.

        Raises:
            CannotStart: its port is taken, or it does not start.
        """
        port = self.port()
        if _answers(port):
            if may_answer:
                yield
                return
            raise CannotStart(
                f"port {port}, which the demo's sandbox always has, is in use. If another demo or "
                "`make ui` is running, stop it first; if it is another program's, remove the "
                f"folder {self.folder} and make the demo anew."
            )
        command = [
            sys.executable,
            "-m",
            "topview_pipeline.cli",
            "sandbox",
            "--end-with-stdin",
            f"--port={port}",
            f"--speed={SANDBOX_SPEED:g}",
            f"--concurrency={SLOTS}",
            f"--state={self.folder / 'sandbox'}",
        ]
        log = self.folder / "sandbox.log"
        with log.open("ab") as output, _child(command, output) as process:
            _wait_for(process, port, log)
            yield


def program() -> str:
    """What to type before a subcommand, to go on with what this command works on."""
    context = click.get_current_context(silent=True)
    on_demo = context is not None and context.find_root().params.get("demo", False)
    return DEMO_PROGRAM if on_demo else PROGRAM


def sample_catalogue() -> Path:
    """The catalogue that comes with the package."""
    return Path(__file__).parent.parent / "sample" / "catalogue.csv"


def free_port() -> int:
    """A free port on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _child(command: list[str], output: object) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(  # noqa: S603 - our own interpreter
        command,
        # It ends when this pipe does: with us, however we end.
        stdin=subprocess.PIPE,
        stdout=output,  # type: ignore[call-overload]  # an open file
        stderr=subprocess.STDOUT,
        # Ctrl-C in the terminal is ours to handle: the sandbox must outlive the run's end.
        start_new_session=True,
        env=dict(os.environ),
    )
    try:
        yield process
    finally:
        if process.stdin is not None:
            process.stdin.close()
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise CannotStart(f"the sandbox ended as it started; {log} says why")
        if _answers(port):
            return
        time.sleep(0.1)
    raise CannotStart(f"the sandbox did not answer within {_START_SECONDS:g} s; see {log}")


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return True
    except OSError:
        return False
