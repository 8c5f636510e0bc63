"""bgRemovedImage: the product's photo becomes a cut-out."""

# ruff: noqa: ARG002 - see stage.py

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from topview_pipeline.stages.fingerprint import Inputs
from topview_pipeline.stages.stage import (
    Download,
    FileNeeded,
    HashOf,
    Json,
    Stage,
    StageResult,
    StoredFile,
    WorkItem,
    all_images,
    common_fields,
    file_input,
    file_needed,
    present,
    stored_files,
)

if TYPE_CHECKING:
    from topview_pipeline.catalogue import Product
    from topview_pipeline.ledger import Task
    from topview_pipeline.media import Verdict
    from topview_pipeline.media.probe import Media
    from topview_pipeline.store import Store
    from topview_pipeline.topview import models

CUT_OUT_FILE = "cutout.png"
MASK_FILE = "mask.png"


@dataclass(frozen=True)
class BgRemovedImage(StageResult):
    """The product without its background; `mask` has the photo's size. Sizes: width and height."""

    cutout: StoredFile
    mask: StoredFile
    cutout_size: tuple[int, int] | None = None
    mask_size: tuple[int, int] | None = None


class CutOut(Stage):
    """Topview's `remove_background`: free, some seconds."""

    key = "bgRemovedImage"
    source = "productImage"
    kind = "remove_background"
    endpoint = "remove_background"
    free = True
    deadline_seconds = 600.0
    typical_seconds = 20.0
    main_file = CUT_OUT_FILE
    preview_files = (CUT_OUT_FILE,)
    label = "Cut-out"
    kinds = frozenset({"file", "topview", "image"})
    description = (
        "The product without its background: a cut-out (RGBA, cropped to the product) and a "
        "mask of the photo's size.\n\n"
        "Made by Topview's `remove_background`; seconds, free.\n\n"
        "**If it fails**, or its check does: look at the photo. A plain background and one clear "
        "product work best."
    )
    source_label = "photo"
    source_kind = "image"
    source_description = (
        "The product's photo in the catalogue.\n\nIts columns are `image` or "
        "`product_image_file_id`. Its data version is the sha256 of the photo: a renamed file "
        "changes nothing."
    )
    check_description = "The cut-out is neither empty nor the whole photo."

    def inputs(self, product: Product, hash_of: HashOf) -> Inputs:
        return present(
            {
                "photo": file_input(product.image, product.product_image_file_id, hash_of),
                "mask": product.product_image_mask_file_id,
            }
        )

    def files(self, item: WorkItem) -> tuple[FileNeeded, ...]:
        product = item.product
        return (
            *file_needed(item, "photo", product.image, product.product_image_file_id),
            *file_needed(item, "mask", None, product.product_image_mask_file_id),
        )

    def request(
        self, item: WorkItem, file_ids: Mapping[str, str]
    ) -> models.RemoveBackgroundRequest:
        from topview_pipeline.topview import models

        return models.RemoveBackgroundRequest(
            product_image_file_id=file_ids["photo"], product_image_mask_file_id=file_ids.get("mask")
        )

    def downloads(self, answer: models.RemoveBackgroundResult) -> tuple[Download, ...] | None:
        return all_images(
            {CUT_OUT_FILE: answer.bg_removed_image_path, MASK_FILE: answer.mask_image_path}
        )

    def check(self, task: Task, files: Mapping[str, Media]) -> Verdict:
        from topview_pipeline.media.quality import check_cutout

        return check_cutout(files[CUT_OUT_FILE], files.get(MASK_FILE))

    def result(self, product_id: str, task: Task, store: Store) -> BgRemovedImage:
        files = stored_files(task, store)
        answer = task.result or {}
        return BgRemovedImage(
            *common_fields(product_id, task),
            cutout=files[CUT_OUT_FILE],
            mask=files[MASK_FILE],
            cutout_size=_size(answer, "bgRemovedImage"),
            mask_size=_size(answer, "maskImage"),
        )

    def facts(self, result: Json) -> dict[str, str]:
        names = {"bgRemovedImageFileId": "cutout_file_id", "maskImageFileId": "mask_file_id"}
        found = {name: str(result[key]) for key, name in names.items() if result.get(key)}
        for name, image in (("cutout_size", "bgRemovedImage"), ("mask_size", "maskImage")):
            if size := _size(result, image):
                found[name] = f"{size[0]} x {size[1]}"
        return found


def _size(result: Json, image: str) -> tuple[int, int] | None:
    width, height = result.get(f"{image}Width"), result.get(f"{image}Height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) else None
