"""The `catch_up` job with everything that Dagster does, as `python -m benchmarks.catch_up`.

The process is the one that a run worker would be: it loads the code location, its instance is the
on-disk one of DAGSTER_HOME, the environment has the settings.
"""

from __future__ import annotations

from dataclasses import asdict

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator

from benchmarks import child
from topview_pipeline.definitions import defs
from topview_pipeline.defs.jobs import CATCH_UP, catch_up_config


def main() -> None:
    """Make one product, then the rest of the catalogue."""
    with dg.DagsterInstance.get() as instance:
        _make(instance, limit=1)
        first = child.spent()
        _make(instance)
    child.report(first=asdict(first))


def _make(instance: dg.DagsterInstance, **config: int) -> None:
    """As a run worker does it: no event is kept in memory once it is stored."""
    job = defs.resolve_job_def(CATCH_UP)
    run = instance.create_run_for_job(job, run_config=catch_up_config(**config))
    made = sum(
        event.is_step_materialization
        for event in execute_run_iterator(InMemoryJob(job), run, instance)
    )
    ended = instance.get_run_by_id(run.run_id)
    stored = instance.get_run_stats(run.run_id).materializations
    if ended is None or not ended.is_success or made != stored:
        raise RuntimeError(f"run {run.run_id}: {ended and ended.status}, {stored} of {made}")


if __name__ == "__main__":
    main()
