"""Running the sandbox: in the foreground, in a thread of this process, or in one of its own."""

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe
from types import FrameType
from typing import Any, Literal

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from .api.app import create_app
from .api.calls import HANG_UP
from .config import SandboxConfig

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0

_Connections = dict[tuple[str, int], asyncio.Transport]
"""Open connections by their client's address."""


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

    For the main thread alone, since it sets signal handlers.
    """
    with _bound(host, port) as listener:
        server = _server(config, time.time)
        with _stopped_by_signals(server):
            server.run(sockets=[listener])


@contextmanager
def _stopped_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """Stop the server at a signal.

    uvicorn raises the signal that stopped it once more when it is done; that ends here.
    """

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
        base_url = f"http://127.0.0.1:{bound_port}"
        yield Running(base_url, config.uid, config.api_key, bound_port, pid)


@contextmanager
def _in_thread(
    config: SandboxConfig, port: int, clock: Callable[[], float]
) -> Iterator[tuple[int, None]]:
    with _bound("127.0.0.1", port) as listener:
        server = _server(config, clock)
        thread = threading.Thread(target=server.run, args=([listener],), name="sandbox")
        thread.start()
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not server.started and thread.is_alive() and time.monotonic() < deadline:
                time.sleep(0.002)
            if not server.started:
                raise RuntimeError("the sandbox did not start; its log says why")
            yield listener.getsockname()[1], None
        finally:
            server.should_exit = True
            thread.join(_STOP_SECONDS)


@contextmanager
def _in_process(config: SandboxConfig, port: int) -> Iterator[tuple[int, int | None]]:
    # A new program: a fork would take the caller's threads, locks and descriptors along, and
    # multiprocessing would run the caller's script once more. In a session of its own, for Ctrl-C
    # in a terminal is the caller's to handle, who may need us a little longer.
    ours, theirs = Pipe()
    code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import child; "
    command = [sys.executable, "-c", f"{code}child({theirs.fileno()})"]
    fds = (theirs.fileno(),)
    process = subprocess.Popen(command, pass_fds=fds, start_new_session=True)  # noqa: S603
    ours.send((config, port))
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
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def child(descriptor: int) -> None:
    """Serve in a process of its own, until the pipe from its parent ends."""
    parent = Connection(descriptor)
    config, port = parent.recv()
    with _bound("127.0.0.1", port) as listener:
        server = _server(config, time.time)
        threading.Thread(target=_stop_with, args=(parent, server), daemon=True).start()
        # The listener accepts from here on; early connections wait in its queue.
        with contextlib.suppress(BrokenPipeError):  # it ended meanwhile; `_stop_with` sees it, too
            parent.send(listener.getsockname()[1])
        server.run(sockets=[listener])


def _stop_with(parent: Connection, server: uvicorn.Server) -> None:
    """Stop when the pipe ends: the parent closed it or died."""
    with contextlib.suppress(EOFError, OSError):
        parent.recv()
    server.should_exit = True


def _server(config: SandboxConfig, clock: Callable[[], float]) -> uvicorn.Server:
    connections: _Connections = {}
    return uvicorn.Server(
        uvicorn.Config(
            _with_hang_up(create_app(config, clock=clock), connections),
            http=_recording_protocol(connections),
            access_log=False,
            date_header=False,
            log_level="warning",
            timeout_keep_alive=75,
            timeout_graceful_shutdown=2,
        )
    )


def _recording_protocol(connections: _Connections) -> type[asyncio.Protocol]:
    """uvicorn's HTTP protocol, which also keeps the table of connections."""

    class RecordingProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # h11 or httptools
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            connections[self.client] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            connections.pop(self.client, None)
            super().connection_lost(exc)

    return RecordingProtocol


def _with_hang_up(app: ASGIApp, connections: _Connections) -> ASGIApp:
    """The application, with the extension `HANG_UP` in every HTTP scope.

    ASGI has no word for closing a connection in the middle of an answer.
    """

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            transport = connections.get(scope["client"])
            if transport is not None:
                extensions = {**scope.get("extensions", {}), HANG_UP: transport.close}
                scope = {**scope, "extensions": extensions}
        await app(scope, receive, send)

    return wrapped


def _bound(host: str, port: int) -> socket.socket:
    return socket.create_server((host, port), backlog=2048)
