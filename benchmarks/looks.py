"""One look at a large ledger or catalogue, in a process of its own: `python -m benchmarks.looks`.

The code location is loaded before, as it is where sensors and ops run; what is imported only by
the look is part of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import dagster as dg
from click.testing import CliRunner

from benchmarks import processes
from topview_pipeline.cli import main as topview_pipeline
from topview_pipeline.definitions import defs, topview
from topview_pipeline.defs.jobs import SYNC_PRODUCTS
from topview_pipeline.defs.sensors import catalogue_sensor, pending_task_sensor


def _pending_tasks() -> str:
    answer = _tick(pending_task_sensor(topview))
    if not isinstance(answer, dg.RunRequest):
        raise TypeError(f"no run was asked for: {answer}")
    return "a run"


def _catalogue() -> str:
    answer = _tick(catalogue_sensor(topview))
    if not isinstance(answer, dg.SensorResult):
        raise TypeError(f"the catalogue was not taken in: {answer}")
    said = str(answer.skip_reason)
    if "next tick" in said:
        raise RuntimeError(f"the tick's time was over before all was looked at: {said}")
    return said


def _tick(sensor: dg.SensorDefinition) -> Any:
    instance = dg.DagsterInstance.get()
    return sensor(dg.build_sensor_context(instance, definitions=defs))


def _sync() -> str:
    with dg.DagsterInstance.get() as instance:
        done = defs.resolve_job_def(SYNC_PRODUCTS).execute_in_process(instance=instance)
    return done.run_id


def _plan() -> str:
    without_key = {"TOPVIEW_API_KEY": None}  # with one it asks Topview for the account
    done = CliRunner().invoke(topview_pipeline, ["plan"], env=without_key, catch_exceptions=False)
    if "up to date" not in done.output:  # it ends with 2: a run could not start
        raise RuntimeError(f"exit {done.exit_code}: {done.output}")
    return "up to date"


_LOOKS: Final[Mapping[str, Callable[[], str]]] = {
    "pending tasks": _pending_tasks,
    "catalogue": _catalogue,
    "plan": _plan,
    "sync": _sync,
}


def main(spec: dict[str, Any]) -> None:
    """Take the look that the spec names."""
    before = processes.spent()
    began = time.monotonic()
    said = _LOOKS[spec["look"]]()
    seconds = time.monotonic() - began
    cpu_seconds = processes.spent().cpu_seconds - before.cpu_seconds
    processes.report(seconds=seconds, cpu_seconds=cpu_seconds, said=said)


if __name__ == "__main__":
    main(processes.spec())
