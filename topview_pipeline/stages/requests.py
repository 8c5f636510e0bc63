"""What goes to Topview for a product: the files a request needs, and the request itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from topview_pipeline.artifacts import Artifact
from topview_pipeline.catalogue import Product
from topview_pipeline.stages import PreconditionError, Stage
from topview_pipeline.stages.scenes import ChosenImage
from topview_pipeline.stages.shapes import Shape
from topview_pipeline.topview.models import (
    Image2VideoRequest,
    ImageReplaceRequest,
    RemoveBackgroundRequest,
)

Request = RemoveBackgroundRequest | ImageReplaceRequest | Image2VideoRequest


@dataclass(frozen=True)
class Upstream:
    """The stored result that a stage is made from."""

    fingerprint: str
    result: Mapping[str, Any]
    artifacts: tuple[Artifact, ...]

    def artifact(self, name: str) -> Artifact | None:
        """The stored file of this name."""
        return next((artifact for artifact in self.artifacts if artifact.name == name), None)


@dataclass(frozen=True)
class FileNeeded:
    """A file id that a request carries, and where the file is when the id must be made.

    Attributes:
        role: which field it is for.
        kind: "image" or "audio".
        given: an id to use as it is: the catalogue's, or Topview's own for an upstream result.
        sha256: of the bytes of ours behind it, when there are any.
        source: path or URL in the catalogue.
        artifact: the stored upstream file.
    """

    role: str
    kind: Literal["image", "audio"]
    given: str | None = None
    sha256: str | None = None
    source: str | None = None
    artifact: Artifact | None = None

    @property
    def can_be_uploaded(self) -> bool:
        """Whether there are bytes of ours to make a new id from."""
        return self.sha256 is not None


def files_needed(
    stage: Stage, product: Product, shape: Shape, upstream: Upstream | None
) -> tuple[FileNeeded, ...]:
    """The files that a request of this stage carries ids of, in the order to upload them."""
    return _FILES[stage.key](product, shape, upstream)


def build_request(
    stage: Stage,
    product: Product,
    file_ids: Mapping[str, str],
    chosen: ChosenImage | None,
) -> Request:
    """The request of a stage; `file_ids` by the roles of `files_needed`."""
    return _REQUESTS[stage.key](product, file_ids, chosen)


def _of_catalogue(
    role: str,
    kind: Literal["image", "audio"],
    source: str | None,
    file_id: str | None,
    shape: Shape,
) -> list[FileNeeded]:
    if source is not None:
        return [FileNeeded(role, kind, sha256=shape.values[role]["sha256"], source=source)]
    return [] if file_id is None else [FileNeeded(role, kind, given=file_id)]


def _photo_files(
    product: Product, shape: Shape, _upstream: Upstream | None
) -> tuple[FileNeeded, ...]:
    return tuple(
        _of_catalogue("photo", "image", product.image, product.product_image_file_id, shape)
    )


def _scene_files(
    product: Product, shape: Shape, upstream: Upstream | None
) -> tuple[FileNeeded, ...]:
    if upstream is None:
        raise PreconditionError("there is no cut-out", "materialize bgRemovedImage first")
    cutout = upstream.artifact("cutout.png")
    return (
        FileNeeded(
            "cutout",
            "image",
            given=upstream.result.get("bgRemovedImageFileId"),
            sha256=None if cutout is None else cutout.sha256,
            artifact=cutout,
        ),
        *_of_catalogue(
            "template", "image", product.template_image, product.template_image_file_id, shape
        ),
        *_of_catalogue(
            "face", "image", product.user_face_image, product.user_face_image_file_id, shape
        ),
    )


def _script_files(
    product: Product, shape: Shape, _upstream: Upstream | None
) -> tuple[FileNeeded, ...]:
    return tuple(_of_catalogue("audio", "audio", product.audio, product.audio_file_id, shape))


def _remove_background(
    _product: Product, file_ids: Mapping[str, str], _chosen: ChosenImage | None
) -> RemoveBackgroundRequest:
    return RemoveBackgroundRequest(product_image_file_id=file_ids["photo"])


def _image_replace(
    product: Product, file_ids: Mapping[str, str], _chosen: ChosenImage | None
) -> ImageReplaceRequest:
    manual = product.location is not None
    return ImageReplaceRequest(
        generate_image_mode="manual" if manual else "auto",
        product_image_without_background_file_id=file_ids["cutout"],
        avatar_id=product.avatar_id,
        template_image_file_id=file_ids.get("template"),
        user_face_image_file_id=file_ids.get("face"),
        image_edit_prompt=None if manual else product.image_edit_prompt,
        location=[list(point) for point in product.location] if product.location else None,
    )


def _image2video(
    product: Product, file_ids: Mapping[str, str], chosen: ChosenImage | None
) -> Image2VideoRequest:
    if chosen is None:
        raise PreconditionError("there is no scene", "materialize replacedImages first")
    return Image2VideoRequest(
        replace_product_task_image_id=chosen.image_id,
        mode=chosen.mode,
        script_mode="text" if product.script is not None else "audio",
        tts_text=product.script,
        audio_file_id=file_ids.get("audio"),
        voice_id=product.voice_id,
        caption_id=product.caption_id,
    )


_FILES: Mapping[str, Callable[[Product, Shape, Upstream | None], tuple[FileNeeded, ...]]] = {
    "bgRemovedImage": _photo_files,
    "replacedImages": _scene_files,
    "finishedVideo": _script_files,
}
_REQUESTS: Mapping[str, Callable[[Product, Mapping[str, str], ChosenImage | None], Request]] = {
    "bgRemovedImage": _remove_background,
    "replacedImages": _image_replace,
    "finishedVideo": _image2video,
}
