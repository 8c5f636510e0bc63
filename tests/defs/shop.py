"""A shop with a catalogue, a local Topview and a Dagster instance: what the tests of defs drive."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest

from topview_pipeline.defs.jobs import CATCH_UP, catch_up_config
from topview_pipeline.defs.outline import PIPELINE_TAG, Outline
from topview_pipeline.defs.pipeline import definitions_of
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.ledger import DEAD_AFTER_SECONDS, Ledger, Task, TaskState
from topview_pipeline.ledger.schema import task, worker
from topview_pipeline.settings import PipelineConfig
from topview_pipeline.testing import ProductRows, Sandbox

Patch = pytest.MonkeyPatch
ASSETS = ("bgRemovedImage", "replacedImages", "finishedVideo")
CUT_OUT = ["bgRemovedImage"]
OUTLINE = Outline()
PRODUCTS = OUTLINE.partition_set
FIVE = ("mug", "shoe", "bag", "cap", "pen")
NO_SUCH_ID = "0" * 32
REFUSED = {"template_image": "", "avatar_id": NO_SUCH_ID}
"""Cells of a product whose scene Topview refuses."""


@dg.logger
def _silent(_: dg.InitLoggerContext) -> logging.Logger:
    """Dagster's own writes each event to the console; runs keep their events all the same."""
    return logging.Logger("silent")


def pipeline(topview: TopviewResource) -> dg.Definitions:
    """The definitions of a pipeline whose runs are silent."""
    return dg.Definitions.merge(
        definitions_of(topview), dg.Definitions(loggers={"silent": _silent})
    )


class Shop(ProductRows):
    """`rows` are written before every run; `settings` are the variables."""

    def __init__(self, folder: Path, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        super().__init__(folder)
        self.store = folder / "home" / "store"
        self.control = sandbox
        self.instance = instance
        self.mine = dg.Definitions()
        """Of a user's own project, merged with the pipeline's."""
        self.settings = {
            "TOPVIEW_BASE_URL": sandbox.base_url,
            "TOPVIEW_UID": sandbox.uid,
            "TOPVIEW_API_KEY": sandbox.api_key,
            "TOPVIEW_HOME": str(folder / "home"),
            "TOPVIEW_CATALOGUE": str(self.path),
            "TOPVIEW_POLL_SECONDS": "0.02",
            "TOPVIEW_WAIT_SECONDS": "20",
            "TOPVIEW_PREVIEWS": "false",
            "TOPVIEW_CHECKS": "false",
        }

    # Runs. Each has a resource of its own, as a process of its own has.

    @property
    def config(self) -> PipelineConfig:
        return PipelineConfig.from_environment(self.settings)

    def topview(self) -> TopviewResource:
        return TopviewResource(lambda: self.config)

    def definitions(self, topview: TopviewResource | None = None) -> dg.Definitions:
        return dg.Definitions.merge(pipeline(topview or self.topview()), self.mine)

    def run_job(self, name: str, **options: Any) -> dg.ExecuteInProcessResult:
        self.write()
        job = self.definitions().resolve_job_def(name)
        return job.execute_in_process(instance=self.instance, raise_on_error=False, **options)

    def catch_up(self, **config: Any) -> dg.ExecuteInProcessResult:
        return self.run_job(CATCH_UP, run_config=catch_up_config(**config))

    def materialize(
        self,
        first: str | None,
        last: str | None = None,
        *,
        assets: Sequence[str] = ASSETS,
        **options: Any,
    ) -> dg.ExecuteInProcessResult:
        """A run over one product, the products from first to last, or no partition."""
        self.write()
        self.register(self.instance)
        if first is not None and last is not None:
            name = "dagster/asset_partition_range"
            options["tags"] = {f"{name}_start": first, f"{name}_end": last}
        elif first is not None:
            options["partition_key"] = first
        job = self.definitions().resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.instance,
            raise_on_error=False,
            asset_selection=[dg.AssetKey(asset) for asset in assets],
            **options,
        )

    def leave_pending(self, **config: Any) -> dg.ExecuteInProcessResult:
        """A catch_up that submits and ends before it can see a task finished."""
        before = dict(self.settings)
        self.settings["TOPVIEW_WAIT_SECONDS"] = "0"
        self.control.set_faults(unknown_status=1.0)
        result = self.catch_up(**config)
        self.control.set_faults()
        self.settings = before
        return result

    # What Dagster shows.

    def materialized(self, asset: str) -> set[str]:
        return self.instance.get_materialized_partitions(dg.AssetKey(asset))

    def failed(self, asset: str) -> set[str]:
        """The partitions that Dagster shows as failed."""
        statuses = self.instance.get_status_by_partition(
            dg.AssetKey(asset), self.instance.get_dynamic_partitions(PRODUCTS), OUTLINE.products
        )
        found = {key: status for key, status in (statuses or {}).items() if status is not None}
        return {key for key, status in found.items() if status.value == "FAILED"}

    def stale(self, product_id: str) -> dict[str, list[str]]:
        """The reasons why assets of a product are not fresh, by asset; fresh ones are left out."""
        resolver = CachingStaleStatusResolver(
            self.instance,
            self.definitions().resolve_asset_graph(),
            LoadingContextForTest(self.instance),
        )
        found = {}
        for asset in ASSETS:
            if resolver.get_status(dg.AssetKey(asset), product_id).value != "FRESH":
                causes = resolver.get_stale_causes(dg.AssetKey(asset), product_id)
                found[asset] = [cause.reason for cause in causes]
        return found

    def begin_run(
        self, status: str, job: str = CATCH_UP, *, pipeline: str = OUTLINE.name
    ) -> dg.DagsterRun:
        """A run in this state, of which no process is left."""
        run = dg.DagsterRun(
            job,
            os.urandom(16).hex(),
            status=dg.DagsterRunStatus(status),
            tags={PIPELINE_TAG: pipeline},
        )
        return self.instance.add_run(run)

    def status_of(self, run: dg.DagsterRun) -> str:
        found = self.instance.get_run_by_id(run.run_id)
        assert found is not None
        return found.status.value

    # What the ledger and Topview know.

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        with self.topview().ledger() as ledger:
            yield ledger

    def rows_in(self, *states: TaskState) -> list[Task]:
        """The task rows in these states; without any, all."""
        with self.ledger() as ledger:
            return ledger.tasks.in_state(states or tuple(TaskState))

    def held_catalogue(self) -> bool:
        with self.ledger() as ledger:
            return ledger.catalogue.held() is not None

    def alter(self, table: sa.Table, **values: Any) -> None:
        """Write into all rows of a table of the ledger what only time would bring."""
        with self.ledger() as ledger, ledger._database.write() as connection:
            connection.execute(table.update().values(**values))

    def make_retries_due(self) -> None:
        with self.ledger() as ledger:
            now = ledger.now()
        self.alter(task, not_before=now - 1.0, closed_at=now - 60.0)

    def kill_worker_of(self, run_id: str) -> str:
        """A worker of the run whose heartbeat stopped."""
        with self.ledger() as ledger:
            ledger.workers.start(f"worker of {run_id}", run_id=run_id)
        self.alter(worker, heartbeat_at=worker.c.heartbeat_at - 2 * DEAD_AFTER_SECONDS)
        return f"worker of {run_id}"

    def accepted(self) -> dict[str, int]:
        """Numbers of tasks that Topview accepted, by kind."""
        return dict(self.control.counters()["accepted"])


# What a run says.


def materializations(
    result: dg.ExecuteInProcessResult, asset: str
) -> list[Mapping[str, dg.MetadataValue[Any]]]:
    """Metadata of a run's materializations of the asset, in order."""
    return [
        event.materialization.metadata
        for event in result.all_events
        if event.is_step_materialization and event.asset_key == dg.AssetKey(asset)
    ]


def made(result: dg.ExecuteInProcessResult) -> list[tuple[str, str | None]]:
    """(asset, product) of a run's materializations."""
    return _of_assets(event for event in result.all_events if event.is_step_materialization)


def observed(result: dg.ExecuteInProcessResult) -> list[tuple[str, str | None]]:
    """(asset, product) of a run's observations, marks included; not of what it spent."""
    found = _of_assets(event for event in result.all_events if event.is_asset_observation)
    return [one for one in found if one[1] is not None]


Mark = tuple[str, str, "str | None", dict[str, Any]]


def marks(result: dg.ExecuteInProcessResult) -> list[Mark]:
    """(what, asset, product, metadata) of a run's marks."""
    found: list[Mark] = []
    for event in result.all_events:
        if event.is_asset_observation:
            seen = event.asset_observation_data.asset_observation
            values: dict[str, Any] = {key: one.value for key, one in seen.metadata.items()}
            what, mark, _ = (seen.description or "").partition(": ")
            if mark and what in ("Held", "Failed", "Adopted"):
                asset = seen.asset_key.to_user_string()
                found.append((what.lower(), asset, seen.partition, values))
    return found


def _of_assets(events: Iterable[dg.DagsterEvent]) -> list[tuple[str, str | None]]:
    return [
        (str(key.to_user_string()), event.partition) for event in events if (key := event.asset_key)
    ]


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    """Why a run failed, in the words of its one failed step."""
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    return str(failed.step_failure_data.error_display_string)


def metadata_of(result: dg.ExecuteInProcessResult, op: str) -> dict[str, Any]:
    """Values of an op's metadata, of its output or of its failure, without their prefix."""
    (event,) = [
        event
        for event in result.all_events
        if event.step_key == op and (event.is_step_failure or event.is_successful_output)
    ]
    user = event.step_failure_data.user_failure_data if event.is_step_failure else None
    metadata: Any = user.metadata if user else event.step_output_data.metadata
    return {key.removeprefix("topview/"): value.value for key, value in metadata.items()}


def troubles_of(result: dg.ExecuteInProcessResult) -> list[dict[str, Any]]:
    """The run's table of troubles, with a row for each stage that was not made."""
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    user = failed.step_failure_data.user_failure_data
    assert user is not None, failed.step_failure_data.error_display_string
    table: Any = user.metadata["topview/troubles"]
    found = []
    for record in table.records:
        outcome, _, what = str(record.data["what happened"]).partition(": ")
        what, _, missing = what.partition(" Not made because of it: ")
        row = {"product": record.data["product"], "outcome": outcome, "what": what}
        row["fix"] = record.data["what to do"]
        stages = [record.data["stage"], *filter(None, missing.split(", "))]
        found += [{**row, "stage": stage} for stage in stages]
    return found


def outcomes(result: dg.ExecuteInProcessResult) -> set[tuple[str, str, str]]:
    """(product, stage, outcome) of the run's troubles."""
    return {(row["product"], row["stage"], row["outcome"]) for row in troubles_of(result)}
