"""Stored rows as typed values."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from topview_pipeline.artifacts import Artifact, ArtifactStore
from topview_pipeline.results import BgRemovedImage, FinishedVideo, ReplacedImages, result_of


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path))


def kept(store: ArtifactStore, name: str) -> dict[str, Any]:
    folder = store.folder(account="a", product_id="mug", stage="s", fingerprint="f" * 12)
    data = f"bytes of {name}".encode()
    with store.incoming() as incoming:
        incoming.write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        return store.keep(incoming, folder, name, sha256=digest, media_type="image/png").to_json()


def row(store: ArtifactStore, stage: str, names: list[str], **values: Any) -> Any:
    plain = {
        "stage": stage,
        "artifacts": [kept(store, name) for name in names],
        "result": {},
        "topview_task_id": "t1",
        "cost_credits": 1.5,
        "fingerprint": "f" * 64,
        "mode": None,
    }
    return SimpleNamespace(**{**plain, **values})


def test_a_cut_out_comes_with_its_mask(store: ArtifactStore) -> None:
    value = result_of("mug", row(store, "bgRemovedImage", ["cutout.png", "mask.png"]), store)
    assert isinstance(value, BgRemovedImage)
    assert value.cutout.read() == b"bytes of cutout.png"
    with value.mask.open() as file:
        assert file.read() == b"bytes of mask.png"
    assert value.cutout.sha256 == hashlib.sha256(b"bytes of cutout.png").hexdigest()
    assert value.cutout.path is not None
    assert value.cutout.uri.endswith("cutout.png")


def test_a_shared_row_is_the_value_of_the_product_that_asks(store: ArtifactStore) -> None:
    value = result_of("gift", row(store, "bgRemovedImage", ["cutout.png", "mask.png"]), store)
    assert (value.product_id, value.topview_task_id, value.credits) == ("gift", "t1", 1.5)


def test_scenes_keep_topviews_numbers_when_one_has_no_file(store: ArtifactStore) -> None:
    images = [
        {"imageId": 1, "faceExistence": True},
        {"imageId": "two", "faceExistence": None},
        {"imageId": "three"},
    ]
    task = row(
        store,
        "replacedImages",
        ["scene_1.png", "scene_3.png"],
        result={"replaceProductResult": images},
    )
    value = result_of("mug", task, store)
    assert isinstance(value, ReplacedImages)
    assert [(scene.number, scene.image_id, scene.has_face) for scene in value.scenes] == [
        (1, "1", True),
        (3, "three", None),
    ]


@pytest.mark.parametrize("names", [["video.mp4"], ["video.mp4", "cover.jpg"]])
def test_a_video_may_have_no_cover(store: ArtifactStore, names: list[str]) -> None:
    value = result_of("mug", row(store, "finishedVideo", names, mode="pro"), store)
    assert isinstance(value, FinishedVideo)
    assert value.video.read() == b"bytes of video.mp4"
    assert (value.cover is not None) == ("cover.jpg" in names)
    assert value.mode == "pro"


def test_a_row_without_its_file_says_which(store: ArtifactStore) -> None:
    with pytest.raises(ValueError, match=r"video\.mp4"):
        result_of("mug", row(store, "finishedVideo", []), store)


def test_artifacts_survive_the_ledger(store: ArtifactStore) -> None:
    artifact = Artifact.from_json(kept(store, "a.png"))
    assert Artifact.from_json(artifact.to_json()) == artifact
