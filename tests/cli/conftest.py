"""A project folder of its own for each test: sandbox, catalogue, home, all by the environment."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from tests.cli.terminal import Terminal, on_terminal
from topview_pipeline.cli import main
from topview_pipeline.cli.environment import make_dagster_home
from topview_pipeline.ledger import Ledger
from topview_pipeline.settings import VARIABLES
from topview_pipeline.testing import VOICE, Sandbox, sandbox

QUAD = "[[0.2, 0.2], [0.6, 0.2], [0.6, 0.8], [0.2, 0.8]]"
GOOD = {
    "template_image": "template.png",
    "voice_id": VOICE,
    "caption_id": "3cfcb29df99746d4b438e169dda47647",
    "mode": "avatar2",
}
COLUMNS = ("product_id", "image", "location", "script", *GOOD)


def forget_settings() -> None:
    """Of the code location, which keeps those of the first command in this process."""
    if module := sys.modules.get("topview_pipeline.definitions"):
        for name in ("config", "store"):
            vars(module.topview).pop(name, None)


def unsigned(err: str) -> str:
    """Standard error without signs of life: they come when the machine is slow."""
    return re.sub(r"(?m)^.* \.\.\. \(\d+ s\)\n", "", err)


@dataclass
class Project:
    """The folder of a person who runs the command line."""

    folder: Path
    sandbox: Sandbox
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.folder / ".topview"

    def write_catalogue(self, rows: Sequence[Mapping[str, str]]) -> None:
        """Rows are merged into a row that is good in every column."""
        with (self.folder / "catalogue.csv").open("w", newline="", encoding="utf-8") as file:
            columns = dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)])
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows({**GOOD, **row} for row in rows)

    def products(self, count: int, **columns: str) -> None:
        """A catalogue of so many good products, each with a photo of its own."""
        rows = []
        for number in range(count):
            name = f"product-{number}"
            picture = Image.new("RGB", (16, 16), (number * 9 % 256, 90, 120))
            picture.save(self.folder / f"{name}.png")
            row = {"product_id": name, "image": f"{name}.png", "script": f"This is {name}."}
            rows.append({**row, **columns})
        self.write_catalogue(rows)

    def variables(self, **changes: str) -> dict[str, str]:
        """The environment of a process. COLUMNS of a parallel test would hide a terminal's size."""
        foreign = ("NO_COLOR", "COLUMNS", "LINES")
        inherited = {name: value for name, value in os.environ.items() if name not in foreign}
        return {**inherited, "TERM": "xterm-256color", **self.environment, **changes}

    def command(self, *arguments: str, **changes: str) -> subprocess.Popen[str]:
        """Start `topview-pipeline` as a process of its own."""
        command = [sys.executable, "-m", "topview_pipeline", *arguments]
        environment, out = self.variables(**changes), subprocess.PIPE
        return subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=out, stderr=out, text=True
        )

    def terminal(
        self, *arguments: str, columns: int = 100, **changes: str
    ) -> AbstractContextManager[Terminal]:
        """Start it on a terminal."""
        environment = self.variables(**changes)
        return on_terminal(*arguments, cwd=self.folder, environment=environment, columns=columns)

    def invoke(self, *arguments: str, stdin: str | None = None, **changes: str | None) -> Result:
        """Run `topview-pipeline` in this process."""
        forget_settings()
        environment = {**dict.fromkeys(VARIABLES), **self.environment, **changes}
        return CliRunner().invoke(main, arguments, stdin, environment, prog_name="topview-pipeline")

    def run(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """The same without signs of life; a traceback is never what a person sees."""
        ran = self.invoke(*arguments, **changes)
        assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exc_info
        assert "Traceback" not in ran.output, ran.output
        err = unsigned(ran.stderr)
        return subprocess.CompletedProcess(arguments, ran.exit_code, ran.stdout, err)

    def refused(self, *arguments: str, **changes: str) -> str:
        """The sentence of a command that does nothing and submits nothing."""
        submits = self.sandbox.counters()["submits"]
        ran = self.run(*arguments, **changes)
        assert ran.returncode == 2, ran.stdout + ran.stderr
        assert ran.stderr.startswith(("topview-pipeline: ", "Usage: "))
        assert self.sandbox.counters()["submits"] == submits
        return ran.stderr

    def ledger(self) -> Ledger:
        """The project's ledger, opened from outside."""
        url = f"sqlite:///{self.home}/ledger.db"
        return Ledger(url, base_url=self.sandbox.base_url, uid=self.sandbox.uid)


ProjectOf = Callable[..., Project]


@pytest.fixture
def project_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProjectOf]:
    """Makes a project whose sandbox has the given settings, and goes there."""
    monkeypatch.chdir(tmp_path)
    with ExitStack() as sandboxes:

        def make(**settings: Any) -> Project:
            topview = sandboxes.enter_context(sandbox(**{"speed": 50.0, **settings}))
            (tmp_path / "workspace.yaml").write_text("load_from: []\n", encoding="utf-8")
            make_dagster_home(tmp_path / "dagster")
            Image.new("RGB", (36, 64), "white").save(tmp_path / "template.png")
            return Project(
                tmp_path,
                topview,
                {
                    "TOPVIEW_BASE_URL": topview.base_url,
                    "TOPVIEW_UID": topview.uid,
                    "TOPVIEW_API_KEY": topview.api_key,
                    "TOPVIEW_CATALOGUE": "catalogue.csv",
                    "TOPVIEW_POLL_SECONDS": "0.05",
                    "DAGSTER_HOME": str(tmp_path / "dagster"),
                },
            )

        yield make


@pytest.fixture
def project(project_of: ProjectOf) -> Project:
    return project_of()


Invoke = Callable[..., Result]


@pytest.fixture
def invoke(project: Project) -> Invoke:
    return project.invoke


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for a state of the world; a process that ends before it fails the test."""
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "the state was never reached"
        time.sleep(0.02)
