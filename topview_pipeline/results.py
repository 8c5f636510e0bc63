"""What was made, as typed values for a user's own assets. Knows nothing of Dagster.

`defs/io.py` hands these to assets that take `finishedVideo` (or the others) as an input.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from topview_pipeline.artifacts import Artifact, ArtifactStore
from topview_pipeline.ledger import Task
from topview_pipeline.stages import BG_REMOVED_IMAGE, FINISHED_VIDEO


@dataclass(frozen=True)
class StoredFile:
    """A file in the artifact store."""

    artifact: Artifact
    store: ArtifactStore

    @property
    def uri(self) -> str:
        """Its address, without credentials."""
        return self.store.uri(self.artifact)

    @property
    def path(self) -> Path | None:
        """Its path on this machine; None in a remote store."""
        return self.store.local_path(self.artifact)

    @property
    def sha256(self) -> str:
        """Of its bytes, in hex."""
        return self.artifact.sha256

    def open(self) -> BinaryIO:
        """The file, opened for reading."""
        return self.store.open(self.artifact)

    def read(self) -> bytes:
        """All of its bytes."""
        return self.store.read_bytes(self.artifact)


@dataclass(frozen=True)
class _Result:
    product_id: str
    topview_task_id: str
    credits: float | None
    fingerprint: str


@dataclass(frozen=True)
class BgRemovedImage(_Result):
    """The product without its background. `mask` has the photo's size."""

    cutout: StoredFile
    mask: StoredFile


@dataclass(frozen=True)
class Scene:
    """One image of `replacedImages`. `has_face` is None when Topview does not say."""

    number: int
    image_id: str
    has_face: bool | None
    image: StoredFile


@dataclass(frozen=True)
class ReplacedImages(_Result):
    """The product in scenes with a person, in Topview's order."""

    scenes: tuple[Scene, ...]


@dataclass(frozen=True)
class FinishedVideo(_Result):
    """The talking video. `cover` is None when Topview gave none."""

    video: StoredFile
    cover: StoredFile | None
    mode: str | None


StageResult = BgRemovedImage | ReplacedImages | FinishedVideo


def result_of(product_id: str, task: Task, store: ArtifactStore) -> StageResult:
    """The typed value of a stored row, for a product (which may share it with another).

    Raises:
        ValueError: the row lacks a file that its stage always has.
    """
    files = {
        artifact.name: StoredFile(artifact, store)
        for artifact in map(Artifact.from_json, task.artifacts or ())
    }

    def file(name: str) -> StoredFile:
        if name not in files:
            raise ValueError(f"the stored {task.stage} of {product_id} has no {name}")
        return files[name]

    common = (product_id, task.topview_task_id or "", task.cost_credits, task.fingerprint)
    if task.stage == BG_REMOVED_IMAGE.key:
        return BgRemovedImage(*common, cutout=file("cutout.png"), mask=file("mask.png"))
    if task.stage == FINISHED_VIDEO.key:
        return FinishedVideo(
            *common, video=file("video.mp4"), cover=files.get("cover.jpg"), mode=task.mode
        )
    images = (task.result or {}).get("replaceProductResult") or []
    return ReplacedImages(
        *common,
        scenes=tuple(
            Scene(number, str(image["imageId"]), image.get("faceExistence"), found)
            for number, image in enumerate(images, 1)
            if (found := files.get(f"scene_{number}.png")) is not None
        ),
    )
