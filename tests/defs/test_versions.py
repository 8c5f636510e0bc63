"""Staleness: exactly what changed is stale, whenever the change came. Nothing else ever is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest

from tests.defs.shop import ASSETS, Shop, made, observed
from topview_pipeline.defs.assets import SOURCES, product_videos
from topview_pipeline.defs.dagster_internals import DATA_VERSION_TAG
from topview_pipeline.defs.versions import Versions, observation

CHANGES = {
    "image": "bgRemovedImage",
    "image_edit_prompt": "replacedImages",
    "script": "finishedVideo",
}


def observe(shop: Shop) -> dg.ExecuteInProcessResult:
    """Observe all three sources, as the button in the UI does."""
    shop.write()
    job = shop.defs.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=shop.instance,
        asset_selection=[
            dg.AssetKey(name) for name in ("productImage", "productScene", "productScript")
        ],
        raise_on_error=False,
    )


def change(shop: Shop, product_id: str, column: str) -> None:
    value = shop.picture("new.png", (1, 2, 3)) if column == "image" else "another one"
    shop.rows[product_id][column] = value


@pytest.mark.parametrize("column", CHANGES)
def test_a_change_makes_exactly_the_asset_stale_that_it_shapes_until_that_is_made_anew(
    shop: Shop, column: str
) -> None:
    shop.add("mug", "shoe")
    shop.catch_up()
    assert shop.stale("mug") == shop.stale("shoe") == {}

    change(shop, "mug", column)
    observe(shop)

    assert list(shop.stale("mug")) == [CHANGES[column]]
    assert shop.stale("shoe") == {}

    again = shop.catch_up()

    at = ASSETS.index(CHANGES[column])
    assert {asset for asset, _ in made(again)} == set(ASSETS[at:])
    assert {product for _, product in made(again)} == {"mug"}
    assert shop.stale("mug") == shop.stale("shoe") == {}


def test_assets_of_a_one_partition_run_are_fresh_too(shop: Shop) -> None:
    shop.add("mug")
    shop.register()
    shop.materialize("mug")
    assert shop.stale("mug") == {}

    change(shop, "mug", "script")
    observe(shop)
    assert list(shop.stale("mug")) == ["finishedVideo"]

    shop.materialize("mug", assets=["finishedVideo"])
    assert shop.stale("mug") == {}


def test_a_change_that_was_never_observed_is_observed_by_the_run_that_reads_it(
    shop: Shop,
) -> None:
    shop.add("mug")
    shop.catch_up()
    change(shop, "mug", "script")

    again = shop.catch_up()

    assert observed(again) == [("productScript", "mug")]
    assert shop.stale("mug") == {}


def test_a_change_while_the_task_runs_leaves_the_video_stale(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pointer is that of the version which was read, not of the newest at the end."""
    shop.add("mug")
    shop.write()
    remember = Versions.remember

    def changed_right_after(self: Versions, versions: Any) -> None:
        remember(self, versions)
        shop.instance.report_runless_asset_event(observation("productScript", "mug", "newer"))

    monkeypatch.setattr(Versions, "remember", changed_right_after)
    shop.catch_up()

    assert list(shop.stale("mug")) == ["finishedVideo"]


def test_a_change_between_the_observation_and_the_look_at_it_is_seen(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add("mug")
    remember = Versions.remember

    def changed_right_before(self: Versions, versions: Any) -> None:
        shop.instance.report_runless_asset_event(observation("productScript", "mug", "newer"))
        remember(self, versions)

    monkeypatch.setattr(Versions, "remember", changed_right_before)
    shop.catch_up()

    assert list(shop.stale("mug")) == ["finishedVideo"]


def test_a_cut_out_that_another_run_tells_before_the_scene_is_told_makes_the_scene_stale(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add("mug", "shoe")
    remember = Versions._remember

    def another_run_was_here(self: Versions, asset: str, wanted: Mapping[str, str]) -> None:
        if asset == "bgRemovedImage" and "mug" in wanted:
            other = dg.AssetMaterialization(asset, partition="mug", tags={DATA_VERSION_TAG: "x"})
            shop.instance.report_runless_asset_event(other)
        remember(self, asset, wanted)

    monkeypatch.setattr(Versions, "_remember", another_run_was_here)
    shop.catch_up()

    assert list(shop.stale("mug")) == ["replacedImages"]
    assert list(shop.stale("shoe")) == []


def test_a_cut_out_made_anew_makes_the_scene_stale_and_not_yet_the_video(shop: Shop) -> None:
    shop.add("mug")
    shop.catch_up()
    change(shop, "mug", "image")

    shop.catch_up(stages=["bgRemovedImage"])

    assert list(shop.stale("mug")) == ["replacedImages"]


def test_a_second_run_stores_no_observation(shop: Shop) -> None:
    shop.add("mug", "shoe")
    first = shop.catch_up()
    second = shop.catch_up(force=True)

    assert len(observed(first)) == 6
    assert observed(second) == []


def test_observing_tells_registered_products_with_changes_only(shop: Shop) -> None:
    shop.add("mug", "shoe")
    shop.register()
    shop.add("new")
    shop.add("lost", image=str(shop.folder / "nowhere.png"))
    shop.instance.add_dynamic_partitions("products", ["lost"])

    first = observe(shop)
    second = observe(shop)
    change(shop, "shoe", "script")
    third = observe(shop)

    assert first.success
    assert ("productImage", "lost") not in observed(first)
    assert ("productScript", "lost") in observed(first)
    assert {product for _, product in observed(first)} == {"mug", "shoe", "lost"}
    assert observed(second) == []
    assert observed(third) == [("productScript", "shoe")]


def test_observing_needs_no_credentials(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.add("mug")
    shop.register()
    for name in ("TOPVIEW_UID", "TOPVIEW_API_KEY"):
        monkeypatch.delenv(name)

    assert observe(shop).success


def test_another_version_of_the_code_makes_its_asset_stale(shop: Shop) -> None:
    shop.add("mug")
    shop.catch_up()
    assert shop.stale("mug") == {}

    def raised(spec: dg.AssetSpec) -> dg.AssetSpec:
        is_video = spec.key == dg.AssetKey("finishedVideo")
        return spec.replace_attributes(code_version="2") if is_video else spec

    shop.defs = dg.Definitions(
        assets=[*SOURCES, product_videos.map_asset_specs(raised)], resources=shop.defs.resources
    )

    assert list(shop.stale("mug")) == ["finishedVideo"]
