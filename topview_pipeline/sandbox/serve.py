"""Running the sandbox: in the foreground, in a thread of this process, or in one of its own."""

import contextlib
import multiprocessing
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import FrameType
from typing import Literal

import uvicorn

from .app import create_app
from .config import SandboxConfig
from .connections import ConnectionTable, closing_connections, recording_protocol

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0


@dataclass(frozen=True)
class Running:
    """A sandbox that answers at `base_url` with these credentials. `pid` is None in a thread."""

    base_url: str
    uid: str
    api_key: str = field(repr=False)
    port: int
    pid: int | None = None


def serve(config: SandboxConfig, host: str = "127.0.0.1", port: int = 0) -> None:
    """Serve until SIGTERM or SIGINT, then return. Raises OSError if the address is taken.

    For the main thread, as signal handlers are.
    """
    with _bound(host, port) as listener:
        server = _server(config, time.time)
        with _stopped_by_signals(server):
            server.run(sockets=[listener])


@contextmanager
def _stopped_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """uvicorn raises the signal that stopped it once more when it is done; end that here."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    handlers = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def running(
    config: SandboxConfig,
    *,
    port: int = 0,
    where: Literal["thread", "process"] = "thread",
    clock: Callable[[], float] = time.time,
) -> Iterator[Running]:
    """A sandbox on loopback, until the block ends; port 0 takes a free one.

    In a thread it starts in milliseconds and takes any `clock`. In a process its CPU time is not
    the caller's, and it ends with the caller however that ends; it keeps the system's clock.
    """
    run = _in_thread(config, port, clock) if where == "thread" else _in_process(config, port)
    with run as (bound_port, pid):
        yield Running(
            base_url=f"http://127.0.0.1:{bound_port}",
            uid=config.uid,
            api_key=config.api_key,
            port=bound_port,
            pid=pid,
        )


@contextmanager
def _in_thread(
    config: SandboxConfig, port: int, clock: Callable[[], float]
) -> Iterator[tuple[int, None]]:
    with _bound("127.0.0.1", port) as listener:
        server = _server(config, clock)
        thread = threading.Thread(target=server.run, args=([listener],), name="sandbox")
        thread.start()
        try:
            _wait_until(lambda: server.started or not thread.is_alive())
            if not server.started:
                raise RuntimeError("the sandbox did not start; its log says why")
            yield listener.getsockname()[1], None
        finally:
            server.should_exit = True
            thread.join(_STOP_SECONDS)


@contextmanager
def _in_process(config: SandboxConfig, port: int) -> Iterator[tuple[int, int | None]]:
    # spawn: a fork would take the caller's threads, locks and descriptors along.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_child, args=(config, port, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(_START_SECONDS):
            raise RuntimeError(f"the sandbox did not start within {_START_SECONDS:g} s")
        try:
            bound_port = ours.recv()
        except EOFError as error:
            raise RuntimeError("the sandbox's process ended as it started") from error
        yield bound_port, process.pid
    finally:
        ours.close()
        process.join(_STOP_SECONDS)
        if process.is_alive():
            process.kill()


def _child(config: SandboxConfig, port: int, parent: Connection) -> None:
    with _bound("127.0.0.1", port) as listener:
        server = _server(config, time.time)
        threading.Thread(target=_stop_with, args=(parent, server), daemon=True).start()
        # The listener accepts from here on; early connections wait in its queue.
        parent.send(listener.getsockname()[1])
        server.run(sockets=[listener])


def _stop_with(parent: Connection, server: uvicorn.Server) -> None:
    """The pipe ends when the parent closes it or dies."""
    with contextlib.suppress(EOFError, OSError):
        parent.recv()
    server.should_exit = True


def _server(config: SandboxConfig, clock: Callable[[], float]) -> uvicorn.Server:
    connections: ConnectionTable = {}
    app = closing_connections(create_app(config, clock=clock), connections)
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=recording_protocol(connections),
            access_log=False,
            date_header=False,
            log_level="warning",
            timeout_keep_alive=75,
            timeout_graceful_shutdown=2,
        )
    )


@contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    with socket.create_server((host, port), backlog=2048) as listener:
        yield listener


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.002)
