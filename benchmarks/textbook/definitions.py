"""The three assets and their resources: a code location of its own."""

import csv
from pathlib import Path
from typing import Any

import dagster as dg

from benchmarks.textbook.api import Topview

products = dg.DynamicPartitionsDefinition(name="products")
_CUT = "/v1/common_task/remove_background"
_SCENE = "/v2/product_avatar/task/image_replace"
_VIDEO = "/v2/product_avatar/task/image2Video"


class Catalogue(dg.ConfigurableResource):  # type: ignore[type-arg]  # takes any value
    """The CSV of the products."""

    path: str

    def row(self, product_id: str) -> dict[str, str]:
        """One product."""
        with Path(self.path).open(newline="") as file:
            return next(row for row in csv.DictReader(file) if row["product_id"] == product_id)

    def file(self, name: str) -> Path:
        """A file that a row names."""
        return Path(self.path).parent / name


@dg.asset(partitions_def=products)
def bgRemovedImage(  # noqa: N802
    context: dg.AssetExecutionContext, topview: Topview, catalogue: Catalogue
) -> dict[str, Any]:
    """The product without its background."""
    row = catalogue.row(context.partition_key)
    photo = topview.upload(catalogue.file(row["image"]))
    cut = topview.make(_CUT, {"productImageFileId": photo})
    topview.download(cut["bgRemovedImagePath"], f"{context.partition_key}-cutout.png")
    topview.download(cut["maskImagePath"], f"{context.partition_key}-mask.png")
    return cut


@dg.asset(partitions_def=products)
def replacedImages(  # noqa: N802
    context: dg.AssetExecutionContext,
    bgRemovedImage: dict[str, Any],  # noqa: N803
    topview: Topview,
    catalogue: Catalogue,
) -> dict[str, Any]:
    """The product in its scene."""
    row = catalogue.row(context.partition_key)
    scene = topview.make(
        _SCENE,
        {
            "generateImageMode": "auto",
            "productImageWithoutBackgroundFileId": bgRemovedImage["bgRemovedImageFileId"],
            "templateImageFileId": topview.upload(catalogue.file(row["template_image"])),
            "imageEditPrompt": row["image_edit_prompt"],
        },
    )
    for number, image in enumerate(scene["replaceProductResult"]):
        topview.download(image["url"], f"{context.partition_key}-scene-{number}.png")
    return scene


@dg.asset(partitions_def=products)
def finishedVideo(  # noqa: N802
    context: dg.AssetExecutionContext,
    replacedImages: dict[str, Any],  # noqa: N803
    topview: Topview,
    catalogue: Catalogue,
) -> None:
    """The video."""
    row = catalogue.row(context.partition_key)
    video = topview.make(
        _VIDEO,
        {
            "replaceProductTaskImageId": replacedImages["replaceProductResult"][0]["imageId"],
            "mode": row["mode"],
            "scriptMode": "text",
            "ttsText": row["script"],
            "voiceId": row["voice_id"],
        },
    )
    topview.download(video["finishedVideoUrl"], f"{context.partition_key}.mp4")


defs = dg.Definitions(
    assets=[bgRemovedImage, replacedImages, finishedVideo],
    resources={
        "topview": Topview(
            base_url=dg.EnvVar("TOPVIEW_BASE_URL"),
            uid=dg.EnvVar("TOPVIEW_UID"),
            api_key=dg.EnvVar("TOPVIEW_API_KEY"),
            poll_seconds=0.1,
            folder=dg.EnvVar("TEXTBOOK_FOLDER"),
        ),
        "catalogue": Catalogue(path=dg.EnvVar("TOPVIEW_CATALOGUE")),
    },
)
