"""The jobs: `catch_up`, which sensor, schedule and command line start, `sync_products`, and
`materialize_products` for schedules of your own.

Whether to try again is the ledger's decision, never one of Dagster's retry machines': a retry of a
whole run would ask again for what is held or refused. These jobs say so by a tag. The asset runs
of backfills and "Materialize" have no job of ours to tag; there every Failure is raised with
`allow_retries=False`, which ends op retries, and `run_retries` in dagster.yaml has
`retry_on_asset_or_op_failure: false`, which keeps run retries for processes that died.
"""

import dagster as dg

from topview_pipeline.defs.ops import plan_catch_up, produce
from topview_pipeline.defs.sync import sync_with_catalogue
from topview_pipeline.stages import STAGES

CATCH_UP = "catch_up"
SYNC_PRODUCTS = "sync_products"
MATERIALIZE_PRODUCTS = "materialize_products"
NO_AUTOMATIC_RETRY = {"dagster/retry_on_asset_or_op_failure": "false"}


def catch_up_config(**values: object) -> dict[str, object]:
    """The job's run config; `values` are fields of `config.CatchUpConfig`."""
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


@dg.job(
    name=SYNC_PRODUCTS,
    description="Reads the catalogue: new products become partitions, changed inputs are observed, "
    "so that the UI shows what is missing and what is stale. Spends nothing and needs no account.",
    executor_def=dg.in_process_executor,
    tags={**NO_AUTOMATIC_RETRY, "topview/job": SYNC_PRODUCTS},
)
def sync_products() -> None:
    """Register, then observe."""
    sync_with_catalogue()


materialize_products = dg.define_asset_job(
    name=MATERIALIZE_PRODUCTS,
    selection=[stage.key for stage in STAGES],
    description="Materializes all three assets of one product, or of a range of products in one "
    "run: what a schedule or sensor of your own starts.",
    tags={**NO_AUTOMATIC_RETRY, "topview/job": MATERIALIZE_PRODUCTS},
)
