"""A producer in a thread of its own, driven from plain synchronous code.

Storing an event takes Dagster some 17 ms, and polling must not stand still meanwhile: the loop has
its own thread, and events come through a queue.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator

from topview_pipeline.ledger import LedgerUnavailable, Task
from topview_pipeline.ledger.owner import RENEW_SECONDS
from topview_pipeline.producer.desk import Desk
from topview_pipeline.producer.engine import Producer
from topview_pipeline.producer.events import Event
from topview_pipeline.producer.work import Work
from topview_pipeline.topview.client import TopviewClient

_END = object()


class ProducerThread:
    """Starts at once; feed it with `put`, read `events`, and always leave by `close`.

    Args:
        client: not yet open; it is opened in the loop's thread.
        desk_of: makes the desk, in the loop's thread, of the open client.
        resume: rows to bring into the store though nobody orders them any more.
        at_exit: called when the process ends before anybody closed this, after the producer ended.
        renew_seconds: how often the lease is renewed while the last events are being stored.
    """

    def __init__(
        self,
        client: TopviewClient,
        desk_of: Callable[[TopviewClient], Desk],
        *,
        resume: tuple[Task, ...] = (),
        at_exit: Callable[[], None] = lambda: None,
        renew_seconds: float = RENEW_SECONDS,
    ) -> None:
        self._client = client
        self._desk_of = desk_of
        self._resume = resume
        self._loop = asyncio.new_event_loop()
        self._feed: asyncio.Queue[object] = asyncio.Queue()
        self._events: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._producer: Producer | None = None
        self._stop_asked = False
        self._closing = asyncio.Event()
        self._renew_seconds = renew_seconds
        self._at_exit = at_exit
        self._thread = threading.Thread(target=self._main, name="topview-producer", daemon=True)
        # A signal that comes while Dagster stores an event ends the run without closing the
        # generator that would close us: then the end of the process does.
        atexit.register(self._exit)
        self._thread.start()

    def put(self, work: Work) -> None:
        """Let a product start."""
        self._call(self._feed.put_nowait, work)

    def no_more(self) -> None:
        """Everything was put."""
        self._call(self._feed.put_nowait, _END)

    def ready(self) -> Iterator[Event]:
        """The events that are there now.

        Raises:
            Exception: what ended the producer.
        """
        while not self._events.empty():
            event = self._take()
            if event is None:
                return
            yield event

    def events(self) -> Iterator[Event]:
        """All events until the producer ends. Raises what ended it, as `ready` does."""
        while (event := self._take()) is not None:
            yield event

    def _take(self) -> Event | None:
        event = self._events.get()
        if event is _END:
            self._events.put(_END)
            return None
        if isinstance(event, BaseException):
            raise event
        return event  # type: ignore[return-value]  # only events are left

    def stop(self) -> None:
        """A person's stop: nothing new is sent; what is being sent is finished."""
        self._stop_asked = True
        self._call(self._stop_producer)

    def _call(self, callback: Callable[..., None], *args: object) -> None:
        # A loop that is closed has ended with its producer; `events` tells why.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *args)

    def _stop_producer(self) -> None:
        if self._producer is not None:
            self._producer.stop()

    def close(self) -> None:
        """End the producer, if it has not ended, and wait until its rows are given up."""
        if self._thread.is_alive():
            self.stop()
        self._call(self._closing.set)
        self._thread.join()
        atexit.unregister(self._exit)

    def _exit(self) -> None:
        self.close()
        self._at_exit()

    def _main(self) -> None:
        try:
            self._loop.run_until_complete(self._produce())
        except BaseException as error:  # noqa: BLE001 - handed to the reader of the events
            self._events.put(error)
        finally:
            self._events.put(_END)
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()

    async def _produce(self) -> None:
        async with self._client as client:
            desk = self._desk_of(client)
            self._producer = Producer(desk)
            if self._stop_asked:
                self._producer.stop()
            async for event in self._producer.stream(self._work(), resume=self._resume):
                self._events.put(event)
        self._events.put(_END)
        await self._keep_lease(desk)

    async def _keep_lease(self, desk: Desk) -> None:
        """The last events are still being stored: until this is closed their rows have an owner."""
        closing = asyncio.ensure_future(self._closing.wait())
        while not closing.done():
            # Should the ledger be in trouble, whoever stores the events meets it and tells.
            with contextlib.suppress(LedgerUnavailable):
                desk.ledger.producers.renew(desk.owner)
            await asyncio.wait({closing}, timeout=self._renew_seconds)

    async def _work(self) -> AsyncIterator[Work]:
        while isinstance(work := await self._feed.get(), Work):
            yield work
