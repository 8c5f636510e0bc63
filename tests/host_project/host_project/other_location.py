"""Another code location: it has no pipeline, and loads what one made."""

import os
from pathlib import Path

import dagster as dg

from topview_pipeline import FinishedVideo, PipelineConfig, TopviewResource, TopviewResults

OF_ACME = dg.DynamicPartitionsDefinition(name="acme_products")
finished_video = dg.AssetSpec(["acme", "finishedVideo"], partitions_def=OF_ACME)


@dg.asset(
    ins={"video": dg.AssetIn(finished_video.key, input_manager_key="acme_videos")},
    partitions_def=OF_ACME,
    io_manager_key="values",
)
def newsletter(video: FinishedVideo) -> str:
    return f"{video.product_id}: {video.video.uri}"


def _acme() -> PipelineConfig:
    """Reads need no key and no catalogue."""
    return PipelineConfig(
        name="acme",
        uid=os.environ["HOST_UID"],
        base_url=os.environ["HOST_URL"],
        home=Path(os.environ["HOST_FOLDER"]) / "home",
    )


defs = dg.Definitions(
    assets=[finished_video, newsletter],
    resources={
        "acme_videos": TopviewResults(TopviewResource(_acme)),
        "values": dg.mem_io_manager,
    },
)
