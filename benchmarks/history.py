"""The traces of earlier runs, written into the databases: `python -m benchmarks.history`.

Making 20,000 products would take hours, and a look at them does not see how they came to be. The
first product's events in Dagster are its own; the other products' are copies under their names.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.event_log.schema import AssetEventTagsTable, SqlEventLogStorageTable

from benchmarks import processes
from benchmarks.load import product_ids
from topview_pipeline.catalogue import Catalogue, InputFiles
from topview_pipeline.definitions import topview
from topview_pipeline.defs.catalogue_sync import accept_catalogue
from topview_pipeline.defs.dagster_private import DATA_VERSION_TAG
from topview_pipeline.defs.data_versions import observation
from topview_pipeline.defs.run import check_ready
from topview_pipeline.ledger import Task, TaskState
from topview_pipeline.ledger.schema import task, task_event
from topview_pipeline.stages import CUT_OUT, SCENE, STAGES, Upstream, data_version, fingerprint_of
from topview_pipeline.store import Artifact

_BATCH: Final = 5000
_SETTLED_SECONDS: Final = 3600.0
"""Age of the catalogue's files: a hash of one changed just now is not remembered."""
_NOW: Final = time.time()
_RUN: Final = "11111111-1111-4111-8111-111111111111"
_COMMON: Final[Mapping[str, Any]] = {
    "id": 0,
    "pipeline": topview.config.name,
    "stage": CUT_OUT.key,
    "generation": 0,
    "attempt": 1,
    "run_id": _RUN,
    "root_run_id": _RUN,
    "request": {"productImageFileId": "f" * 32, "imageEditPrompt": "p" * 200},
    "deadline_at": _NOW + 86_400.0,
    **dict.fromkeys(("queued_at", "reserved_at", "pending_at"), _NOW),
}
_WORKER: Final = "2" * 32
"""Of that run; it has no row among the workers, so it is dead."""
_ANSWER: Final[Mapping[str, Any]] = {"taskId": "t", "status": "success"}
_IMAGES: Final = [
    {"imageId": str(number), "faceExistence": True, "url": f"https://cdn.invalid/{number}"}
    for number in range(4)
]


def made(account: str, catalogue: Catalogue, files: InputFiles) -> Iterator[Task]:
    """A stored row of each stage of each product."""
    products = catalogue.products.values()
    hash_of = files.hashes({ref for product in products for ref in product.files}).sha256
    times = dict.fromkeys(("succeeded_at", "stored_at", "reported_at", "booked_at"), _NOW)
    for product in products:
        upstream: Upstream | None = None
        for stage in STAGES:
            item = stage.item(product, stage.inputs(product, hash_of), upstream, account=account)
            fingerprint = fingerprint_of(item.work, 0)
            images = {"replaceProductResult": _IMAGES} if stage is SCENE else {}
            upstream = Upstream(fingerprint, {**_ANSWER, **images})
            path = f"{account}/{product.product_id}/{stage.key}/{fingerprint}/media.png"
            values = {
                "state": TaskState.STORED,
                "product_id": product.product_id,
                "stage": stage.key,
                "work": item.work,
                "fingerprint": fingerprint,
                "inputs": dict(item.input_versions),
                "mode": item.mode,
                "cost_credits": 1.0,
                "result": upstream.result,
                "artifacts": [Artifact("media.png", path, "0" * 64, 100, "image/png").to_json()],
            }
            yield Task(**{**_COMMON, **times, **values})


def unfinished(products: int, pending: int) -> Iterator[Task]:
    """First stages: some at Topview whose worker died, the others failed and due again."""
    for number, name in enumerate(product_ids(products)):
        values: dict[str, Any] = {"state": TaskState.PENDING, "worker": _WORKER}
        if number >= pending:
            values = {"state": TaskState.FAILED, "retryable": True}
            values |= {"not_before": _NOW, "closed_at": _NOW - 60.0}
        values |= dict.fromkeys(("work", "fingerprint"), f"{number:064}")
        yield Task(**{**_COMMON, "product_id": name, **values})


def write_rows(account: str, rows: Sequence[Task]) -> None:
    """Write rows, and for stored ones that Dagster has an event of them."""
    values, reports = [], []
    for number, row in enumerate(rows, 1):
        names = {"id": number, "account": account, "topview_task_id": f"task-{number}"}
        values.append(asdict(row) | names)
        if row.state is TaskState.STORED:
            report = {name: getattr(row, name) for name in ("pipeline", "product_id")}
            report["task_id"] = number
            reports.append(
                {"account": account, "at": _NOW, "what": "reported", "who": "run", **report}
            )
    engine = sa.create_engine(topview.config.ledger_url)
    with engine.begin() as connection:
        _insert(connection, task, values)
        _insert(connection, task_event, reports)
    engine.dispose()


def _insert(connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    for begin in range(0, len(rows), _BATCH):
        connection.execute(table.insert(), rows[begin : begin + _BATCH])


def report_to_dagster(instance: dg.DagsterInstance, rows: Sequence[Task]) -> None:
    """Write the events of all that was made, and of what it was made from."""
    for stage in STAGES:
        of_stage = [row for row in rows if row.stage == stage.key]
        observed = {row.product_id: row.inputs[stage.source] for row in of_stage}
        first, version = next(iter(observed.items()))
        instance.report_runless_asset_event(observation(dg.AssetKey(stage.source), first, version))
        _copy_last_event(instance, observed)
        reported = {row.product_id: data_version(row.fingerprint) for row in of_stage}
        tags = {DATA_VERSION_TAG: reported[first]}
        event = dg.AssetMaterialization(stage.key, partition=first, tags=tags)
        instance.report_runless_asset_event(event)
        _copy_last_event(instance, reported)


def _copy_last_event(instance: dg.DagsterInstance, versions: Mapping[str, str]) -> None:
    """The newest event, which is the first product's, once more for every other product."""
    events, tags = SqlEventLogStorageTable, AssetEventTagsTable
    storage = instance.event_log_storage
    with storage.index_connection() as connection:  # type: ignore[attr-defined]  # SQL storages
        newest = connection.execute(sa.select(events).order_by(events.c.id.desc()).limit(1))
        event = newest.mappings().one()
        of_event = sa.select(tags).where(tags.c.event_id == event["id"])
        its_tags = [dict(row) for row in connection.execute(of_event).mappings()]
        copies, tag_copies = [], []
        (first, first_version), *others = versions.items()
        for number, (product, version) in enumerate(others, 1):
            event_id = event["id"] + number
            text = event["event"].replace(first, product).replace(first_version, version)
            copies.append(dict(event) | {"id": event_id, "partition": product, "event": text})
            for tag in its_tags:
                value = version if tag["key"] == DATA_VERSION_TAG else tag["value"]
                tag_copies.append({**tag, "event_id": event_id, "value": value})
                del tag_copies[-1]["id"]
        _insert(connection, events, copies)
        _insert(connection, tags, tag_copies)


def main(spec: dict[str, Any]) -> None:
    """Write what the spec names, for the pipeline and the instance of the environment."""
    with topview.ledger() as ledger, dg.DagsterInstance.get() as instance:
        check_ready(instance, ledger, topview)
        if spec:
            write_rows(ledger.account, list(unfinished(**spec)))
            return
        catalogue = topview.catalogue()
        settled = time.time() - _SETTLED_SECONDS
        for path in {ref for product in catalogue.products.values() for ref in product.files}:
            os.utime(path, (settled, settled))
        accept_catalogue(instance, topview.outline, catalogue, ledger)
        rows = list(made(ledger.account, catalogue, topview.files(ledger)))
        write_rows(ledger.account, rows)
        report_to_dagster(instance, rows)


if __name__ == "__main__":
    main(processes.spec())
    processes.report()
