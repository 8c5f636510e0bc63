"""Staleness: exactly what changed is stale, whenever the change came, and nothing else ever is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest

from tests.defs.shop import ASSETS, CUT_OUT, OUTLINE, Patch, Shop, made
from topview_pipeline import stages
from topview_pipeline.defs import data_versions
from topview_pipeline.defs.dagster_private import DATA_VERSION_TAG
from topview_pipeline.defs.data_versions import Versions, observation

CHANGES = {
    "image": "bgRemovedImage",
    "image_edit_prompt": "replacedImages",
    "script": "finishedVideo",
}
POINTER = "dagster/input_event_pointer/productImage"


def change(shop: Shop, product_id: str, column: str) -> None:
    value = shop.picture("new.png", (1, 2, 3)) if column == "image" else "another one"
    shop.rows[product_id][column] = value


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::dagster.PreviewWarning")
def test_a_change_makes_exactly_the_asset_stale_that_it_shapes(
    shop: Shop, monkeypatch: Patch
) -> None:
    shop.add("mug", "shoe")
    shop.catch_up()
    assert shop.stale("mug") == shop.stale("shoe") == {}
    for column, asset in CHANGES.items():
        change(shop, "mug", column)
        shop.run_job("sync_products")

        assert shop.stale("mug") == {asset: ["has a new dependency data version"]}
        assert shop.stale("shoe") == {}

        at = ASSETS.index(asset)
        assert made(shop.catch_up()) == [(later, "mug") for later in ASSETS[at:]]
        assert shop.stale("mug") == shop.stale("shoe") == {}

    # Another version of the code is a change, too.
    whole = shop.definitions()

    def raised(spec: dg.AssetSpec) -> dg.AssetSpec:
        is_video = spec.key == dg.AssetKey("finishedVideo")
        return spec.replace_attributes(code_version="2") if is_video else spec

    monkeypatch.setattr(shop, "definitions", lambda: whole.map_asset_specs(func=raised))
    assert list(shop.stale("mug")) == ["finishedVideo"]


@pytest.mark.slow
def test_assets_of_a_one_partition_run_are_fresh_too(shop: Shop) -> None:
    shop.add("mug")
    shop.materialize("mug")
    assert shop.stale("mug") == {}

    change(shop, "mug", "image")
    shop.run_job("sync_products")
    assert list(shop.stale("mug")) == ["bgRemovedImage"]
    shop.materialize("mug", assets=CUT_OUT)
    assert list(shop.stale("mug")) == ["replacedImages"], "and not yet the video"
    shop.materialize("mug", assets=ASSETS[1:])
    assert shop.stale("mug") == {}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_change_while_the_task_runs_is_seen(shop: Shop, monkeypatch: Patch, when: str) -> None:
    """The pointer is that of the version which was read, not of the newest at the end."""
    shop.add("mug")
    note = Versions.note

    def changed(self: Versions, versions: Any) -> None:
        if when == "after":
            note(self, versions)
        newer = observation(OUTLINE.key("productScript"), "mug", "newer")
        shop.instance.report_runless_asset_event(newer)
        if when == "before":
            note(self, versions)

    monkeypatch.setattr(Versions, "note", changed)
    shop.catch_up()

    assert list(shop.stale("mug")) == ["finishedVideo"]


@pytest.mark.parametrize("moment", ["_look_up", "_not_last"])
def test_a_cut_out_of_another_run_in_between_makes_the_scene_stale(
    shop: Shop, monkeypatch: Patch, moment: str
) -> None:
    """Before the events are looked up, or while they are."""
    shop.add("mug", "shoe")
    look = getattr(Versions, moment)

    def another_run_was_here(self: Versions, asset: str, versions: Mapping[str, str]) -> Any:
        is_cut_out = asset == "bgRemovedImage" and "mug" in versions
        other = dg.AssetMaterialization(asset, partition="mug", tags={DATA_VERSION_TAG: "x"})
        if is_cut_out and moment == "_look_up":
            shop.instance.report_runless_asset_event(other)
        found = look(self, asset, versions)
        if is_cut_out and moment == "_not_last":
            shop.instance.report_runless_asset_event(other)
        return found

    monkeypatch.setattr(Versions, moment, another_run_was_here)
    shop.catch_up()

    assert list(shop.stale("mug")) == ["replacedImages"]
    assert shop.stale("shoe") == {}


def test_many_products_are_fresh_without_a_search_for_each(shop: Shop, monkeypatch: Patch) -> None:
    """An event costs Dagster's storage more than the task costs us."""
    monkeypatch.setattr(data_versions, "_MOST_NAMED", 2)
    monkeypatch.setattr(Versions, "stored", lambda *_: pytest.fail("searched"))
    shop.add(*(f"p{number}" for number in range(3)))
    shop.catch_up(stages=CUT_OUT)
    assert not any("bgRemovedImage" in shop.stale(name) for name in shop.rows)


def test_each_version_has_its_own_pointer_however_often_it_is_asked_for(shop: Shop) -> None:
    known = Versions(shop.instance, OUTLINE)
    for version in ("v1", "v2"):
        seen = observation(OUTLINE.key("productImage"), "mug", version)
        shop.instance.report_runless_asset_event(seen)
        known.note({("productImage", "mug"): version})
    pointers = [
        known.tags(stages.CUT_OUT, "mug", "made", {"productImage": version})[POINTER]
        for version in ("v1", "v1", "v2", "v2")
    ]
    assert pointers[0] == pointers[1]
    assert pointers[2] == pointers[3]
    assert int(pointers[0]) < int(pointers[2])


# A person's choice of an image is an input, too.


def choose(shop: Shop, product_id: str, image: int) -> None:
    with shop.ledger() as ledger:
        scene = ledger.tasks.last_made(product_id, "replacedImages")
        assert scene is not None
        ledger.reviews.choose(product_id, scene.fingerprint, image, who="ann", why="")


@pytest.mark.slow
def test_a_choice_makes_exactly_the_video_stale_until_it_is_made_again(shop: Shop) -> None:
    manual_mode = "[[0.2, 0.2], [0.6, 0.2], [0.6, 0.8], [0.2, 0.8]]"
    shop.add("mug", "shoe", location=manual_mode)  # it gives two images
    shop.catch_up()
    before = shop.accepted()
    choose(shop, "mug", 1)
    shop.run_job("sync_products")
    assert shop.stale("mug") == {}, "it was taken anyway"

    choose(shop, "mug", 2)
    shop.run_job("sync_products")
    assert list(shop.stale("mug")) == ["finishedVideo"]
    assert shop.stale("shoe") == {}

    assert made(shop.catch_up()) == [("finishedVideo", "mug")]
    paid = shop.accepted()
    assert paid == {**before, "image2Video": before["image2Video"] + 1}
    shop.run_job("sync_products")
    assert shop.stale("mug") == shop.stale("shoe") == {}

    choose(shop, "mug", 1)  # Dagster has no event; the video is in the store
    assert made(shop.catch_up()) == [("finishedVideo", "mug")]
    assert shop.accepted() == paid
    assert shop.stale("mug") == {}
