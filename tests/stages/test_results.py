"""What comes back: the files to fetch, and what may be kept of an answer."""

import json
from typing import Any

from topview_pipeline.stages.results import downloads_of, kept
from topview_pipeline.topview.models import (
    Image2VideoResult,
    ImageReplaceResult,
    RemoveBackgroundResult,
)

SIGNED = "https://aigc.s3.amazonaws.com/folder/file?X-Amz-Signature=secret&X-Amz-Expires=86400"


def _cutout(**changes: Any) -> RemoveBackgroundResult:
    values = {"taskId": "t", "bgRemovedImagePath": SIGNED, "maskImagePath": SIGNED}
    return RemoveBackgroundResult.model_validate({**values, **changes})


def _scenes(*urls: str | None) -> ImageReplaceResult:
    images = [{"imageId": f"i{n}", "url": url} for n, url in enumerate(urls)]
    return ImageReplaceResult.model_validate({"taskId": "t", "replaceProductResult": images})


def _video(**changes: Any) -> Image2VideoResult:
    return Image2VideoResult.model_validate({"taskId": "t", "finishedVideoUrl": SIGNED, **changes})


def _names(result: Any) -> list[str] | None:
    files = downloads_of(result)
    return None if files is None else [file.name for file in files]


def test_the_files_of_each_stage() -> None:
    assert _names(_cutout()) == ["cutout.png", "mask.png"]
    assert _names(_scenes(SIGNED, SIGNED)) == ["scene_1.png", "scene_2.png"]
    assert _names(_video(aiAvatar={"coverUrl": SIGNED})) == ["video.mp4", "cover.jpg"]


def test_a_success_without_its_urls_is_not_whole_yet() -> None:
    assert _names(_cutout(maskImagePath=None)) is None
    assert _names(_cutout(bgRemovedImagePath="")) is None
    assert _names(_scenes()) is None
    assert _names(_scenes(SIGNED, None)) is None
    assert _names(_video(finishedVideoUrl=None)) is None


def test_a_video_is_whole_without_its_cover() -> None:
    assert _names(_video()) == ["video.mp4"]
    files = downloads_of(_video(aiAvatar={"coverUrl": SIGNED}))
    assert files is not None
    assert [file.required for file in files] == [True, False]


def test_nothing_signed_is_kept_and_everything_else_is() -> None:
    answer = _cutout(
        bgRemovedImageFileId="file-1", errorMsg=f"see {SIGNED} for more", bgRemovedImageWidth=528
    )
    values = kept(answer)
    assert "secret" not in json.dumps(values)
    assert values["bgRemovedImageFileId"] == "file-1"
    assert values["bgRemovedImageWidth"] == 528
    assert values["bgRemovedImagePath"].startswith("https://aigc.s3.amazonaws.com/folder/file")
    assert RemoveBackgroundResult.model_validate(values).task_id == "t"


def test_nested_urls_are_unsigned_too() -> None:
    for answer in (_scenes(SIGNED), _video(aiAvatar={"coverUrl": SIGNED})):
        assert "secret" not in json.dumps(kept(answer))
