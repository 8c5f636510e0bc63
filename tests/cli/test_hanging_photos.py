"""Servers that accept a connection and never answer: they hold up their own products only."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from tests.cli.conftest import Invoke, Project
from topview_pipeline.catalogue import references
from topview_pipeline.definitions import topview
from topview_pipeline.defs.events import Planned
from topview_pipeline.engine import Failed, Made

SLOW = pytest.mark.slow
pytestmark = pytest.mark.timeout(180)

SILENT_SECONDS = 8.0
"""How long a request is waited for here; the good product must not wait as long."""
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


@pytest.mark.slow
@pytest.mark.parametrize(("urls", "hosts"), [(1, 1), (100, 1), (100, 100)])
def test_photos_that_hang_hold_up_their_own_products_only(
    project: Project,
    invoke: Invoke,
    silent_server: SilentServer,
    monkeypatch: pytest.MonkeyPatch,
    urls: int,
    hosts: int,
) -> None:
    """All products waited for two minutes on one such photo, and for 50 on a hundred."""
    monkeypatch.setattr(references, "_SILENT_SECONDS", SILENT_SECONDS)
    gave_up: list[float] = []
    too_slow = references._too_slow

    def noted(url: str, what: str) -> Exception:
        gave_up.append(time.monotonic())
        return too_slow(url, what)

    monkeypatch.setattr(references, "_too_slow", noted)
    servers = [silent_server() for _ in range(hosts)]
    hung = {f"hung-{number}": f"{servers[number % hosts]}/{number}.png" for number in range(urls)}
    project.products(1)
    rows = [{"product_id": name, "image": url, "script": "Hello."} for name, url in hung.items()]
    good = {"product_id": "product-0", "image": "product-0.png", "script": "This is good."}
    project.write_catalogue([*rows, good])
    events: list[tuple[float, Any]] = []

    def listen(event: object) -> None:
        events.append((time.monotonic(), event))

    topview.listeners.append(listen)
    try:
        ran = invoke("run")
    finally:
        topview.listeners.remove(listen)

    assert ran.exit_code == 1, ran.output
    (planned_at,) = [at for at, event in events if isinstance(event, Planned)]
    assert planned_at < gave_up[0], "the plan waits for none of them"
    made = {event.stage: at for at, event in events if isinstance(event, Made)}
    failed = [(at, event) for at, event in events if isinstance(event, Failed)]
    assert set(made) == {"bgRemovedImage", "replacedImages", "finishedVideo"}
    assert made["finishedVideo"] < min(at for at, _ in failed), "it was made while the others hung"
    first = {event.product_id: event.what for _, event in reversed(failed)}
    assert first.keys() == hung.keys()
    for name, what in first.items():
        assert what.startswith(f"{hung[name]}: "), what
        assert "sent nothing for 8 s" in what


@SLOW
def test_a_plan_says_what_hangs_and_what_it_waits_for(
    project: Project,
    invoke: Invoke,
    silent_server: SilentServer,
    monkeypatch: pytest.MonkeyPatch,
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
