"""A demo of three products behind the real Dagster UI: sandbox, store on loopback, `dagster dev`.

One backfill has run over them, as a person launches it; the third product names an avatar that
Topview does not know.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus

from tests.defs.shop import NO_SUCH_ID
from tests.scenarios.dagster_processes import DagsterDev
from topview_pipeline.cli.demo import DemoHome, sample_catalogue
from topview_pipeline.cli.environment import prepare_home
from topview_pipeline.cli.server import serving

GOOD: Final = ("aqua-bottle", "gift-box")
BAD: Final = "coral-runner"


@dataclass(frozen=True)
class DemoUi:
    """The UI that the tests look at.

    Attributes:
        url: of the web server.
        backfill_id: of the backfill, which has ended.
        run_id: of its one run.
    """

    url: str
    instance: dg.DagsterInstance
    backfill_id: str
    run_id: str


@contextmanager
def demo_ui(folder: Path) -> Iterator[DemoUi]:
    """Everything is up while the block runs."""
    with pytest.MonkeyPatch.context() as patch:
        # A copy: what the demo sets for its process must not outlive the block.
        patch.setattr(os, "environ", {**os.environ})
        home = DemoHome(folder)
        home.enter()
        os.environ["TOPVIEW_CATALOGUE"] = str(_catalogue(folder))
        prepare_home()
        store = folder / "topview" / "store"
        with (
            home.sandbox(),
            serving(store, port=home.port("media")),
            dg.DagsterInstance.from_config(os.environ["DAGSTER_HOME"]) as instance,
        ):
            yield from _after_a_backfill(instance, folder)


def _after_a_backfill(instance: dg.DagsterInstance, folder: Path) -> Iterator[DemoUi]:
    workspace = Path(__file__).parents[2] / "workspace.yaml"
    dev = DagsterDev(instance, folder / "dev.log", dict(os.environ), workspace)
    try:
        dev.start()
        # The catalogue's sensor registers the products.
        dev.until(lambda: len(instance.get_dynamic_partitions("products")) == len((*GOOD, BAD)))
        backfill_id = dev.backfill()
        assert dev.ended(backfill_id) is BulkActionStatus.COMPLETED_FAILED
        (run,) = dev.runs_of(backfill_id)
        yield DemoUi(dev.url, instance, backfill_id, run.run_id)
    finally:
        dev.end()


def _catalogue(folder: Path) -> Path:
    """Rows of the sample catalogue, seen from another folder."""
    sample = sample_catalogue()
    with sample.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["product_id"] in (*GOOD, BAD)]
    for row in rows:
        for column in ("image", "template_image"):
            row[column] = str(sample.parent / row[column])
        if row["product_id"] == BAD:
            row |= {"template_image": "", "avatar_id": NO_SUCH_ID}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "catalogue.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
