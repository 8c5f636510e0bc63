"""`topview-pipeline gallery`: the page as a file, and served."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import QUAD, Project, wait_for
from tests.export.test_gallery import Page

pytestmark = pytest.mark.slow


def test_the_gallery_is_written_beside_the_ledger_and_needs_no_key(project: Project) -> None:
    project.products(1, location=QUAD)
    assert project.run("run").returncode == 0

    done = project.run("gallery", "--no-open", TOPVIEW_API_KEY="")

    assert done.returncode == 0, done.stderr
    page = project.home / "gallery" / "index.html"
    assert f"1 product: {page}" in done.stdout
    (shown,) = Page(page.read_text(encoding="utf-8")).data["products"]
    assert (shown["status"], len(shown["scenes"])) == ("done", 2)
    assert shown["video"].startswith("../store/")
    done = project.run("gallery", "--json", TOPVIEW_API_KEY="")
    said = {"page": str(page), "products": 1, "statuses": {"done": 1}}
    assert json.loads(done.stdout) == said


def test_a_served_gallery_leaves_the_page_that_is_opened_as_a_file(project: Project) -> None:
    """Its links lead to the server: when that has ended, they lead nowhere."""
    project.products(1)
    (project.folder / ".env").write_text("SECRET=secret", encoding="utf-8")
    assert project.run("gallery", "--no-open", "--output", ".").returncode == 0
    file = project.folder / "index.html"
    before = file.read_bytes()

    opener, opened = project.folder / "xdg-open", project.folder / "opened"
    opener.write_text(f'#!/bin/sh\necho "$*" >{opened}.part; mv {opened}.part {opened}\n')
    opener.chmod(0o755)
    path = f"{project.folder}{os.pathsep}{os.environ['PATH']}"
    process = project.command("gallery", "--serve", "--output", ".", PATH=path, DISPLAY=":7")
    try:
        assert process.stdout is not None
        url, _, token = process.stdout.readline().split()[2].partition("#token=")
        (product,) = Page(httpx.get(url, trust_env=False).text).data["products"]
        assert httpx.get(f"{url}.env", trust_env=False).status_code == 404
        shown = httpx.get(url + product["photo"][0], trust_env=False)
        assert shown.headers["Content-Type"] == "image/webp"
        mine = {"X-Gallery-Token": token}
        answer = httpx.post(f"{url}decide", content="approve\tproduct-0", headers=mine)
        assert (answer.status_code, "'product-0' has no result" in answer.text) == (409, True)
        wait_for(opened.exists, process)
        assert token not in opened.read_text(), "every user of the machine can read an argument"
        page = Path(opened.read_text().strip().removeprefix("file://"))
        assert f'url={url}#token={token}"' in page.read_text()
        assert page.stat().st_mode & 0o077 == page.parent.stat().st_mode & 0o077 == 0
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert file.read_bytes() == before
    assert not page.exists()


@pytest.mark.parametrize(
    ("opener", "display", "is_open"),
    [
        (None, ":7", False),
        ("echo xdg-open: no method available >&2; exit 3", ":7", False),
        ("cat >/dev/tty; echo lynx; exit 4", ":7", False),
        ("echo noise >&2; exit 0", "", False),
        ("echo noise >&2; exit 0", ":7", True),
    ],
)
def test_a_server_without_a_browser_gets_the_path_and_one_sentence(
    project: Project, opener: str | None, display: str, is_open: bool
) -> None:
    """xdg-open printed seven lines of errors, or lynx took the terminal."""
    project.products(1)
    program = project.folder / "tools" / "xdg-open"
    program.parent.mkdir()
    if opener is not None:
        program.write_text(f"#!/bin/sh\n{opener}\n", encoding="utf-8")
        program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}/usr/bin{os.pathsep}/bin"
    ran = project.run("gallery", PATH=path, DISPLAY=display, WAYLAND_DISPLAY="", TERM="xterm")
    assert (ran.returncode, ran.stderr) == (0, "")
    first, *rest = ran.stdout.splitlines()
    assert first.endswith("index.html")
    assert ["no browser" in line for line in rest] == ([] if is_open else [True])


@pytest.mark.parametrize("arguments", [("gallery", "--serve"), ("sandbox",)])
def test_a_port_that_is_taken_is_one_sentence(project: Project, arguments: tuple[str, ...]) -> None:
    """The address of somebody else's server was shown as ours."""
    project.products(1)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = project.refused(*arguments, "--port", str(port), TOPVIEW_BASE_URL="http://x.test")
    assert f"port {port}" in said
    assert "--port" in said.partition(str(port))[2]


def test_what_cannot_be_shown_is_one_sentence(project: Project) -> None:
    project.products(1)
    (project.folder / "taken").write_text("a file", encoding="utf-8")
    assert "cannot be written" in project.refused("gallery", "--no-open", "--output", "taken/below")
    said = project.refused("gallery", "--serve", TOPVIEW_STORE="memory://store")
    assert "TOPVIEW_STORE" in said
