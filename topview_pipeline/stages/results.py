"""What comes back: the files to download of a finished task, and what may be kept of its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from topview_pipeline.redaction import without_queries
from topview_pipeline.topview.models import (
    Image2VideoResult,
    ImageReplaceResult,
    RemoveBackgroundResult,
)

TaskResult = RemoveBackgroundResult | ImageReplaceResult | Image2VideoResult


@dataclass(frozen=True)
class Download:
    """A file of a finished task. `url` is signed: never kept, never shown.

    Without a file that is not `required` the result is whole all the same.
    """

    name: str
    url: str = field(repr=False)
    expect: Literal["image", "video"]
    required: bool = True


def downloads_of(result: TaskResult) -> tuple[Download, ...] | None:
    """The files to fetch, or None while the answer does not have them all yet.

    A success without a URL is asked again. The video's cover is taken when
    there is one.
    """
    if isinstance(result, RemoveBackgroundResult):
        return _whole(
            ("cutout.png", result.bg_removed_image_path), ("mask.png", result.mask_image_path)
        )
    if isinstance(result, ImageReplaceResult):
        return _whole(
            *((f"scene_{number}.png", image.url) for number, image in enumerate(result.images, 1))
        )
    if not result.finished_video_url:
        return None
    video = Download("video.mp4", result.finished_video_url, "video")
    cover = result.ai_avatar.cover_url if result.ai_avatar is not None else None
    return (video, Download("cover.jpg", cover, "image", required=False)) if cover else (video,)


def _whole(*files: tuple[str, str | None]) -> tuple[Download, ...] | None:
    found = [Download(name, url, "image") for name, url in files if url]
    return tuple(found) if found and len(found) == len(files) else None


def kept(result: BaseModel) -> dict[str, Any]:
    """The answer as it goes into the ledger: without the queries of signed URLs."""
    values: dict[str, Any] = _unsigned(result.model_dump(by_alias=True, mode="json"))
    return values


def _unsigned(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _unsigned(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_unsigned(part) for part in value]
    return without_queries(value) if isinstance(value, str) else value
