"""One look at a large ledger or catalogue, in a process of its own: `python -m benchmarks.looks`.

The code location is loaded before, as it is where sensors and ops run; what is imported only by
the look is part of it.
"""

from __future__ import annotations

import time
from typing import Any

import dagster as dg
from click.testing import CliRunner

from benchmarks import child
from topview_pipeline.cli import main as topview_pipeline
from topview_pipeline.definitions import defs
from topview_pipeline.defs.catalogue_sensor import catalogue_sensor
from topview_pipeline.defs.jobs import SYNC_PRODUCTS
from topview_pipeline.defs.sensors import pending_task_sensor


def _tick_of_pending_tasks() -> str:
    with _sensor_context("ledger", "artifacts", "catalogue") as context:
        answer: Any = pending_task_sensor(context)
    if not isinstance(answer, dg.RunRequest):
        raise TypeError(f"no run was asked for: {answer}")
    return "a run"


def _tick_of_catalogue() -> str:
    with _sensor_context("ledger", "catalogue") as context:
        answer: Any = catalogue_sensor(context)
    if not isinstance(answer, dg.SensorResult):
        raise TypeError(f"the catalogue was not taken in: {answer}")
    return str(answer.skip_reason)


def _sync() -> str:
    with dg.DagsterInstance.get() as instance:
        done = defs.resolve_job_def(SYNC_PRODUCTS).execute_in_process(instance=instance)
    return done.run_id


def _plan() -> str:
    done = CliRunner().invoke(topview_pipeline, ["plan"], catch_exceptions=False)
    if done.exit_code or "up to date" not in done.output:
        raise RuntimeError(f"exit {done.exit_code}: {done.output}")
    return "up to date"


def _sensor_context(*resources: str) -> dg.SensorEvaluationContext:
    given = {name: (defs.resources or {})[name] for name in resources}
    instance = dg.DagsterInstance.get()
    return dg.build_sensor_context(instance, definitions=defs, resources=given)


_LOOKS = {
    "pending tasks": _tick_of_pending_tasks,
    "catalogue": _tick_of_catalogue,
    "plan": _plan,
    "sync": _sync,
}


def main(spec: dict[str, Any]) -> None:
    """Take the look that the spec names."""
    before = child.spent()
    began = time.monotonic()
    said = _LOOKS[spec["look"]]()
    seconds = time.monotonic() - began
    child.report(
        seconds=seconds, cpu_seconds=child.spent().cpu_seconds - before.cpu_seconds, said=said
    )


if __name__ == "__main__":
    main(child.spec())
