"""The windows of a product's way, and how a process ends exactly there.

No hooks in the package: methods of its classes are wrapped, in the process that is to end.
"""

from __future__ import annotations

import functools
import inspect
import os
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from topview_pipeline.engine import EngineThread
from topview_pipeline.ledger.known_files import Uploads
from topview_pipeline.ledger.task_row import Reserved
from topview_pipeline.ledger.tasks import Tasks
from topview_pipeline.ledger.workers import Workers
from topview_pipeline.store import Store
from topview_pipeline.topview.client import TopviewClient

_STOPPED_WITHIN_SECONDS: Final = 20.0
_Method = tuple[type, str]
_STORED: Final = (Tasks, "stored")


@dataclass(frozen=True)
class Window:
    """A point right before or right after a method of the package.

    Attributes:
        counts: the method whose calls count the stages that were made.
        is_it: tells from a call's arguments, and after it its answer, that it is the one.
    """

    of: type
    method: str
    after: bool = True
    counts: _Method = _STORED
    is_it: Callable[..., bool] = lambda *_: True


def _got_a_slot(*seen: Any) -> bool:
    return isinstance(seen[-1], Reserved)


def _is_submit(_transport: object, request: httpx.Request, _response: object) -> bool:
    return request.method == "POST" and request.url.path.endswith("/submit")


WINDOWS: Final[Mapping[str, Window]] = {
    "started": Window(Workers, "start"),
    # The file is at Topview, and its id not yet remembered.
    "uploaded": Window(TopviewClient, "upload"),
    "remembered": Window(Uploads, "remember"),
    # Committed, and not a byte of the POST sent.
    "reserved": Window(Tasks, "reserve", is_it=_got_a_slot),
    # Topview accepted the task, and its answer is not yet read.
    "sent": Window(httpx.AsyncHTTPTransport, "handle_async_request", is_it=_is_submit),
    # The task id is read and not written down.
    "answered": Window(Tasks, "accepted", after=False),
    "pending": Window(Tasks, "accepted"),
    # The query said success; the row does not say it yet.
    "success_seen": Window(Tasks, "succeeded", after=False),
    "succeeded": Window(Tasks, "succeeded"),
    # The first file is in a temporary place.
    "downloaded": Window(Store, "keep", after=False),
    # All files are in their folder, and the index does not have the result.
    "files_kept": Window(Store, "write_result", after=False),
    # The store has all of it; the row still says succeeded.
    "indexed": Window(Tasks, "stored", after=False),
    "stored": Window(Tasks, "stored"),
    # Dagster has the event; the ledger does not know. Events are stored in a thread of their own.
    "in_dagster": Window(Tasks, "reported", after=False, counts=(Tasks, "reported")),
    "reported": Window(Tasks, "reported", counts=(Tasks, "reported")),
    # Everything was reported; the worker is still registered.
    "all_done": Window(Workers, "end", after=False),
    # Topview said that the task failed, or refused the submit; the row does not say it yet.
    "failure_seen": Window(Tasks, "failed", after=False),
    "failed": Window(Tasks, "failed"),
    # Topview created nothing and said so; the row still says reserved.
    "refusal_seen": Window(Tasks, "void", after=False),
    "void": Window(Tasks, "void"),
    # A dead worker's row was found.
    "adopting": Window(Tasks, "adopt", after=False),
    "adopted": Window(Tasks, "adopt"),
    # The result in the store was read; the ledger, which was lost, has no row of it yet.
    "healing": Window(Tasks, "heal", after=False, counts=(Tasks, "heal")),
    "healed": Window(Tasks, "heal", counts=(Tasks, "heal")),
}


@dataclass(frozen=True)
class End:
    """The signal by which a process ends, and the place.

    Attributes:
        window: its name.
        stage: number of the stage, from 1, of those that the process makes (of its one product).
        by: SIGKILL or SIGTERM.
    """

    window: str
    stage: int
    by: signal.Signals

    def arm(self) -> None:
        """From here on this process may end."""
        _Ender(self, WINDOWS[self.window]).wrap()


class _Ender:
    def __init__(self, end: End, window: Window) -> None:
        self._end = end
        self._window = window
        self._stop_was_asked = threading.Event()
        self._ended = False
        self._made = 0

    def wrap(self) -> None:
        window = self._window
        _wrap((EngineThread, "stop"), after=lambda *_: self._stop_was_asked.set())
        _wrap((window.of, window.method), **{"after" if window.after else "before": self._reach})
        # Of one method this wrapper is the outer one: a stage counts after its own window.
        _wrap(window.counts, after=self._count)

    def _count(self, *_: Any) -> None:
        self._made += 1

    def _reach(self, *seen: Any) -> None:
        if self._ended or self._made < self._end.stage - 1 or not self._window.is_it(*seen):
            return
        self._ended = True
        os.kill(os.getpid(), self._end.by)
        # SIGTERM: the main thread handles it, and this one goes on only when it has begun to.
        if threading.current_thread() is not threading.main_thread():
            self._stop_was_asked.wait(_STOPPED_WITHIN_SECONDS)


def _nothing(*_: Any) -> None:
    pass


def _wrap(
    method: _Method,
    *,
    before: Callable[..., None] = _nothing,
    after: Callable[..., None] = _nothing,
) -> None:
    """Call `before` with a call's arguments, `after` with its answer too."""
    of, name = method
    inner = getattr(of, name)

    @functools.wraps(inner)
    def call(*args: Any, **options: Any) -> Any:
        before(*args)
        answer = inner(*args, **options)
        after(*args, answer)
        return answer

    @functools.wraps(inner)
    async def call_async(*args: Any, **options: Any) -> Any:
        before(*args)
        answer = await inner(*args, **options)
        after(*args, answer)
        return answer

    setattr(of, name, call_async if inspect.iscoroutinefunction(inner) else call)
