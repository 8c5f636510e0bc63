"""Metadata: tables that are cut honestly, links that open, times that are known, previews."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from PIL import Image

from tests.defs.shop import ASSETS, Shop, materializations
from topview_pipeline.defs.metadata import MOST_ROWS, Preview, made_metadata, preview_of, text_table
from topview_pipeline.media import Outcome, Verdict
from topview_pipeline.stages import CUT_OUT, SCENE, VIDEO, Stage
from topview_pipeline.store import Artifact, StoreError


@pytest.mark.parametrize(
    ("rows", "last"), [(0, []), (MOST_ROWS, []), (MOST_ROWS + 1, ["... and 1 more"])]
)
def test_a_table_is_shown_whole_or_says_how_much_more_there_is(rows: int, last: list[str]) -> None:
    table = text_table(("product", "why"), ((f"p{number}", "new") for number in range(rows)))
    whole = [f"p{number}" for number in range(min(rows, MOST_ROWS))]
    assert [record.data["product"] for record in table.records] == [*whole, *last]
    assert [column.name for column in table.schema.columns] == ["product", "why"]
    with pytest.raises(ValueError, match="zip"):
        text_table(("product", "why"), [("p",)])


def of_task(root: str = "file:///store", **options: Any) -> dict[str, Any]:
    """Metadata of a task whose cut-out lies in a store; `options` are of `made_metadata`."""
    cutout = Artifact("cutout.png", "mug/a b/cutout.png", "0" * 64, 1, "image/png")
    task: Any = SimpleNamespace(
        artifacts=[cutout.to_json()],
        cost_credits=1.5,
        mode=None,
        queued_at=10.0,
        reserved_at=12.0,
        pending_at=13.0,
        succeeded_at=20.0,
        stored_at=21.0,
        attempt=1,
        topview_task_id="t",
        result={},
        fingerprint="f",
    )

    def address(artifact: Artifact, base_url: str | None = None) -> str:
        return f"{base_url or root}/{artifact.path}"

    store: Any = SimpleNamespace(address=address, link=address)
    options = {"reused": False, "duration_is_unknown": False, "preview": None, **options}
    found = made_metadata(CUT_OUT, task, store, **options)
    return {key.removeprefix("topview/"): value for key, value in found.items()}


@pytest.mark.parametrize(
    ("root", "media_url", "link"),
    [
        ("s3://bucket", None, None),
        ("file:///store", None, None),
        ("https://store.example", None, "https://store.example/mug/a b/cutout.png"),
        ("s3://bucket", "https://cdn.example", "https://cdn.example/mug/a b/cutout.png"),
    ],
)
def test_only_what_a_browser_opens_is_a_link(
    root: str, media_url: str | None, link: str | None
) -> None:
    found = of_task(root, media_url=media_url).get("open")
    assert (found and found.value) == (link and f"[cutout](<{link}>)")


def test_a_result_that_is_reported_again_cost_nothing() -> None:
    first, again = of_task(), of_task(reused=True)
    assert (first["credits"], first["caption"]) == (1.5, "1.5 credits · 7.0 s at Topview")
    assert (again["credits"], again["caption"]) == (0.0, "made before, nothing paid")


def test_times_and_length_are_those_that_are_known() -> None:
    """A task that ended while nobody looked would plot the night."""
    watched, late = of_task(), of_task(duration_is_unknown=True)
    assert (watched["seconds_running"], late.get("seconds_running")) == (7.0, None)
    for found, times in ((watched, ["2", "7", "1"]), (late, ["2"])):
        rows = [record.data for record in found["technical"].records]
        assert [row["value"] for row in rows if row["what"].startswith("seconds")] == times
    measured = Verdict(Outcome.PASSED, "", numbers={"video_seconds": 4.56789})
    preview = Preview({}, 3, 4, 5.0)
    assert of_task(verdict=measured, preview=preview)["video_seconds"] == 4.568
    assert of_task(preview=preview)["video_seconds"] == 5.0


# Previews: a file that cannot be shown fails no product.


def preview(folder: Path, stage: Stage, name: str, data: bytes | None) -> Preview:
    """The preview of a task with one file of this name and content; None: it is gone."""
    path = folder / name
    path.write_bytes(data or b"")

    def read(_: Artifact) -> bytes:
        if data is None:
            raise StoreError("is gone", name, "Fetch it again.")
        return data

    artifact = Artifact(name, f"x/{name}", "0" * 64, 1, "application/octet-stream")
    task: Any = SimpleNamespace(artifacts=[artifact.to_json()])
    store: Any = SimpleNamespace(read_bytes=read, local_copy=lambda _: nullcontext(path))
    return preview_of(stage, task, store)


def test_an_image_is_drawn_and_measured(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(file, "PNG")
    shown = preview(tmp_path, CUT_OUT, "cutout.png", file.getvalue())
    assert (shown.width, shown.height, shown.seconds) == (30, 20, None)
    assert shown.pictures["preview"].startswith("![preview](data:image/webp;base64,")
    assert len(shown.pictures["preview"]) < 1000, "longer ones are not drawn inline"


@pytest.mark.parametrize(
    ("stage", "name"),
    [(CUT_OUT, "cutout.png"), (SCENE, "scene_1.png"), (VIDEO, "video.mp4"), (VIDEO, "notes.txt")],
)
@pytest.mark.parametrize("data", [None, b"", b"<html>"], ids=["gone", "empty", "a web page"])
def test_what_cannot_be_shown_is_no_picture_and_no_error(
    tmp_path: Path, stage: Stage, name: str, data: bytes | None
) -> None:
    assert preview(tmp_path, stage, name, data) == Preview()


def test_materializations_have_previews_where_they_are_on(shop: Shop) -> None:
    shop.add("mug", location="[[0.4,0.5],[0.6,0.5],[0.6,0.7],[0.4,0.7]]")
    without = shop.materialize("mug")
    shop.settings["TOPVIEW_PREVIEWS"] = "true"
    shown = shop.materialize("mug")

    pictures = {
        "bgRemovedImage": ["preview"],
        "replacedImages": ["scene_1", "scene_2"],
        "finishedVideo": ["preview", "scene_1_in_the_video", "scene_2"],
    }
    for asset in ASSETS:
        (before,), (after,) = materializations(without, asset), materializations(shown, asset)
        assert _pictures(before) == []
        assert _pictures(after) == pictures[asset]
        assert len(after) <= 10, "a person looks for the picture, the price and the link"
        assert " × " in str(after["topview/caption"].value)


def _pictures(metadata: Mapping[str, dg.MetadataValue[Any]]) -> list[str]:
    return [
        name.removeprefix("topview/")
        for name, value in metadata.items()
        if isinstance(value, dg.MarkdownMetadataValue) and str(value.value).startswith("![")
    ]
