"""Observes what each product is made from, and lets it begin.

All products of a run begin as soon as they are observed, far ahead of what can be made: what is in
the store already, or cannot be read, does not wait behind what waits for a slot. One that waits
takes 10 to 20 KiB of memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import dagster as dg

from topview_pipeline.catalogue import Product
from topview_pipeline.defs.telling import DagsterEvent
from topview_pipeline.defs.versions import Versions, observation
from topview_pipeline.defs.works import OrdersOfProduct, work_of
from topview_pipeline.inputs import InputFiles
from topview_pipeline.ledger import Ledger
from topview_pipeline.producer import Event, ProducerThread, Work
from topview_pipeline.stages import BY_KEY

_CHUNK: Final = 8
"""Products observed together: few enough that the first ones start at once, and that no more than
these wait for a host that is slow."""


class Feeder:
    """Feeds a producer thread; `tell` stores one of its events in Dagster."""

    def __init__(
        self,
        ledger: Ledger,
        inputs: InputFiles,
        versions: Versions,
        tell: Callable[[Event], Iterator[DagsterEvent]],
    ) -> None:
        self._ledger = ledger
        self._inputs = inputs
        self._versions = versions
        self._tell = tell

    def events(
        self, coming: deque[tuple[Product, OrdersOfProduct]], thread: ProducerThread
    ) -> Iterator[DagsterEvent]:
        """Let every product begin in this thread; tell what comes of them meanwhile.

        Args:
            coming: products and their orders. It is emptied: so they are in memory only as long as
                the producer works on them.
        """
        chosen = self._ledger.choices.scenes()
        while coming:
            some = [coming.popleft() for _ in range(min(_CHUNK, len(coming)))]
            self._inputs.prefetch(ref for product, _ in some for ref in product.files)
            works = [
                work_of(product, orders, chosen.get(product.product_id, ()), self._inputs.sha256)
                for product, orders in some
            ]
            yield from self._observed(works)
            for work in works:
                thread.put(work)
            for event in thread.ready():
                yield from self._tell(event)
        thread.no_more()

    def _observed(self, works: Iterable[Work]) -> Iterator[dg.AssetObservation]:
        versions = {
            (BY_KEY[stage].source, work.product.product_id): shape.version
            for work in works
            for stage, shape in work.shapes.items()
        }
        for source, product_id, version in self._versions.unobserved(versions):
            yield observation(source, product_id, version)
        self._versions.note(versions)
