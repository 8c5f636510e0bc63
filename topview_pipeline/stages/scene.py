"""replacedImages: the cut-out is put into a scene with a person."""

# ruff: noqa: ARG002 - see stage.py

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from topview_pipeline.media import is_faceless
from topview_pipeline.stages.cut_out import CUT_OUT_FILE
from topview_pipeline.stages.fingerprint import Inputs
from topview_pipeline.stages.stage import (
    Download,
    FileNeeded,
    HashOf,
    Json,
    Stage,
    StageResult,
    StoredFile,
    WhenNoFace,
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
    from topview_pipeline.stages.proof_lists import ProofLists
    from topview_pipeline.store import Store
    from topview_pipeline.topview import models

FACELESS_MODE: Final = "avatar2"
"""The only mode that takes an image without a face (docs: pa2_image2video_submit_task)."""


@dataclass(frozen=True)
class SceneImage:
    """One image of a kept answer, from 1. `has_face` is None when Topview does not say."""

    number: int
    image_id: str
    has_face: bool | None

    @property
    def file_name(self) -> str:
        return f"scene_{self.number}.png"


@dataclass(frozen=True)
class Scene(SceneImage):
    """One image of `replacedImages` with its file, for users."""

    image: StoredFile


@dataclass(frozen=True)
class ReplacedImages(StageResult):
    """The product in scenes with a person, in Topview's order."""

    scenes: tuple[Scene, ...]


def images_of(result: Json | None) -> tuple[SceneImage, ...]:
    """The images of a kept answer, in Topview's order, numbered from 1."""
    images = (result or {}).get("replaceProductResult") or ()
    return tuple(
        SceneImage(number, str(image["imageId"]), image.get("faceExistence"))
        for number, image in enumerate(images, 1)
    )


def needs_face(mode: str) -> bool:
    """Tells whether a video's mode takes no image without a face."""
    return mode != FACELESS_MODE


class Scenes(Stage):
    """Topview's `image_replace` (v2): about a credit an image, one to two minutes.

    Manual mode puts the product at `location` and gives two images; auto mode follows the prompt.
    """

    key = "replacedImages"
    upstream = "bgRemovedImage"
    source = "productScene"
    is_reviewed = True
    shares_source = True
    kind = "image_replace"
    endpoint = "image_replace"
    booked_as = frozenset({"pa2_replace_product_image"})
    deadline_seconds = 1200.0
    typical_seconds = 90.0
    main_file = "scene_1.png"
    preview_files = ("scene_1.png",)
    shows_all_files = True
    label = "Scene"
    kinds = frozenset({"file", "topview", "image"})
    description = (
        "The product in a scene with a person: one or more images.\n\n"
        "`faceExistence` says whether Topview found a face. "
        "Made by Topview's `image_replace` (v2) from the cut-out; one to two minutes, about one "
        "credit for each image.\n\n"
        "**If it fails**: `4004` means that an id in the row is unknown; `6001` that Topview's "
        "content policy refuses the template or prompt. **If its check fails**: change the "
        "template, `location` or prompt. Whether the product looks right, only a person can see."
    )
    source_label = "scene"
    source_kind = "config"
    source_description = (
        "Where the product is put: template or avatar, face, and place or prompt.\n\n"
        "The place is `location` (two scenes), the prompt `image_edit_prompt` (one). Changing it "
        "makes the scene, and then the video, stale."
    )
    check_description = (
        "Every scene is large enough and shows something, and Topview found a face in one of them."
    )

    def inputs(self, product: Product, hash_of: HashOf) -> Inputs:
        template = product.template_image, product.template_image_file_id
        face = product.user_face_image, product.user_face_image_file_id
        return present(
            {
                "template": file_input(*template, hash_of),
                "avatar": product.avatar_id,
                "face": file_input(*face, hash_of),
                "location": product.location,
                "prompt": product.image_edit_prompt,
            }
        )

    def likely_mode(self, product: Product) -> Literal["auto", "manual"]:
        return "auto" if product.location is None else "manual"

    async def prove(
        self, product: Product, lists: ProofLists, recorded: float | None = None
    ) -> None:
        await lists.check("avatar", product.avatar_id)

    def files(self, item: WorkItem) -> tuple[FileNeeded, ...]:
        product, upstream = item.product, self.required(item.upstream)
        stored = upstream.artifact(CUT_OUT_FILE)
        cut_out = FileNeeded(
            "cutout",
            "image",
            given=upstream.result.get("bgRemovedImageFileId"),
            sha256=None if stored is None else stored.sha256,
            artifact=stored,  # a new id is made of it when Topview's own has died
        )
        return (
            cut_out,
            *file_needed(item, "template", product.template_image, product.template_image_file_id),
            *file_needed(item, "face", product.user_face_image, product.user_face_image_file_id),
        )

    def request(self, item: WorkItem, file_ids: Mapping[str, str]) -> models.ImageReplaceRequest:
        from topview_pipeline.topview import models

        product = item.product
        return models.ImageReplaceRequest(
            generate_image_mode=self.likely_mode(product),
            product_image_without_background_file_id=file_ids["cutout"],
            avatar_id=product.avatar_id,
            template_image_file_id=file_ids.get("template"),
            user_face_image_file_id=file_ids.get("face"),
            image_edit_prompt=product.image_edit_prompt,
            location=product.location,
        )

    def downloads(self, answer: models.ImageReplaceResult) -> tuple[Download, ...] | None:
        return all_images(
            {f"scene_{number}.png": image.url for number, image in enumerate(answer.images, 1)}
        )

    def check(self, task: Task, files: Mapping[str, Media]) -> Verdict:
        from topview_pipeline.media.quality import check_scene

        images = images_of(task.result)
        return check_scene([(files[image.file_name], image.has_face) for image in images])

    def result(self, product_id: str, task: Task, store: Store) -> ReplacedImages:
        files = stored_files(task, store)
        return ReplacedImages(
            *common_fields(product_id, task),
            scenes=tuple(
                Scene(image.number, image.image_id, image.has_face, files[image.file_name])
                for image in images_of(task.result)
            ),
        )

    def images(self, result: Json | None) -> tuple[SceneImage, ...]:
        return images_of(result)

    def unfit(self, product: Product, quality: Json | None, when_no_face: WhenNoFace) -> str | None:
        if when_no_face == "fail" and needs_face(product.mode) and is_faceless(quality):
            return f"no face was found, and mode {product.mode} needs one"
        return None

    def traits(self, product: Product) -> tuple[Any, ...]:
        return (*super().traits(product), needs_face(product.mode))

    def facts(self, result: Json) -> dict[str, str]:
        words = {True: "yes", False: "no", None: "not said"}
        images = images_of(result)
        return {
            "image_ids": ", ".join(image.image_id for image in images),
            "faces": ", ".join(words[image.has_face] for image in images),
        }

    def upstream_files(self, request: Json, upstream_result: Json) -> tuple[str, ...]:
        return (CUT_OUT_FILE,)
