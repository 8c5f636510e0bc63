"""A shop with a catalogue, a local Topview and a Dagster instance: what the tests of defs drive."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest
from PIL import Image

from topview_pipeline.definitions import defs
from topview_pipeline.defs.jobs import CATCH_UP, catch_up_config
from topview_pipeline.defs.partitions import products
from topview_pipeline.ledger import Ledger
from topview_pipeline.sandbox.serve import Running
from topview_pipeline.settings import Settings

ASSETS = ("bgRemovedImage", "replacedImages", "finishedVideo")
VOICE = "zeeTdrCqbhpVKOucLtOKdhytM7rbJx5t"
NO_SUCH_ID = "0" * 32


class Shop:
    """`rows` is the catalogue; it is written anew before every run."""

    def __init__(self, folder: Path, sandbox: Running, instance: dg.DagsterInstance) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.instance = instance
        self.rows: dict[str, dict[str, str]] = {}
        self.defs: dg.Definitions = defs
        self.picture("template.png", (200, 200, 200))

    @property
    def catalogue(self) -> Path:
        return self.folder / "catalogue.csv"

    def environment(self) -> dict[str, str]:
        return {
            "TOPVIEW_BASE_URL": self.sandbox.base_url,
            "TOPVIEW_UID": self.sandbox.uid,
            "TOPVIEW_API_KEY": self.sandbox.api_key,
            "TOPVIEW_HOME": str(self.folder / "home"),
            "TOPVIEW_CATALOGUE": str(self.catalogue),
            "TOPVIEW_POLL_SECONDS": "0.05",
            "TOPVIEW_WAIT_SECONDS": "20",
            "TOPVIEW_PREVIEWS": "false",
        }

    def picture(self, name: str, colour: tuple[int, int, int]) -> str:
        file = io.BytesIO()
        Image.new("RGB", (16, 16), colour).save(file, "PNG")
        (self.folder / name).write_bytes(file.getvalue())
        return str(self.folder / name)

    def add(self, *product_ids: str, **cells: str) -> None:
        """Products with a photo of their own, in one template, that speak their name."""
        for product_id in product_ids:
            number = len(self.rows) + 1
            photo = cells.get("image") or self.picture(f"photo{number}.png", (number, 0, 0))
            self.rows[product_id] = {
                "image": photo,
                "template_image": str(self.folder / "template.png"),
                "script": f"This is {product_id}.",
                "voice_id": VOICE,
                **cells,
            }

    def register(self) -> None:
        self.instance.add_dynamic_partitions("products", list(self.rows))

    def write(self) -> None:
        columns = sorted({name for row in self.rows.values() for name in row})
        with self.catalogue.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["product_id", *columns])
            writer.writeheader()
            writer.writerows({"product_id": key, **row} for key, row in self.rows.items())

    def catch_up(self, **config: Any) -> dg.ExecuteInProcessResult:
        self.write()
        return self.run_job(CATCH_UP, run_config=catch_up_config(**config))

    def run_job(self, name: str, **options: Any) -> dg.ExecuteInProcessResult:
        job = self.defs.resolve_job_def(name)
        return job.execute_in_process(instance=self.instance, raise_on_error=False, **options)

    def materialize(
        self, first: str, last: str | None = None, *, assets: Sequence[str] = ASSETS, **options: Any
    ) -> dg.ExecuteInProcessResult:
        """A run over one product, or over the range of products from first to last."""
        self.write()
        if last is None:
            options["partition_key"] = first
        else:
            options["tags"] = {
                "dagster/asset_partition_range_start": first,
                "dagster/asset_partition_range_end": last,
            }
        job = self.defs.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.instance,
            raise_on_error=False,
            asset_selection=[dg.AssetKey(asset) for asset in assets],
            **options,
        )

    def materialized(self, asset: str) -> set[str]:
        return self.instance.get_materialized_partitions(dg.AssetKey(asset))

    def failed(self, asset: str) -> set[str]:
        """The partitions that Dagster shows as failed."""
        statuses = self.instance.get_status_by_partition(
            dg.AssetKey(asset), self.instance.get_dynamic_partitions("products"), products
        )
        found = {key: status for key, status in (statuses or {}).items() if status is not None}
        return {key for key, status in found.items() if status.value == "FAILED"}

    def stale(self, product_id: str) -> dict[str, list[str]]:
        """The reasons why assets of a product are not fresh, by asset; fresh ones are left out."""
        resolver = CachingStaleStatusResolver(
            self.instance, self.defs.resolve_asset_graph(), LoadingContextForTest(self.instance)
        )
        found = {}
        for asset in ASSETS:
            if resolver.get_status(dg.AssetKey(asset), product_id).value != "FRESH":
                causes = resolver.get_stale_causes(dg.AssetKey(asset), product_id)
                found[asset] = [cause.reason for cause in causes]
        return found

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        ledger = Ledger(
            Settings.from_environment().ledger_url,
            base_url=self.sandbox.base_url,
            uid=self.sandbox.uid,
        )
        try:
            yield ledger
        finally:
            ledger.close()

    def counters(self) -> Mapping[str, Any]:
        counters: Mapping[str, Any] = self._control("GET", "counters").json()
        return counters

    def accepted(self) -> dict[str, int]:
        """How many tasks Topview accepted, by kind."""
        return dict(self.counters()["accepted"])

    def faults(self, **probabilities: float) -> None:
        self._control("PUT", "faults", json=probabilities)

    def credits(self, balance: float) -> None:
        self._control("PUT", "credits", json={"credits": balance})

    def slots(self, concurrency: int) -> None:
        self._control("PUT", "slots", json={"concurrency": concurrency})

    def _control(self, method: str, path: str, **options: Any) -> httpx.Response:
        answer = httpx.request(method, f"{self.sandbox.base_url}/_sandbox/{path}", **options)
        return answer.raise_for_status()


def made(result: dg.ExecuteInProcessResult) -> list[tuple[str, str | None]]:
    """(asset, product) of a run's materializations."""
    return [
        (event.asset_key.to_user_string(), event.partition)
        for event in result.all_events
        if event.is_step_materialization and event.asset_key is not None
    ]


def observed(result: dg.ExecuteInProcessResult) -> list[tuple[str, str | None]]:
    """(source, product) of a run's observations."""
    return [
        (event.asset_key.to_user_string(), event.partition)
        for event in result.all_events
        if event.is_asset_observation and event.asset_key is not None
    ]


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    """What the run says of why it failed, in the words of its one failed step."""
    failed = [event for event in result.all_events if event.is_step_failure]
    assert len(failed) == 1, result.all_events
    return str(failed[0].step_failure_data.error_display_string)


def troubles_of(result: dg.ExecuteInProcessResult) -> list[dict[str, Any]]:
    """The rows of the run's failure table."""
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    user = failed.step_failure_data.user_failure_data
    assert user is not None
    table = user.metadata["topview/troubles"]
    assert isinstance(table, dg.TableMetadataValue)
    return [dict(record.data) for record in table.records]
