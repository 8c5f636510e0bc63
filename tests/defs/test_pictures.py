"""The picture of a materialization: whatever the file is, it fails no product."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from topview_pipeline.artifacts import Artifact, StoreError
from topview_pipeline.defs.pictures import Picture, preview_of


class Store:
    """Files by name; remote, so nothing has a path."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def local_path(self, _: Any) -> Path | None:
        return None

    def read_bytes(self, artifact: Any) -> bytes:
        if artifact.name not in self._files:
            raise StoreError("is gone", artifact.name, "Fetch it again.")
        return self._files[artifact.name]


def seen(named: str, files: Mapping[str, bytes]) -> Picture:
    artifact = Artifact(named, f"x/{named}", "0" * 64, 1, "application/octet-stream")
    task: Any = SimpleNamespace(artifacts=[artifact.to_json()])
    store: Any = Store(files)
    return preview_of(task, store)


def test_an_image_is_drawn_and_measured() -> None:
    file = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(file, "PNG")
    picture = seen("cutout.png", {"cutout.png": file.getvalue()})
    assert (picture.width, picture.height, picture.seconds) == (30, 20, None)
    assert picture.markdown is not None


@pytest.mark.parametrize("name", ["cutout.png", "scene_1.png", "video.mp4"])
@pytest.mark.parametrize("data", [None, b"", b"<html>"], ids=["gone", "empty", "a web page"])
def test_a_file_that_cannot_be_read_is_no_picture_and_no_error(
    name: str, data: bytes | None
) -> None:
    assert seen(name, {} if data is None else {name: data}) == Picture()


def test_what_nobody_knows_how_to_show_is_no_picture() -> None:
    assert seen("notes.txt", {"notes.txt": b"x"}) == Picture()
