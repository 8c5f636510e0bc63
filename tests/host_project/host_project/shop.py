"""The host's own definitions, with names that a pipeline might have taken."""

import dagster as dg

from topview_pipeline import FinishedVideo

FINISHED = dg.AssetKey(["acme", "finishedVideo"])
OF_ACME = dg.DynamicPartitionsDefinition(name="acme_products")
PRODUCTS = dg.DynamicPartitionsDefinition(name="products")


class Values(dg.ConfigurableResource[str]):
    """A resource with a name like one of ours."""

    text: str = "the host's"


@dg.asset(partitions_def=PRODUCTS, io_manager_key="values")
def price(context: dg.AssetExecutionContext, catalogue: Values, ledger: Values) -> str:
    """A value for each of the host's own products."""
    return f"{context.partition_key} {catalogue.text} {ledger.text}"


@dg.asset(ins={"video": dg.AssetIn(FINISHED)}, partitions_def=OF_ACME, io_manager_key="values")
def shop_page(video: FinishedVideo) -> str:
    """Takes the video as a typed value."""
    return f"<video src='{video.video.uri}'>{video.product_id}</video>"


@dg.asset(deps=[FINISHED], partitions_def=OF_ACME, io_manager_key="values")
def announcement(context: dg.AssetExecutionContext) -> str:
    """Depends on the video and does not load it."""
    return f"{context.partition_key} has a video"


@dg.op
def count_videos(context: dg.OpExecutionContext) -> int:
    return len(context.instance.get_materialized_partitions(FINISHED))


@dg.job
def report() -> None:
    count_videos()


@dg.schedule(cron_schedule="0 6 * * *", job_name="acme_catch_up")
def mornings() -> dg.RunRequest:
    """Starts a job of ours, with a limit of its own."""
    return dg.RunRequest(run_config={"ops": {"plan_catch_up": {"config": {"credit_limit": 5.0}}}})


@dg.asset_sensor(asset_key=FINISHED, job=report)
def after_each_video() -> dg.RunRequest:
    return dg.RunRequest()


host = dg.Definitions(
    assets=[price, shop_page, announcement],
    jobs=[report],
    schedules=[mornings],
    sensors=[after_each_video],
    resources={
        "catalogue": Values(),
        "ledger": Values(),
        "values": dg.mem_io_manager,
    },
    executor=dg.multiprocess_executor,
)
