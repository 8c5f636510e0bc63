"""The windows of a producer's way, and how a process ends exactly there. No hooks in the package:
methods of its classes are wrapped, in the process that is to end.
"""

from __future__ import annotations

import functools
import inspect
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import httpx

from topview_pipeline.artifacts import ArtifactStore
from topview_pipeline.ledger.memory import Uploads
from topview_pipeline.ledger.orders import Orders
from topview_pipeline.ledger.rows import Reserved
from topview_pipeline.ledger.tasks import Tasks
from topview_pipeline.topview.client import TopviewClient

_ACCEPTED_WITHIN_SECONDS: Final = 20.0


class Window(Enum):
    """A point between two acts, by what was done last."""

    ORDERED = "ordered"
    UPLOADED = "uploaded"
    """The file is at Topview and its id not yet remembered."""
    REMEMBERED = "remembered"
    RESERVED = "reserved"
    """Committed, and not a byte of the POST sent."""
    SENT = "sent"
    """Topview accepted the task; its answer waits in the socket, unread."""
    ANSWERED = "answered"
    """The task id is read and not written down."""
    PENDING = "pending"
    SUCCESS_SEEN = "success seen"
    """The query said success; the row does not say it yet."""
    SUCCEEDED = "succeeded"
    DOWNLOADING = "downloading"
    """The first bytes of a file are on the disk."""
    FILES_KEPT = "files kept"
    """All files are in their folder, result.json is not."""
    RESULT_KEPT = "result kept"
    """result.json is there; the row still says succeeded."""
    STORED = "stored"
    TOLD = "told"
    """Dagster has the event; the order does not know."""
    DONE = "done"
    FAILURE_SEEN = "failure seen"
    """Topview said that the task failed, or refused the submit; the row does not say it yet."""
    FAILED = "failed"
    REFUSAL_SEEN = "refusal seen"
    """Topview created nothing and said so; the row still says reserved."""
    RELEASED = "released"


@dataclass(frozen=True)
class End:
    """How and where a process ends.

    Attributes:
        window: the point.
        stage: number of the stage, from 1, of the one product that the process makes.
        by: SIGKILL or SIGTERM.
    """

    window: Window
    stage: int
    by: signal.Signals


@dataclass(frozen=True)
class _Place:
    """A method of the package, and on which side of it the window lies."""

    of: type
    method: str
    after: bool

    def is_it(self, answer: Any) -> bool:
        return self.method != "reserve" or isinstance(answer, Reserved)


_PLACES: Final = {
    Window.ORDERED: _Place(Orders, "place", after=True),
    Window.UPLOADED: _Place(TopviewClient, "upload", after=True),
    Window.REMEMBERED: _Place(Uploads, "remember", after=True),
    Window.RESERVED: _Place(Tasks, "reserve", after=True),
    Window.ANSWERED: _Place(Tasks, "accepted", after=False),
    Window.PENDING: _Place(Tasks, "accepted", after=True),
    Window.SUCCESS_SEEN: _Place(Tasks, "succeeded", after=False),
    Window.SUCCEEDED: _Place(Tasks, "succeeded", after=True),
    Window.FILES_KEPT: _Place(ArtifactStore, "write_result", after=False),
    Window.RESULT_KEPT: _Place(Tasks, "stored", after=False),
    Window.STORED: _Place(Tasks, "stored", after=True),
    Window.TOLD: _Place(Orders, "done", after=False),
    Window.DONE: _Place(Orders, "done", after=True),
    Window.FAILURE_SEEN: _Place(Tasks, "failed", after=False),
    Window.FAILED: _Place(Tasks, "failed", after=True),
    Window.REFUSAL_SEEN: _Place(Tasks, "ended", after=False),
    Window.RELEASED: _Place(Tasks, "ended", after=True),
}
_OF_AN_EVENT: Final = (Window.TOLD, Window.DONE)


class Ender:
    """Ends this process in its window.

    Args:
        end: how and where.
        sandbox: its base URL.
        stop_was_asked: set once this process has begun to obey its signal.
    """

    def __init__(self, end: End, sandbox: str, stop_was_asked: threading.Event) -> None:
        self._end = end
        self._sandbox = sandbox
        self._stop_was_asked = stop_was_asked
        self._ended = False
        self._stages_before = 0

    def arm(self) -> None:
        """Wrap the window's method; from here on the process may end."""
        window = self._end.window
        # A stage begins when the one before is stored; its event is told a moment later, in
        # another thread.
        counted = _PLACES[Window.DONE if window in _OF_AN_EVENT else Window.STORED]
        _wrap(counted.of, counted.method, after=self._count)
        if window is Window.SENT:
            _wrap(httpx.AsyncHTTPTransport, "handle_async_request", before=self._trace)
        elif window is Window.DOWNLOADING:
            _wrap(TopviewClient, "download", changed=self._sink)
        else:
            place = _PLACES[window]
            act = functools.partial(self._reach, place)
            if place.after:
                _wrap(place.of, place.method, after=act)
            else:
                _wrap(place.of, place.method, before=act)

    def _count(self, *_: Any) -> None:
        self._stages_before += 1

    def _reach(self, place: _Place, *seen: Any) -> None:
        # After the counted method itself, the stage that ended is the one before the count.
        done = self._stages_before - (place.after and place.method in ("stored", "done"))
        if done == self._end.stage - 1 and (not place.after or place.is_it(seen[-1])):
            self._now()

    def _now(self) -> None:
        if self._ended:
            return
        self._ended = True
        os.kill(os.getpid(), self._end.by)
        # SIGTERM: the main thread obeys it, and this one goes on only when it has begun to.
        if threading.current_thread() is not threading.main_thread():
            self._stop_was_asked.wait(_ACCEPTED_WITHIN_SECONDS)

    def _trace(self, _transport: Any, request: httpx.Request) -> None:
        if request.method != "POST" or not request.url.path.endswith("/submit"):
            return
        before = self._accepted()

        async def trace(event: str, _info: Any) -> None:
            if event != "http11.receive_response_headers.started":
                return
            if self._stages_before == self._end.stage - 1:
                give_up = time.monotonic() + _ACCEPTED_WITHIN_SECONDS
                while self._accepted() == before and time.monotonic() < give_up:
                    time.sleep(0.005)
                self._now()

        request.extensions["trace"] = trace

    def _accepted(self) -> int:
        url = f"{self._sandbox}/_sandbox/counters"
        return sum(httpx.get(url, trust_env=False).json()["accepted"].values())

    def _sink(self, client: Any, url: str, into: Any, **options: Any) -> tuple[Any, ...]:
        if self._stages_before != self._end.stage - 1:
            return (client, url, into)
        return (client, url, _DeadlySink(into, self._now))


class _DeadlySink:
    """A file that ends the process once something is in it."""

    def __init__(self, file: Any, die: Callable[[], None]) -> None:
        self._file = file
        self._die = die

    def write(self, data: bytes) -> int:
        written: int = self._file.write(data[: len(data) // 2])
        self._file.flush()
        self._die()
        return written + int(self._file.write(data[len(data) // 2 :]))


def _wrap(
    of: type,
    method: str,
    *,
    before: Callable[..., None] | None = None,
    after: Callable[..., None] | None = None,
    changed: Callable[..., tuple[Any, ...]] | None = None,
) -> None:
    """Call `before` with a call's arguments, `after` with its answer too; or change them."""
    inner = getattr(of, method)

    def begin(args: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, ...]:
        if before is not None:
            before(*args)
        return args if changed is None else changed(*args, **options)

    @functools.wraps(inner)
    def call(*args: Any, **options: Any) -> Any:
        answer = inner(*begin(args, options), **options)
        if after is not None:
            after(*args, answer)
        return answer

    @functools.wraps(inner)
    async def call_async(*args: Any, **options: Any) -> Any:
        answer = await inner(*begin(args, options), **options)
        if after is not None:
            after(*args, answer)
        return answer

    setattr(of, method, call_async if inspect.iscoroutinefunction(inner) else call)
