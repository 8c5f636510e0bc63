"""A toy fourth stage: proof that the engine, the plan, the ledger and Dagster name no stage.

It cuts the cover of the finished video out, by the endpoint that the cut-out uses, so that it needs
no endpoint of its own. It is also the smallest example of a stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from topview_pipeline.catalogue import Product
from topview_pipeline.stages import STAGES, FileNeeded, Inputs, PreconditionError, Stage
from topview_pipeline.stages.stage import (
    Download,
    HashOf,
    StageResult,
    StoredFile,
    WorkItem,
    all_images,
    common_fields,
    stored_files,
)
from topview_pipeline.topview.models import (
    RemoveBackgroundRequest,
    RemoveBackgroundResult,
)

if TYPE_CHECKING:
    from topview_pipeline.ledger import Task
    from topview_pipeline.media import Verdict
    from topview_pipeline.media.probe import Media
    from topview_pipeline.store import Store


@dataclass(frozen=True)
class ThumbnailImage(StageResult):
    """The small picture."""

    picture: StoredFile


class Thumbnail(Stage):
    """A small picture of the video, without background: free, some seconds."""

    key = "thumbnail"
    upstream = "finishedVideo"
    source = "productThumbnail"
    kind = "thumbnail"
    endpoint = "remove_background"
    free = True
    deadline_seconds = 600.0
    typical_seconds = 5.0
    main_file = "thumbnail.png"
    preview_files = ("thumbnail.png",)
    label = "Thumbnail"
    kinds = frozenset({"topview", "image"})
    description = "A small picture of the video."
    source_label = "thumbnail"
    source_kind = "config"
    source_description = "How the thumbnail should look: nothing to choose."
    check_description = "Nothing is measured."

    def inputs(self, product: Product, hash_of: HashOf) -> Inputs:
        return Inputs({"style": "plain"})

    def files(self, item: WorkItem) -> tuple[FileNeeded, ...]:
        cover = self.required(item.upstream).artifact("cover.jpg")
        if cover is None:
            raise PreconditionError("the video has no cover", fix="Make the video again.")
        return (FileNeeded("cover", "image", sha256=cover.sha256, artifact=cover),)

    def request(self, item: WorkItem, file_ids: Mapping[str, str]) -> RemoveBackgroundRequest:
        return RemoveBackgroundRequest(product_image_file_id=file_ids["cover"])

    def downloads(self, answer: RemoveBackgroundResult) -> tuple[Download, ...] | None:
        return all_images({"thumbnail.png": answer.bg_removed_image_path})

    def check(self, task: Task, files: Mapping[str, Media]) -> Verdict:
        from topview_pipeline.media import unmeasured

        return unmeasured("it is a toy")

    def result(self, product_id: str, task: Task, store: Store) -> ThumbnailImage:
        picture = stored_files(task, store)["thumbnail.png"]
        return ThumbnailImage(*common_fields(product_id, task), picture=picture)


FOUR_STAGES = (*STAGES, Thumbnail())
