"""The engine alone, without Dagster, as `python -m benchmarks.ours SPEC`.

Real ledger, store and sockets, and the engine in its own thread, as under Dagster. What Dagster
does with an event is left out; what is written into the ledger is not.
"""

from __future__ import annotations

from typing import Any, Final

from benchmarks import processes
from topview_pipeline.catalogue import InputFiles, read_catalogue
from topview_pipeline.engine import Context, EngineThread, Made, Observed, ProductWork, RunInfo
from topview_pipeline.ledger import Ledger
from topview_pipeline.settings import PipelineConfig
from topview_pipeline.stages import STAGES
from topview_pipeline.store import Store
from topview_pipeline.topview.client import TopviewClient

_RUN: Final = "run"
_WORKER: Final = "worker"


class NotMadeError(RuntimeError):
    """A product failed or is held: no number counts."""


def main(spec: dict[str, Any]) -> None:
    """Make everything that the spec's catalogue names, on an empty ledger and store."""
    fields = ("base_url", "uid", "api_key", "slots", "poll_seconds", "catalogue")
    config = PipelineConfig(home=spec["folder"], **{name: spec[name] for name in fields})
    uid, key = config.require_account()
    ledger = Ledger(config.ledger_url, base_url=config.base_url, uid=uid)
    store = Store(config.store)
    catalogue = read_catalogue(config.require_catalogue(), config.defaults)

    def context_of(client: TopviewClient) -> Context:
        return Context(
            client=client,
            ledger=ledger,
            store=store,
            files=InputFiles(ledger.hashes),
            run=RunInfo(_RUN, _RUN),
            config=config,
            worker=_WORKER,
            submit_seconds=client.timeouts.submit.whole,
        )

    store.check_writable(ledger.account)
    ledger.workers.start(_WORKER, run_id=_RUN)
    client = TopviewClient(base_url=config.base_url, uid=uid, api_key=key)
    thread = EngineThread(client, context_of, leave=lambda: ledger.workers.end(_WORKER))
    stages = tuple(stage.key for stage in STAGES)
    try:
        for product in catalogue.products.values():
            thread.put(ProductWork(product, stages))
        thread.no_more()
        for event in thread.events():
            if isinstance(event, Made):
                ledger.tasks.reported(event.task.id, event.product_id, who=_RUN)
            elif not isinstance(event, Observed):
                raise NotMadeError(event)
    finally:
        thread.close()
        ledger.close()


if __name__ == "__main__":
    main(processes.spec())
    processes.report()
