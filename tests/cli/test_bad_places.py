"""Places that cannot be used, and addresses that are not Topview."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.cli.conftest import ProjectOf

pytestmark = pytest.mark.slow


class _Website(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<html><body>Welcome</body></html>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silence."""


@pytest.fixture
def website() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Website) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_base_url_that_is_a_website_leaves_no_unknown_rows(
    project_of: ProjectOf, website: str
) -> None:
    project = project_of()
    project.products(1)

    ran = project.run("run", TOPVIEW_BASE_URL=website)

    assert ran.returncode == 2
    assert "TOPVIEW_BASE_URL" in ran.stderr
    assert "not Topview" in ran.stderr
    assert not (project.folder / ".topview" / "ledger.db").exists()


@pytest.mark.parametrize("variable", ["TOPVIEW_HOME", "TOPVIEW_ARTIFACTS", "DAGSTER_HOME"])
def test_a_file_where_a_folder_must_be_is_said(project_of: ProjectOf, variable: str) -> None:
    """As root nothing is unwritable, so a file stands in the way instead."""
    project = project_of()
    project.products(1)
    (project.folder / "file").write_text("in the way", encoding="utf-8")

    ran = project.run("run", **{variable: str(project.folder / "file")})

    assert ran.returncode == 2
    assert "file" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert project.counters()["submits"] == {}


def test_a_broken_ledger_submits_nothing(project_of: ProjectOf) -> None:
    project = project_of()
    project.products(1)
    home = project.folder / ".topview"
    home.mkdir()
    (home / "ledger.db").write_bytes(b"this is no database" * 100)

    ran = project.run("run")

    assert ran.returncode == 2
    assert "ledger" in ran.stderr
    assert "nothing was submitted" in ran.stderr
    assert project.counters()["submits"] == {}


def test_ui_without_a_demo_names_the_command(project_of: ProjectOf) -> None:
    ran = project_of().run("ui")
    assert ran.returncode == 2
    assert "make demo" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--fault", "gremlins=0.5"), "gremlins"),
        (("--fault", "busy=often"), "NAME=PROB"),
        (("--fault", "busy=7"), "busy"),
        (("--speed", "0"), "speed"),
    ],
)
def test_a_sandbox_that_cannot_be_meant_does_not_start(
    project_of: ProjectOf, arguments: tuple[str, ...], said: str
) -> None:
    ran = project_of().run("sandbox", *arguments)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
