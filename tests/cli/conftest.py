"""A project folder of its own for each test: sandbox, catalogue, home, all by the environment."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.sandbox.control import Control
from topview_pipeline.sandbox.serve import Running, running

VOICE = "zeeTdrCqbhpVKOucLtOKdhytM7rbJx5t"
CAPTION = "3cfcb29df99746d4b438e169dda47647"
COLUMNS = ("product_id", "image", "template_image", "script", "voice_id", "caption_id", "mode")


@dataclass
class Project:
    """What somebody has who runs the command line."""

    folder: Path
    sandbox: Running
    environment: dict[str, str] = field(default_factory=dict)

    def write_catalogue(self, rows: Sequence[Mapping[str, str]]) -> None:
        """Rows are merged into a row that is good in every column."""
        good = {
            "template_image": "template.png",
            "voice_id": VOICE,
            "caption_id": CAPTION,
            "mode": "avatar2",
        }
        with (self.folder / "catalogue.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="")
            writer.writeheader()
            writer.writerows({**good, **row} for row in rows)

    def products(self, count: int) -> None:
        """A catalogue of so many good products, each with a photo of its own."""
        rows = []
        for number in range(count):
            name = f"product-{number}"
            Image.new("RGB", (16, 16), (number * 9 % 256, 90, 120)).save(
                self.folder / f"{name}.png"
            )
            rows.append({"product_id": name, "image": f"{name}.png", "script": f"This is {name}."})
        self.write_catalogue(rows)

    def command(self, *arguments: str, **changes: str) -> subprocess.Popen[str]:
        """Start `topview-pipeline` as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "topview_pipeline.cli", *arguments],
            cwd=self.folder,
            env={**os.environ, **self.environment, **changes},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run `topview-pipeline` to its end."""
        process = self.command(*arguments, **changes)
        out, err = process.communicate(timeout=90)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def counters(self) -> dict[str, Any]:
        """What the sandbox counted."""
        with Control(self.sandbox.base_url) as control:
            return control.counters()


ProjectOf = Callable[..., Project]


@pytest.fixture
def project_of(tmp_path: Path) -> Iterator[ProjectOf]:
    """Makes a project whose sandbox has the given settings."""
    open_sandboxes = []

    def make(**settings: object) -> Project:
        config = SandboxConfig(**{"media": "tiny", "speed": 50.0, **settings})  # type: ignore[arg-type]
        context = running(config)
        sandbox = context.__enter__()
        open_sandboxes.append(context)
        (tmp_path / "workspace.yaml").write_text("load_from: []\n", encoding="utf-8")
        Image.new("RGB", (36, 64), "white").save(tmp_path / "template.png")
        return Project(
            tmp_path,
            sandbox,
            {
                "TOPVIEW_BASE_URL": sandbox.base_url,
                "TOPVIEW_UID": sandbox.uid,
                "TOPVIEW_API_KEY": sandbox.api_key,
                "TOPVIEW_CATALOGUE": "catalogue.csv",
                "TOPVIEW_POLL_SECONDS": "0.05",
                "DAGSTER_HOME": str(tmp_path / "dagster"),
            },
        )

    yield make
    for context in open_sandboxes:
        context.__exit__(None, None, None)


def interrupt(process: subprocess.Popen[str]) -> None:
    """Press Ctrl-C."""
    process.send_signal(signal.SIGINT)
