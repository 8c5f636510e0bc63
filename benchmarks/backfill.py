"""A backfill through `dagster dev` as a user runs it: ours, and the textbook's three assets.

Web server, daemon, code server and run workers run on an instance of their own; the backfill is
launched as the UI's button does it, and all of their processes are counted. Tasks are done at once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import dagster as dg
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES

from benchmarks.load import INSTANT, counters, environment, product_ids, sandbox
from benchmarks.processes import ROOT, session_cpu_seconds
from tests.scenarios.dagster_processes import DagsterDev
from topview_pipeline.defs.instance import DAGSTER_YAML
from topview_pipeline.stages import STAGES

_ASSETS: Final = tuple(stage.key for stage in STAGES)
_SETTLE_SECONDS: Final = 5.0
_SECONDS_PER_PRODUCT: Final = 60.0
_LEAST_SECONDS: Final = 300.0


class BackfillFailedError(RuntimeError):
    """A backfill that did not make everything: no number counts."""


@dataclass(frozen=True)
class Cost:
    """The cost of one product.

    Attributes:
        cpu_seconds: by role, of all of Dagster's processes, from the launch until the daemon knew
            the end; starting them is not in it, and the sandbox neither.
        wall_seconds: from the creation of the first run to the end of the last one. That the
            daemon looks for new backfills every 30 seconds is not in it.
    """

    cpu_seconds: Mapping[str, float]
    wall_seconds: float

    @property
    def cpu(self) -> float:
        """CPU seconds of all processes."""
        return sum(self.cpu_seconds.values())


def ours(folder: Path, products: int, *, pictures: bool) -> Cost:
    """As `topview-pipeline` sets Dagster up; `pictures`: with previews and checks."""
    shown = str(pictures).lower()
    settings = {"TOPVIEW_PREVIEWS": shown, "TOPVIEW_CHECKS": shown}
    home = folder / f"ours-{pictures}"
    return _measure(home, products, "topview_pipeline.definitions", settings, DAGSTER_YAML)


def textbook(folder: Path, products: int) -> Cost:
    """Dagster's own defaults: a run for each product, a process for each step."""
    made = folder / "made"
    made.mkdir(parents=True)
    settings = {"TEXTBOOK_FOLDER": str(made)}
    return _measure(folder / "textbook", products, "benchmarks.textbook", settings)


def _measure(
    home: Path,
    products: int,
    module: str,
    settings: Mapping[str, str],
    dagster_yaml: str | None = None,
) -> Cost:
    """Run it with an instance, a ledger and a sandbox of its own."""
    with sandbox(INSTANT) as topview:
        environ = {**environment(home, products, topview), **settings}
        if dagster_yaml is not None:
            Path(environ["DAGSTER_HOME"], "dagster.yaml").write_text(dagster_yaml)
        workspace = home / "workspace.yaml"
        location = f"{{module_name: {module}, working_directory: {ROOT}}}"
        workspace.write_text(f"load_from: [{{python_module: {location}}}]")
        with dg.DagsterInstance.from_config(environ["DAGSTER_HOME"]) as instance:
            dev = DagsterDev(instance, home / "dev.log", {**os.environ, **environ}, workspace)
            try:
                dev.start()
                time.sleep(_SETTLE_SECONDS)
                cost = _backfill(dev, products)
            finally:
                dev.end()
        counters(topview, products=products)
    return cost


def _backfill(dev: DagsterDev, count: int) -> Cost:
    """Materialize all assets of products, registered here, and wait for the end.

    Raises:
        BackfillFailedError: not everything was made.
    """
    instance, products = dev.instance, product_ids(count)
    instance.add_dynamic_partitions("products", products)
    before = session_cpu_seconds(dev.pid)
    backfill_id = dev.backfill(products, _ASSETS)

    def is_over() -> bool:
        backfill = instance.get_backfill(backfill_id)
        return backfill is not None and backfill.status in BULK_ACTION_TERMINAL_STATUSES

    dev.until(is_over, max(_LEAST_SECONDS, _SECONDS_PER_PRODUCT * count))
    after = session_cpu_seconds(dev.pid)
    for asset in _ASSETS:
        made = len(instance.get_materialized_partitions(dg.AssetKey(asset)))
        if made != count:
            raise BackfillFailedError(f"{asset}: {made} of {count} products")
    filters = dg.RunsFilter(tags={"dagster/backfill": backfill_id})
    runs = instance.get_run_records(filters)
    wall = max(run.end_time or 0.0 for run in runs) - min(
        run.create_timestamp.timestamp() for run in runs
    )
    cpu = {role: (after[role] - before.get(role, 0.0)) / count for role in after}
    return Cost(cpu, wall / count)
