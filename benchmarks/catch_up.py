"""The `catch_up` job with everything that Dagster does, as `python -m benchmarks.catch_up`.

The process is the one that `dagster job execute` or `topview-pipeline run` would be: it loads the
code location, its instance is the on-disk one of DAGSTER_HOME, the environment has the settings.
"""

from __future__ import annotations

import dagster as dg

from benchmarks import child
from topview_pipeline.definitions import defs


def main() -> None:
    """Run the job over the whole catalogue.

    Raises:
        RuntimeError: the run did not succeed.
    """
    with dg.DagsterInstance.get() as instance:
        job = defs.resolve_job_def("catch_up")
        done = job.execute_in_process(instance=instance, raise_on_error=True)
        made = len(done.get_asset_materialization_events())
        stored = instance.get_run_stats(done.run_id).materializations
        if not done.success or made != stored:
            raise RuntimeError(f"run {done.run_id}: success {done.success}, {stored} of {made}")
    child.report(materializations=made)


if __name__ == "__main__":
    main()
