"""A project whose sandbox repeats secrets at every turn, and the search for what came of them."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

import pytest
from PIL import Image

from tests.cli.conftest import Project, ProjectOf
from tests.scenarios.mischief import Mischief
from tests.scenarios.written import written_below
from topview_pipeline.environment import VARIABLES
from topview_pipeline.sandbox.app import create_app
from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.sandbox.signing import Signer

KEY = "tv/Recognisable+Key=="
WRONG_KEY = "tv/Mistaken+Key=="
PHOTO_SIGNATURE = "27ae41e4649b934ca495991b7852b855"
PASSWORD = "correct-horse+battery"
LOGS_OF_EVERYTHING = """\
telemetry:
  enabled: false
python_logs:
  managed_python_loggers: [root, httpx, httpcore, asyncio]
  python_log_level: DEBUG
"""
"""As a team sets it that wants every library's log beside the run."""
EXECUTE = """
import sys
from dagster._cli import main
sys.argv = ["dagster", "job", "execute", "-m", "topview_pipeline.definitions", "-j", "catch_up"]
main()
"""


@dataclass
class Secrets:
    """What must stand nowhere: each by a name for the reader of a failed test."""

    needles: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, value: str) -> None:
        """In the forms in which a value usually travels."""
        encoded = base64.b64encode(value.encode()).decode()
        forms = {value, quote(value, safe=""), quote_plus(value), quote(value), encoded}
        forms |= {base64.urlsafe_b64encode(value.encode()).decode(), json.dumps(value)[1:-1]}
        for form in forms:
            self.needles[f"{name} ({form[:12]}...)"] = form

    def add_signed(self, urls: Mapping[str, str]) -> None:
        """Signatures and policies of URLs that were really issued."""
        for url in urls:
            query = dict(parse_qsl(urlsplit(url).query))
            for name in ("X-Amz-Signature", "Signature", "Policy"):
                if name in query:
                    self.add(f"{name} of {urlsplit(url).path}", query[name])

    def found_in(self, texts: Iterator[tuple[str, bytes]]) -> list[str]:
        """Every place that holds one."""
        needles = {name: value.encode() for name, value in self.needles.items()}
        return [
            f"{place} holds {name}"
            for place, content in texts
            for name, needle in needles.items()
            if needle in content
        ]


@dataclass
class BadDay:
    """A project whose sandbox repeats secrets, and what its commands said."""

    project: Project
    mischief: Mischief
    secrets: Secrets
    issued: dict[str, str]
    said: dict[str, str] = field(default_factory=dict)

    def command(self, name: str, *arguments: str, **changes: str) -> int:
        """Run a command in the project and keep what it says."""
        environment = {**self.project.environment, **changes}
        self.said[name] = ""
        ran = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.project.folder,
            env=_outer_environment() | environment,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        self.said[name] = ran.stdout + ran.stderr
        return ran.returncode

    def run(self, name: str, **changes: str) -> int:
        """`topview-pipeline run`."""
        return self.command(name, "-m", "topview_pipeline.cli", "run", **changes)

    def execute(self, name: str, **changes: str) -> int:
        """A run of Dagster's own, with its compute logs."""
        return self.command(name, "-c", EXECUTE, **changes)

    def sells(self, names: str) -> None:
        """A catalogue of these products, whose photos need a password and a signature."""
        self.project.write_catalogue(
            [
                {"product_id": name, "image": self.at_the_shop(f"{name}.png"), "script": name}
                for name in names
            ]
        )

    def at_the_shop(self, name: str) -> str:
        """A signed URL of a file at the shop's own server."""
        base = self.project.sandbox.base_url.replace("//", f"//shop:{quote(PASSWORD)}@")
        query = f"X-Amz-Signature={PHOTO_SIGNATURE}&token={quote(PASSWORD)}"
        return f"{base}/shop/{name}?{query}"

    def listen(self, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
        """Take what the sandbox said, in this process, with what the commands said."""
        said = capfd.readouterr()
        self.said["the sandbox"] = said.out + said.err + caplog.text

    def assert_nothing_leaked(self) -> None:
        """No secret stands in what was written or said."""
        self.secrets.add_signed(self.issued)
        leaks = self.secrets.found_in(self.everything())
        assert leaks == [], "\n".join([*leaks[:20], f"{len(leaks)} leaks"])
        # The sandbox knows the keys of its accounts, and nothing of what else it was told.
        known = {name: value for name, value in self.secrets.needles.items() if name[:4] != "key "}
        assert Secrets(known).found_in(written_below(self.project.folder / "sandbox")) == []

    def everything(self) -> Iterator[tuple[str, bytes]]:
        """All that was written and said, but for what a person wrote: catalogue and keys."""
        for place, content in written_below(self.project.folder):
            if not place.startswith(("catalogue", "sandbox")):
                yield place, content
        for name, text in self.said.items():
            yield f"what {name} said", text.encode()


@pytest.fixture
def bad_day(project_of: ProjectOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BadDay:
    """Secrets are recognisable, and every URL that is signed is noted."""
    issued: dict[str, str] = {}
    started: list[Mischief] = []
    sign_s3, sign_cloudfront = Signer.s3, Signer.cloudfront

    def s3(signer: Signer, base: str, key: str, **options: object) -> str:
        url = sign_s3(signer, base, key, **options)  # type: ignore[arg-type]  # passed on
        issued[url] = key
        return url

    def cloudfront(signer: Signer, base: str, key: str, **options: object) -> str:
        url = sign_cloudfront(signer, base, key, **options)  # type: ignore[arg-type]  # passed on
        issued[url] = key
        return url

    def echo() -> str:
        urls = " ".join(list(issued)[-2:])
        return f"Authorization: Bearer {KEY} (or {quote(KEY, safe='')}) may not {urls}"

    def create(config: SandboxConfig, **options: object) -> Mischief:
        started.append(Mischief(create_app(config, **options), echo))  # type: ignore[arg-type]
        return started[-1]

    monkeypatch.setattr(Signer, "s3", s3)
    monkeypatch.setattr(Signer, "cloudfront", cloudfront)
    monkeypatch.setattr("topview_pipeline.sandbox.serve.create_app", create)
    project = project_of(
        api_key=KEY,
        state_dir=tmp_path / "sandbox",
        faults={"err500": 0.05, "garbage": 0.05, "nourl": 0.2},
    )
    (mischief,) = started
    home = Path(project.environment["DAGSTER_HOME"])
    home.mkdir()
    (home / "dagster.yaml").write_text(LOGS_OF_EVERYTHING, encoding="utf-8")
    secrets = Secrets()
    for name, value in (
        ("key", KEY),
        ("wrong key", WRONG_KEY),
        ("password", PASSWORD),
        ("signature of a photo", PHOTO_SIGNATURE),
    ):
        secrets.add(name, value)
    mischief.photos = {f"/shop/{name}.png": _photo(name) for name in "abcdefgh"}
    # Long enough that some files come home after all that goes wrong first.
    project.environment["TOPVIEW_WAIT_SECONDS"] = "5"
    return BadDay(project, mischief, secrets, issued)


def _outer_environment() -> dict[str, str]:
    ours = {variable.name for variable in VARIABLES}
    return {name: value for name, value in os.environ.items() if name not in ours}


def _photo(name: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (ord(name), 0, 0)).save(file, "PNG")
    return file.getvalue()
