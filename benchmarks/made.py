"""A catalogue whose products are all made, written straight into the databases.

Making 20,000 products would take hours, and a look at them does not see how they came to be. The
first product's events are Dagster's own; the other products' are copies under their names.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.event_log.schema import AssetEventTagsTable, SqlEventLogStorageTable

from benchmarks import child
from topview_pipeline import syncing
from topview_pipeline.catalogue import Catalogue, Product
from topview_pipeline.defs.inputs import opened_inputs
from topview_pipeline.defs.partitions import PRODUCTS
from topview_pipeline.defs.resources import CatalogueResource, LedgerResource
from topview_pipeline.defs.versions import observation
from topview_pipeline.inputs import InputFiles
from topview_pipeline.ledger import Ledger
from topview_pipeline.ledger.schema import orders, task
from topview_pipeline.producer.work import data_version, piece_of
from topview_pipeline.settings import Settings
from topview_pipeline.stages import REPLACED_IMAGES, STAGES, Stage
from topview_pipeline.stages.requests import Upstream
from topview_pipeline.stages.shapes import fingerprint_of, shape_of

_BATCH = 5000
_IMAGES = 4
_SETTLED_SECONDS = 3600.0
"""How old the catalogue's files are: a hash of one changed just now is not remembered."""
_VERSION_TAG = "dagster/data_version"
_RUN = "earlier"

Versions = dict[tuple[str, str], str]
"""Data version by (asset key, product)."""


class History:
    """Writes what runs over a catalogue would have left; each of its products once."""

    def __init__(self, ledger: Ledger, catalogue: Catalogue, inputs: InputFiles) -> None:
        self._account = ledger.account
        self._engine = sa.create_engine(Settings.from_environment().ledger_url)
        self._products = catalogue.products
        self._inputs = inputs
        self._number = 0
        self._now = time.time()
        self.made: Versions = {}
        self.observed: Versions = {}

    def write(self) -> None:
        """The rows of tasks and orders."""
        rows = [pair for one in self._products.values() for pair in self._of_product(one)]
        with self._engine.begin() as connection:
            for begin in range(0, len(rows), _BATCH):
                some = rows[begin : begin + _BATCH]
                connection.execute(task.insert(), [row for row, _ in some])
                connection.execute(orders.insert(), [order for _, order in some])
        self._engine.dispose()

    def _of_product(self, product: Product) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        upstream: Upstream | None = None
        for stage in STAGES:
            shape = shape_of(stage, product, self._inputs.sha256)
            piece = piece_of(
                stage,
                product,
                shape,
                upstream,
                account=self._account,
                preferred_image=None,
                when_no_face="fail",
            )
            fingerprint = fingerprint_of(piece.work, 0)
            result = _result(stage)
            self._number += 1
            self.made[stage.key, product.product_id] = data_version(fingerprint)
            self.observed[stage.source, product.product_id] = shape.version
            common = {
                "id": self._number,
                "account": self._account,
                "product_id": product.product_id,
                "stage": stage.key,
                "generation": 0,
                "root_run_id": _RUN,
            }
            row = common | {
                "work": piece.work,
                "fingerprint": fingerprint,
                "attempt": 1,
                "state": "stored",
                "run_id": _RUN,
                "notice_token": "",
                "topview_task_id": f"task-{self._number}",
                "request": {"productImageFileId": "f" * 32, "imageEditPrompt": "p" * 200},
                "inputs": dict(piece.inputs),
                "mode": piece.mode,
                "cost_credits": 1.0,
                **dict.fromkeys(
                    ("queued_at", "reserved_at", "pending_at", "deadline_at"), self._now
                ),
                **dict.fromkeys(("succeeded_at", "stored_at", "materialized_at"), self._now),
                "result": result,
                "artifacts": [_artifact(product.product_id, stage, fingerprint)],
            }
            order = common | {
                "state": "done",
                "reason": "new",
                "force": False,
                "task_id": self._number,
                **dict.fromkeys(("created_at", "updated_at", "closed_at"), self._now),
            }
            yield row, order
            upstream = Upstream(fingerprint, result, ())


def _result(stage: Stage) -> dict[str, Any]:
    answer: dict[str, Any] = {"taskId": "t", "status": "success"}
    if stage is REPLACED_IMAGES:
        answer["replaceProductResult"] = [
            {"imageId": str(number), "faceExistence": True, "url": f"https://cdn.invalid/{number}"}
            for number in range(_IMAGES)
        ]
    return answer


def _artifact(product_id: str, stage: Stage, fingerprint: str) -> dict[str, Any]:
    return {
        "role": "media",
        "name": "media.png",
        "path": f"account/{product_id}/{stage.key}/{fingerprint}/media.png",
        "sha256": "0" * 64,
        "bytes": 100,
        "media_type": "image/png",
    }


def tell_dagster(instance: dg.DagsterInstance, history: History) -> None:
    """Events of all that was made, and of what it was made from."""
    events: list[tuple[Versions, type[dg.AssetMaterialization] | type[dg.AssetObservation]]] = [
        (history.observed, dg.AssetObservation),
        (history.made, dg.AssetMaterialization),
    ]
    for versions, kind in events:
        for asset in dict.fromkeys(asset for asset, _ in versions):
            of_asset = {product: v for (key, product), v in versions.items() if key == asset}
            first = next(iter(of_asset))
            told: dg.AssetMaterialization | dg.AssetObservation
            if kind is dg.AssetObservation:
                told = observation(asset, first, of_asset[first])
            else:
                tags = {_VERSION_TAG: of_asset[first]}
                told = dg.AssetMaterialization(asset, partition=first, tags=tags)
            instance.report_runless_asset_event(told)
            _copy_last_event(instance, of_asset, first)


def _copy_last_event(instance: dg.DagsterInstance, versions: Mapping[str, str], first: str) -> None:
    """The newest event in the index of all runs, once more for every product but the first."""
    storage = instance.event_log_storage
    events, tags = SqlEventLogStorageTable, AssetEventTagsTable
    with storage.index_connection() as connection:  # type: ignore[attr-defined]  # SQL storages
        newest = connection.execute(sa.select(events).order_by(events.c.id.desc()).limit(1))
        event = newest.mappings().one()
        of_event = sa.select(tags).where(tags.c.event_id == event["id"])
        its_tags = [dict(row) for row in connection.execute(of_event).mappings()]
        copies = [
            dict(event)
            | {
                "id": event["id"] + number,
                "partition": product,
                "event": event["event"].replace(first, product).replace(versions[first], version),
            }
            for number, (product, version) in enumerate(versions.items())
            if number
        ]
        tag_copies = [
            {name: value for name, value in tag.items() if name != "id"}
            | {
                "event_id": copy["id"],
                "value": versions[copy["partition"]]
                if tag["key"] == _VERSION_TAG
                else tag["value"],
            }
            for copy in copies
            for tag in its_tags
        ]
        for table, rows in ((events, copies), (tags, tag_copies)):
            for begin in range(0, len(rows), _BATCH):
                connection.execute(table.insert(), rows[begin : begin + _BATCH])


def main(spec: dict[str, Any]) -> None:
    """Write the world that the environment names; the hashes of its photos are remembered."""
    settled = time.time() - _SETTLED_SECONDS
    for path in Path(spec["folder"]).iterdir():
        os.utime(path, (settled, settled))
    catalogue = CatalogueResource().read()
    ledger = LedgerResource().open()
    with opened_inputs() as inputs:
        inputs.prefetch(ref for product in catalogue.products.values() for ref in product.files)
        history = History(ledger, catalogue, inputs)
        history.write()
    syncing.obey(ledger, catalogue)
    ledger.close()
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions(PRODUCTS, list(catalogue.products))
        tell_dagster(instance, history)


if __name__ == "__main__":
    main(child.spec())
    child.report()
