"""The `catch_up` job: what sensor, schedule and command line all start."""

import dagster as dg

from topview_pipeline.defs.ops import plan_catch_up, produce

CATCH_UP = "catch_up"
NO_AUTOMATIC_RETRY = {"dagster/retry_on_asset_or_op_failure": "false"}
"""Whether to try again is the ledger's decision (Dagster fact 15)."""


def catch_up_config(**values: object) -> dict[str, object]:
    """The job's run config; `values` are fields of `ops.CatchUpConfig`."""
    return {"ops": {"plan_catch_up": {"config": values}}}


@dg.job(
    name=CATCH_UP,
    description="Brings products of the catalogue up to date, any list of them: plans what is "
    "missing, changed, pending or due, then makes just that. Running it again is free for what "
    "exists.",
    executor_def=dg.in_process_executor,
    tags={**NO_AUTOMATIC_RETRY, "topview/job": CATCH_UP},
)
def catch_up() -> None:
    """Plan, then produce."""
    produce(plan_catch_up())
