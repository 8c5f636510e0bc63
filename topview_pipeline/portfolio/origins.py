"""What a video was made from: the rows of the earlier stages, which newer ones may have followed.

A row names what it was made from by data version. Several rows have the same one when Topview
forgot a scene and it was made anew; then the id of the image that was sent tells them apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

from topview_pipeline.ledger import Ledger, Task
from topview_pipeline.producer import data_version
from topview_pipeline.stages import BG_REMOVED_IMAGE, FINISHED_VIDEO, REPLACED_IMAGES
from topview_pipeline.topview.models import Image2VideoRequest, ImageReplaceResult

_Version = tuple[str, str]
"""(stage, data version)."""


class Origins:
    """Looks for the rows behind rows.

    Args:
        newest: what products stored last, which is mostly what their videos were made from.
    """

    def __init__(self, ledger: Ledger, newest: Iterable[Task]) -> None:
        self._ledger = ledger
        self._newest = {_version_of(row): row for row in newest}

    def of_video(self, video: Task) -> dict[str, Task]:
        """The rows that a video was made from, itself among them, by stage in their order.

        One that the ledger has no more is missing, and with it what is known by it alone.
        """
        scene = self._before(video, REPLACED_IMAGES.key, image_id=_image_sent(video))
        cutout = None if scene is None else self._before(scene, BG_REMOVED_IMAGE.key)
        found = {
            BG_REMOVED_IMAGE.key: cutout,
            REPLACED_IMAGES.key: scene,
            FINISHED_VIDEO.key: video,
        }
        return {stage: row for stage, row in found.items() if row is not None}

    def _before(self, row: Task, stage: str, *, image_id: str | None = None) -> Task | None:
        version = (row.inputs or {}).get(stage)
        if version is None:
            return None
        newest = self._newest.get((stage, version))
        if newest is not None and _has(newest, image_id):
            return newest
        kept = self._kept.get((stage, version), ())
        return next((one for one in reversed(kept) if _has(one, image_id)), None)

    @cached_property
    def _kept(self) -> Mapping[_Version, list[Task]]:
        """All that is in the store, the oldest first; read only when a video has older origins."""
        found: dict[_Version, list[Task]] = {}
        for stage in (BG_REMOVED_IMAGE, REPLACED_IMAGES):
            for row in self._ledger.standing.kept(stage.key):
                found.setdefault(_version_of(row), []).append(row)
        return found


def number_sent(video: Task, scene: Task) -> int | None:
    """The number, from 1, of the image that a video was made from among those of its scene."""
    sent = _image_sent(video)
    ids = (image.image_id for image in ImageReplaceResult.model_validate(scene.result or {}).images)
    return next(
        (number for number, one in enumerate(ids, 1) if sent is not None and one == sent), None
    )


def _version_of(row: Task) -> _Version:
    return row.stage, data_version(row.fingerprint)


def _image_sent(video: Task) -> str | None:
    if not video.request:
        return None
    return Image2VideoRequest.model_validate(video.request).replace_product_task_image_id


def _has(scene: Task, image_id: str | None) -> bool:
    """Whether a scene gave this image; without one any will do."""
    if image_id is None:
        return True
    images = ImageReplaceResult.model_validate(scene.result or {}).images
    return any(image.image_id == image_id for image in images)
