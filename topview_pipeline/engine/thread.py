"""An engine in a thread of its own, driven from plain synchronous code.

Storing an event takes Dagster some 17 ms, and polling must not stand still meanwhile: the loop has
its own thread, and events come through a queue. Dagster's interrupts never reach the loop, so that
its cleanup runs.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from topview_pipeline.engine.context import Context, ProductWork
from topview_pipeline.engine.engine import Engine
from topview_pipeline.engine.events import Event
from topview_pipeline.ledger import HEARTBEAT_SECONDS, LedgerUnavailable, Task
from topview_pipeline.topview.client import TopviewClient

_END = object()
_LEDGER_THREADS: Final = 4
"""Most calls of a ledger's server at once: the moves of an account wait for each other anyway."""


class EngineThread:
    """Starts at once; feed it with `put`, read `events`, and always leave by `close`.

    The worker is registered in the ledger before the engine starts, and leaves it in `close`: until
    then the last events are being stored, and no other run may take its rows for orphans.

    Args:
        client: not yet open; it is opened in the loop's thread.
        context_of: makes the context, in the loop's thread, of the open client.
        orphans: rows to bring into the store though no product of this run wants them.
        leave: lets the worker leave the ledger.
    """

    def __init__(
        self,
        client: TopviewClient,
        context_of: Callable[[TopviewClient], Context],
        *,
        orphans: tuple[Task, ...] = (),
        leave: Callable[[], None],
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._client = client
        self._context_of = context_of
        self._orphans = orphans
        self._leave = leave
        self._heartbeat_seconds = heartbeat_seconds
        self._loop = asyncio.new_event_loop()
        self._queue: asyncio.Queue[object] = asyncio.Queue()
        self._events: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._engine: Engine | None = None
        self._stop_asked = False
        self._closing = asyncio.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._main, name="topview-engine", daemon=True)
        # A signal that comes while Dagster stores an event ends the run without closing the
        # generator that would close this: then the end of the process does.
        atexit.register(self.close)
        self._thread.start()

    def put(self, work: ProductWork) -> None:
        self._call(self._queue.put_nowait, work)

    def no_more(self) -> None:
        self._call(self._queue.put_nowait, _END)

    def events(self) -> Iterator[Event]:
        """All events until the engine ends. Raises what ended it."""
        while (event := self._events.get()) is not _END:
            if isinstance(event, BaseException):
                raise event
            yield event  # type: ignore[misc]  # only events are left

    def stop(self) -> None:
        """A person's stop: nothing new is sent; what is being sent is finished."""
        self._stop_asked = True
        self._call(self._stop_engine)

    def _call(self, callback: Callable[..., None], *args: object) -> None:
        # A loop that is closed has ended with its engine; `events` tells why.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *args)

    def _stop_engine(self) -> None:
        if self._engine is not None:
            self._engine.stop()

    def close(self) -> None:
        """End the engine, if it has not ended, and let its worker leave the ledger."""
        if self._closed:
            return
        if self._thread.is_alive():
            self.stop()
        self._call(self._closing.set)
        self._thread.join()  # a second interrupt leaves it to the end of the process
        self._closed = True
        atexit.unregister(self.close)
        # A ledger in trouble was reported already; a heartbeat that stops says the rest.
        with contextlib.suppress(LedgerUnavailable):
            self._leave()

    def _main(self) -> None:
        try:
            self._loop.run_until_complete(self._run())
        except BaseException as error:  # noqa: BLE001 - raised to the reader of the events
            self._events.put(error)
        finally:
            self._events.put(_END)
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()

    async def _run(self) -> None:
        async with self._client as client:
            context = self._context_of(client)
            self._engine = Engine(context)
            if self._stop_asked:
                self._engine.stop()
            with ThreadPoolExecutor(_LEDGER_THREADS, "topview-ledger") as threads:
                if context.ledger.is_remote:  # SQLite answers sooner than a thread begins
                    context.beside = partial(self._loop.run_in_executor, threads)
                async for event in self._engine.run(self._work(), orphans=self._orphans):
                    self._events.put(event)
        self._events.put(_END)
        await self._keep_heartbeat(context)

    async def _keep_heartbeat(self, context: Context) -> None:
        """The last events are still being stored: until this is closed their rows have a worker."""
        closing = asyncio.ensure_future(self._closing.wait())
        while not closing.done():
            with contextlib.suppress(LedgerUnavailable):  # storing the events meets it, too
                context.ledger.workers.beat(context.worker)
            await asyncio.wait({closing}, timeout=self._heartbeat_seconds)

    async def _work(self) -> AsyncIterator[ProductWork]:
        while isinstance(work := await self._queue.get(), ProductWork):
            yield work
