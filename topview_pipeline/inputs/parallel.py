"""Several files at once, so that a slow host keeps nobody else waiting."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Final

from topview_pipeline.sources import host_of

_AT_ONCE: Final = 16
_AT_ONCE_OF_HOST: Final = 4
"""Of one host, and of this machine's disk: a host that hangs keeps no more threads than these."""


def for_each(refs: Iterable[str], act: Callable[[str], None]) -> None:
    """Call `act` with every reference, in threads, the hosts in turn. `act` must not raise."""
    waiting: dict[str, deque[str]] = {}
    for ref in refs:
        waiting.setdefault(host_of(ref), deque()).append(ref)
    if not waiting:
        return
    working: dict[Future[None], str] = {}
    pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="topview-inputs")
    try:
        while waiting or working:
            for host, ref in _next(waiting, working):
                working[pool.submit(act, ref)] = host
            done, _ = wait(working, return_when=FIRST_COMPLETED)
            for future in done:
                del working[future]
                future.result()
    finally:
        # A run that is stopped does not wait for files; what is being read ends by its time limit.
        pool.shutdown(wait=False, cancel_futures=True)


def _next(
    waiting: dict[str, deque[str]], working: dict[Future[None], str]
) -> Iterator[tuple[str, str]]:
    """What may start now: one of each host in turn, while there are threads and turns."""
    at_work = list(working.values())
    started = True
    while started:
        started = False
        for host in list(waiting):
            if len(at_work) < _AT_ONCE and at_work.count(host) < _AT_ONCE_OF_HOST:
                at_work.append(host)
                started = True
                yield host, waiting[host].popleft()
                if not waiting[host]:
                    del waiting[host]
