"""Observes what each product is made from, and lets it begin.

All products of a run begin as soon as they are observed, far ahead of what can be made: what is in
the store already, or cannot be read, does not wait behind what waits for a slot. One that waits
takes some 8 KiB of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import dagster as dg

from topview_pipeline.catalogue import Product
from topview_pipeline.defs.runs import chunks
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
        self,
        products: Mapping[str, Product],
        orders: Mapping[str, OrdersOfProduct],
        thread: ProducerThread,
    ) -> Iterator[DagsterEvent]:
        """Let every product begin that has orders; tell what comes of them meanwhile.

        Products with a task that runs already begin first: it is paid for, and of thousands the
        last ones begin minutes later.
        """
        chosen = self._ledger.choices.scenes()
        running = {row.product_id for row in self._ledger.tasks.on_their_way()}
        running_first = sorted(orders, key=lambda product_id: product_id not in running)
        for chunk in chunks(running_first, _CHUNK):
            self._inputs.prefetch(ref for name in chunk for ref in products[name].files)
            works = [
                work_of(
                    products[product_id],
                    orders[product_id],
                    chosen.get(product_id, ()),
                    self._inputs.sha256,
                )
                for product_id in chunk
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
