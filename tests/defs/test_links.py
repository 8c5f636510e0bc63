"""What opens a result from its materialization: an address that a browser follows, or none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from tests.defs.shop import Shop
from topview_pipeline.artifacts import Artifact
from topview_pipeline.defs.metadata import made_metadata


def links(root: str, media_url: str | None = None) -> dict[str, str]:
    """The links of a task whose cut-out lies in a store at `root`."""
    cutout = Artifact("cutout.png", "mug/a b/cutout.png", "0" * 64, 1, "image/png")
    task: Any = SimpleNamespace(
        artifacts=[cutout.to_json()],
        cost_credits=1.0,
        mode=None,
        queued_at=1.0,
        reserved_at=1.0,
        pending_at=None,
        succeeded_at=None,
        attempt=1,
        topview_task_id="t",
        result={},
        fingerprint="f",
    )
    store: Any = SimpleNamespace(uri=lambda artifact: f"{root}/{artifact.path}")
    found = made_metadata(
        task, store, reused=False, seen_late=False, preview=None, media_url=media_url
    )
    return {
        key: str(value.value)
        for key, value in found.items()
        if key.startswith("topview/open_") and isinstance(value, dg.UrlMetadataValue)
    }


@pytest.mark.parametrize("root", ["s3://bucket", "file:///store", "memory://store"])
def test_what_no_browser_opens_is_no_link(root: str) -> None:
    assert links(root) == {}


def test_a_store_on_the_web_has_links_without_any_setting() -> None:
    assert links("https://store.example") == {
        "topview/open_cutout": "https://store.example/mug/a b/cutout.png"
    }


@pytest.mark.parametrize("root", ["s3://bucket", "file:///store", "https://store.example"])
def test_a_server_of_ones_own_goes_over_the_store_s_address(root: str) -> None:
    assert links(root, "https://cdn.example/v/") == {
        "topview/open_cutout": "https://cdn.example/v/mug/a%20b/cutout.png"
    }


def test_a_run_makes_its_links_by_the_setting(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.add("mug")
    shop.register()
    for setting, expected in (("", set()), ("https://cdn.example", {"https://cdn.example"})):
        monkeypatch.setenv("TOPVIEW_MEDIA_URL", setting)
        told = shop.materialize("mug").asset_materializations_for_node("product_videos")
        found = {
            str(value.value)[:19]
            for one in told
            for key, value in one.metadata.items()
            if key.startswith("topview/open_")
        }
        assert found == expected
