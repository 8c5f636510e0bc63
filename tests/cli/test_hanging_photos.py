"""Servers that accept a connection and never answer: they hold up their own products only."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from tests.cli.conftest import Invoke, Project
from topview_pipeline.catalogue import references
from topview_pipeline.definitions import topview
from topview_pipeline.engine import Failed, Made

SLOW = pytest.mark.slow
pytestmark = pytest.mark.timeout(180)

SilentServer = Callable[[], str]


@pytest.fixture
def silent_server() -> Iterator[SilentServer]:
    """Starts a server that accepts and never answers, and gives its URL."""
    with ExitStack() as sockets:
        kept: list[socket.socket] = []

        def accept(listener: socket.socket) -> None:
            with suppress(OSError):  # it was closed
                while True:
                    kept.append(listener.accept()[0])

        def start() -> str:
            listener = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=200))
            threading.Thread(target=accept, args=[listener], daemon=True).start()
            sockets.callback(listener.shutdown, socket.SHUT_RDWR)
            return f"http://127.0.0.1:{listener.getsockname()[1]}"

        yield start
        for connection in kept:
            connection.close()


@SLOW
@pytest.mark.parametrize("hosts", [1, 100])
def test_photos_that_hang_hold_up_their_own_products_only(
    project: Project, silent_server: SilentServer, monkeypatch: pytest.MonkeyPatch, hosts: int
) -> None:
    """All products waited for two minutes on one such photo, and for 50 on a hundred.

    They hang until the good product is made: a run that waits for them never ends.
    """
    made = threading.Event()

    def hang(url: str, limit: int, known: str | None) -> references.Content:
        assert made.wait(100.0), "the good product waits for the others"
        return read_http(url, limit, known)

    read_http = references._read_http
    monkeypatch.setattr(references, "_read_http", hang)
    monkeypatch.setattr(references, "_SILENT_SECONDS", 0.5)
    servers = [silent_server() for _ in range(hosts)]
    hung = {f"hung-{number}": f"{servers[number % hosts]}/{number}.png" for number in range(100)}
    project.products(1)
    rows = [{"product_id": name, "image": url, "script": "Hello."} for name, url in hung.items()]
    good = {"product_id": "product-0", "image": "product-0.png", "script": "This is good."}
    project.write_catalogue([*rows, good])
    events: list[Any] = []

    def listen(event: object) -> None:
        events.append(event)
        if isinstance(event, Made) and event.stage == "finishedVideo":
            made.set()

    topview.listeners.append(listen)
    try:
        ran = project.invoke("run")
    finally:
        topview.listeners.remove(listen)

    assert ran.exit_code == 1, ran.output
    assert made.is_set()
    first = {one.product_id: one.what for one in reversed(events) if isinstance(one, Failed)}
    assert first.keys() == hung.keys()
    for name, what in first.items():
        assert what.startswith(f"{hung[name]}: the server sent nothing for 0.5 s"), what


@SLOW
def test_a_plan_says_what_hangs_and_what_it_waits_for(
    project: Project, invoke: Invoke, silent_server: SilentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "_SILENT_SECONDS", 2.0)
    url = f"{silent_server()}/a.png?signature=s3cret"
    project.products(1, image=url)
    planned = invoke("plan")
    assert planned.exit_code == 1, planned.output
    assert "would fail: " in planned.stdout
    assert "sent nothing for 2 s" in planned.stdout
    assert "s3cret" not in planned.output
    assert "Reading the products' photos and other files ... (" in planned.stderr

    hangs = invoke("plan", TOPVIEW_CATALOGUE=url)
    assert hangs.exit_code == 2
    first, last = hangs.stderr.splitlines()
    assert first.startswith(f"Reading the catalogue {url.partition('?')[0]}?… ... (")
    assert "sent nothing for 2 s" in last
