"""The `catch_up` job with everything that Dagster does, as `python -m benchmarks.catch_up`.

The process is the one of `topview-pipeline run`, without its progress: it loads the code location,
its instance is the on-disk one of DAGSTER_HOME, the environment has the settings.
"""

from __future__ import annotations

import uuid
from dataclasses import asdict

import dagster as dg

from benchmarks import processes
from topview_pipeline.definitions import defs
from topview_pipeline.defs.dagster_private import execute_as_launched
from topview_pipeline.defs.jobs import CATCH_UP, catch_up_config


def main() -> None:
    """Make one product, then the rest of the catalogue."""
    with dg.DagsterInstance.get() as instance:
        _make(instance, limit=1)
        first = processes.spent()
        _make(instance)
    processes.report(first=asdict(first))


def _make(instance: dg.DagsterInstance, **config: int) -> None:
    job = defs.resolve_job_def(CATCH_UP)
    run_id = str(uuid.uuid4())
    config_of_run = catch_up_config(**config)
    ended = execute_as_launched(
        job,
        instance,
        module="topview_pipeline.definitions",
        location="topview_pipeline",
        run_config=config_of_run,
        run_id=run_id,
    )
    if not ended.success:
        raise RuntimeError(f"run {run_id}: {ended.failures}")


if __name__ == "__main__":
    main()
