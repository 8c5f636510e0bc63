"""Blocking calls in threads of their own: one that hangs holds up no other, and no process's end.

Not a pool's threads: the end of the process would wait for them.
"""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from typing import Any, Final, TypeVar

from topview_pipeline.catalogue.references import host_of, shown
from topview_pipeline.catalogue.rows import CatalogueError

_T = TypeVar("_T")

AT_ONCE: Final = 64
AT_ONCE_OF_HOST: Final = 16
AT_ONCE_OF_DISK: Final = 4  # of this machine
SLOW_SECONDS: Final = 1.0
"""A call that takes longer no longer counts among those at once: others begin beside it."""
MOST_THREADS: Final = 256


def started(call: Callable[[], _T]) -> Future[_T]:
    """Begin a call in a daemon thread; its result or exception to come."""
    future: Future[_T] = Future()
    future.set_running_or_notify_cancel()

    def work() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is taken
            future.set_exception(error)

    threading.Thread(target=work, name="topview-catalogue", daemon=True).start()
    return future


def in_parallel(
    refs: Iterable[str],
    act: Callable[[str], _T],
    *,
    patience: float = math.inf,
    seconds: float = math.inf,
) -> Iterator[tuple[str, _T]]:
    """Yield each reference with what `act` returns. An exception of `act` ends it.

    A file that hangs keeps no other waiting, of its own host neither.

    Args:
        patience: it ends when nothing came for so long; the rest is not yielded.
        seconds: it ends after so long in any case.
    """
    waiting: dict[str, list[str]] = {}
    for ref in refs:
        waiting.setdefault(host_of(ref), []).append(ref)
    working: dict[Future[_T], tuple[str, str, float]] = {}
    now = came_at = time.monotonic()
    ends_at = now + seconds
    while (waiting or working) and now < min(came_at + patience, ends_at):
        busy = Counter(host for host, _, began in working.values() if now - began < SLOW_SECONDS)
        room = min(AT_ONCE - busy.total(), MOST_THREADS - len(working))
        for host in list(waiting):
            most = AT_ONCE_OF_HOST if host else AT_ONCE_OF_DISK
            while waiting[host] and room > 0 and busy[host] < most:
                ref = waiting[host].pop()
                working[started(partial(act, ref))] = host, ref, now
                busy[host] += 1
                room -= 1
            if not waiting[host]:
                del waiting[host]
        longest = min(SLOW_SECONDS, came_at + patience - now, ends_at - now)
        done, _ = wait(working, longest, return_when=FIRST_COMPLETED)
        for future in done:
            yield working.pop(future)[1], future.result()
        now = time.monotonic()
        came_at = now if done else came_at


_hanging: Final[dict[str, Future[Any]]] = {}
"""Readings that ran out of time and did not end, by source: a thread cannot be stopped from
outside, and the next look at the same source does not begin another one beside it."""


def within(seconds: float, where: str, look: Callable[[], _T]) -> _T:
    """The result of `look`, which reads the source `where`, or its exception.

    Raises CatalogueError: it takes longer than `seconds`, or an earlier one still hangs.
    """
    fix = "Check that its server or disk answers, then try again."
    if where in _hanging and not _hanging[where].done():
        raise CatalogueError("an earlier attempt to read it still hangs", shown(where), fix)
    future = started(look)
    wait([future], seconds)
    if not future.done():
        _hanging[where] = future
        raise CatalogueError(f"it did not answer within {seconds:g} s", shown(where), fix)
    return future.result()
