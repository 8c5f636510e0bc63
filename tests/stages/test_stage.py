"""Rules of every stage, the toy among them: what it declares, keeps, and needs."""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.stages.fakes import PLAIN, SIGNED, item_of, row, scene_result
from tests.stages.toy import FOUR_STAGES
from topview_pipeline.errors import PipelineError
from topview_pipeline.ledger import Task
from topview_pipeline.stages import (
    CUT_OUT,
    SCENE,
    STAGES,
    VIDEO,
    BgRemovedImage,
    FinishedVideo,
    PreconditionError,
    ReplacedImages,
    Stage,
    stages_named,
)
from topview_pipeline.store import Store
from topview_pipeline.topview.models import (
    Image2VideoResult,
    ImageReplaceResult,
    RemoveBackgroundResult,
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def keep(store: Store, name: str) -> dict[str, Any]:
    folder = store.folder(account="a", product_id="mug", stage="s", fingerprint="f" * 12)
    data = f"bytes of {name}".encode()
    with store.incoming() as path:
        path.write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        return store.keep(path, folder, name, sha256=digest, media_type="image/png").to_json()


def stored(store: Store, *names: str, **values: Any) -> Task:
    return row(artifacts=[keep(store, name) for name in names], **values)


@pytest.mark.parametrize("stage", FOUR_STAGES, ids=lambda stage: stage.key)
def test_a_stage_declares_all_that_others_show_of_it(stage: Stage) -> None:
    declared = inspect.get_annotations(Stage)
    assert [name for name in declared if getattr(stage, name, "") == ""] == []
    assert stage.main_file in stage.preview_files
    assert stage.free or stage.booked_as


def test_a_stage_comes_after_its_upstream() -> None:
    keys = [stage.key for stage in FOUR_STAGES]
    assert all(
        stage.upstream is None or stage.upstream in keys[: keys.index(stage.key)]
        for stage in FOUR_STAGES
    )
    assert len({stage.source for stage in FOUR_STAGES}) == len(FOUR_STAGES)


def test_stages_are_named_by_their_asset_keys() -> None:
    assert stages_named([]) == STAGES
    assert stages_named(["finishedVideo", "bgRemovedImage"]) == (CUT_OUT, VIDEO)
    with pytest.raises(PipelineError, match=r"no stage 'video'.*replacedImages"):
        stages_named(["video"])


@pytest.mark.parametrize("stage", FOUR_STAGES[1:], ids=lambda stage: stage.key)
def test_without_the_stage_before_a_stage_says_what_to_materialize(stage: Stage) -> None:
    with pytest.raises(PreconditionError) as caught:
        item_of(stage, PLAIN, None)
    assert caught.value.fix == f"Materialize {stage.upstream} first."


def test_the_definitions_load_this_room_without_http_models_media_or_store() -> None:
    code = (
        "import sys, topview_pipeline.stages\n"
        "heavy = ('httpx', 'sqlalchemy', 'PIL', 'av', 'pydantic', 'topview_pipeline.store')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert done.stdout.strip() == "[]"


# What comes back.


def _cut_out(**changes: Any) -> RemoveBackgroundResult:
    values = {"taskId": "t", "bgRemovedImagePath": SIGNED, "maskImagePath": SIGNED}
    return RemoveBackgroundResult.model_validate({**values, **changes})


def _scenes(*urls: str | None) -> ImageReplaceResult:
    images = [{"imageId": f"i{number}", "url": url} for number, url in enumerate(urls)]
    return ImageReplaceResult.model_validate({"taskId": "t", "replaceProductResult": images})


def _video(**changes: Any) -> Image2VideoResult:
    return Image2VideoResult.model_validate({"taskId": "t", "finishedVideoUrl": SIGNED, **changes})


COVER = {"coverUrl": SIGNED}


@pytest.mark.parametrize(
    ("stage", "answer", "names"),
    [
        (CUT_OUT, _cut_out(), ["cutout.png", "mask.png"]),
        (SCENE, _scenes(SIGNED, SIGNED), ["scene_1.png", "scene_2.png"]),
        (VIDEO, _video(aiAvatar=COVER), ["video.mp4", "cover.jpg"]),
        (VIDEO, _video(), ["video.mp4"]),
        # A success without its URLs is asked again.
        (CUT_OUT, _cut_out(maskImagePath=None), None),
        (CUT_OUT, _cut_out(bgRemovedImagePath=""), None),
        (SCENE, _scenes(), None),
        (SCENE, _scenes(SIGNED, None), None),
        (VIDEO, _video(finishedVideoUrl=None, aiAvatar=COVER), None),
    ],
)
def test_the_files_of_a_finished_task(stage: Stage, answer: Any, names: list[str] | None) -> None:
    files = stage.downloads(answer)
    assert (None if files is None else [file.name for file in files]) == names
    assert "secret" not in repr(files)


@pytest.mark.parametrize(
    ("stage", "answer"),
    [
        (CUT_OUT, _cut_out(errorMsg=f"see {SIGNED} for more", bgRemovedImageWidth=528)),
        (SCENE, _scenes(SIGNED)),
        (VIDEO, _video(aiAvatar=COVER)),
    ],
)
def test_nothing_signed_is_kept_and_everything_else_is(stage: Stage, answer: Any) -> None:
    kept = stage.kept(answer)
    assert "secret" not in json.dumps(kept)
    assert "https://aigc.s3.amazonaws.com/folder/file" in json.dumps(kept)
    assert type(answer).model_validate(kept).task_id == "t"
    assert kept.get("bgRemovedImageWidth") in (None, 528)


# Checks: which file, mode and speech are measured. What counts as good: tests/media.


def _picture(alpha: int = 128) -> bytes:
    from PIL import Image

    content = io.BytesIO()
    image = Image.linear_gradient("L").resize((300, 300)).convert("RGBA")
    image.putalpha(Image.new("L", image.size, alpha))
    image.save(content, "PNG")
    return content.getvalue()


def test_an_opaque_cut_out_is_compared_with_its_mask() -> None:
    photo = _picture(alpha=255)
    assert CUT_OUT.check(row(), {"cutout.png": photo, "mask.png": photo}).is_refused
    assert not CUT_OUT.check(row(), {"cutout.png": photo}).is_refused


@pytest.mark.parametrize(
    ("seconds", "script_mode", "speech"),
    [(None, "text", None), (7.0, "text", (7.0, False)), (7.0, "audio", (7.0, True))],
)
def test_a_video_is_checked_by_its_mode_and_speech(
    monkeypatch: pytest.MonkeyPatch, seconds: float | None, script_mode: str, speech: Any
) -> None:
    from topview_pipeline.media import quality

    asked: list[Any] = []
    monkeypatch.setattr(quality, "check_video", lambda *a, **k: asked.append((a, k)))
    made = row(mode="pro", seconds=seconds, request={"scriptMode": script_mode})
    VIDEO.check(made, {"video.mp4": b"bytes"})
    expected = None if speech is None else quality.Speech(*speech)
    assert asked == [((b"bytes",), {"mode": "pro", "speech": expected})]


# What users' own assets get.


def test_a_shared_cut_out_is_the_value_of_the_product_that_asks(store: Store) -> None:
    value = CUT_OUT.result("gift", stored(store, "cutout.png", "mask.png"), store)
    assert isinstance(value, BgRemovedImage)
    assert (value.product_id, value.topview_task_id, value.credits) == ("gift", "t1", 1.5)
    assert value.cutout.read() == b"bytes of cutout.png"
    with value.mask.local_copy() as path:
        assert path.read_bytes() == b"bytes of mask.png"
    assert value.cutout.uri.endswith("cutout.png")


def test_scenes_are_topviews_in_its_order(store: Store) -> None:
    result = scene_result(True, None)
    value = SCENE.result("mug", stored(store, "scene_1.png", "scene_2.png", result=result), store)
    assert isinstance(value, ReplacedImages)
    found = [(scene.number, scene.image_id, scene.has_face) for scene in value.scenes]
    assert found == [(1, "image-1", True), (2, "image-2", None)]
    assert value.scenes[1].image.read() == b"bytes of scene_2.png"
    sizes = {"bgRemovedImageWidth": 528, "bgRemovedImageHeight": 720, "maskImageWidth": None}
    assert CUT_OUT.facts(sizes) == {"cutout_size": "528 x 720"}
    avatar = {"aiavatarId": "a1", "aiavatarName": "Avatar_1", "previewVideoUrl": "", "type": 3}
    assert VIDEO.facts({"aiAvatar": avatar}) == {"avatar_id": "a1", "avatar_name": "Avatar_1"}
    assert VIDEO.facts({"aiAvatar": None}) == {}
    assert SCENE.facts(result) == {"image_ids": "image-1, image-2", "faces": "yes, not said"}


@pytest.mark.parametrize("names", [["video.mp4"], ["video.mp4", "cover.jpg"]])
def test_a_video_may_have_no_cover(store: Store, names: list[str]) -> None:
    value = VIDEO.result("mug", stored(store, *names, mode="pro"), store)
    assert isinstance(value, FinishedVideo)
    assert value.video.read() == b"bytes of video.mp4"
    assert (value.cover is not None) == ("cover.jpg" in names)
    assert value.mode == "pro"


def test_a_video_is_whole_without_its_cover() -> None:
    files = VIDEO.downloads(_video(aiAvatar=COVER)) or ()
    assert [file.required for file in files] == [True, False]
