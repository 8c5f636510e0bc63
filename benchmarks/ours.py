"""The producer alone, without Dagster, as `python -m benchmarks.ours SPEC`.

Real ledger, store and sockets, and the producer in its own thread, as under Dagster. What Dagster
does with an event is left out, what the ledger is then told is not.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from benchmarks import child
from topview_pipeline.artifacts import ArtifactStore
from topview_pipeline.catalogue import read_catalogue
from topview_pipeline.inputs import InputFiles
from topview_pipeline.ledger import Ledger, Owner, Wanted
from topview_pipeline.pairing import ensure_paired
from topview_pipeline.producer import Desk, Event, Made, ProducerConfig, ProducerThread, Run, Work
from topview_pipeline.settings import CatalogueDefaults
from topview_pipeline.stages import STAGES
from topview_pipeline.stages.shapes import shape_of
from topview_pipeline.topview.client import TopviewClient


class Production:
    """One run over a catalogue."""

    def __init__(self, spec: dict[str, Any]) -> None:
        home = Path(spec["folder"])
        run_id = uuid.uuid4().hex
        self._run = Run(run_id, run_id)
        self._owner = Owner()
        self._config = ProducerConfig(slots=spec["slots"], poll_seconds=spec["poll_seconds"])
        self._inputs = InputFiles()
        self._store = ArtifactStore(str(home / "store"))
        account = {"base_url": spec["base_url"], "uid": spec["uid"]}
        self._ledger = Ledger(f"sqlite:///{home / 'ledger.db'}", **account)
        self._client = TopviewClient(**account, api_key=spec["api_key"])
        self._catalogue = read_catalogue(spec["catalogue"], CatalogueDefaults())

    def run(self) -> None:
        """Produce everything.

        Raises:
            RuntimeError: something of it was not made.
        """
        ensure_paired(self._ledger, self._store, who="the bench")
        self._store.check_writable()
        producer = ProducerThread(self._client, self._desk)
        try:
            for work in self._works():
                producer.put(work)
            producer.no_more()
            for event in producer.events():
                self._keep(event)
        finally:
            producer.close()
            self._ledger.close()

    def _desk(self, client: TopviewClient) -> Desk:
        return Desk(
            client=client,
            ledger=self._ledger,
            store=self._store,
            inputs=self._inputs,
            run=self._run,
            config=self._config,
            owner=self._owner,
            submit_seconds=client.timeouts.submit_total,
        )

    def _works(self) -> list[Work]:
        products = self._catalogue.products
        placed = self._ledger.orders.place(
            [Wanted(name, stage.key, "ordered") for name in products for stage in STAGES],
            run_id=self._run.run_id,
            root_run_id=self._run.root_run_id,
            owner=self._owner.id,
        )
        return [
            Work(
                product,
                {stage.key: placed.orders[name, stage.key] for stage in STAGES},
                {stage.key: shape_of(stage, product, self._inputs.sha256) for stage in STAGES},
            )
            for name, product in products.items()
        ]

    def _keep(self, event: Event) -> None:
        if not isinstance(event, Made) or event.order_id is None:
            raise RuntimeError(f"not made: {event}")
        self._ledger.tasks.materialized(event.task.id)
        self._ledger.orders.done(event.order_id, event.task.id)


if __name__ == "__main__":
    Production(child.spec()).run()
    child.report()
