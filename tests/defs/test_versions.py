"""Staleness: exactly what changed is stale, whenever the change came. Nothing else ever is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest

from tests.defs.shop import ASSETS, Shop, made, observed
from topview_pipeline.defs import versions
from topview_pipeline.defs.assets import SOURCES, product_videos
from topview_pipeline.defs.dagster_internals import DATA_VERSION_TAG
from topview_pipeline.defs.versions import Versions, observation
from topview_pipeline.stages import BG_REMOVED_IMAGE

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
    note = Versions.note

    def changed_right_after(self: Versions, versions: Any) -> None:
        note(self, versions)
        shop.instance.report_runless_asset_event(observation("productScript", "mug", "newer"))

    monkeypatch.setattr(Versions, "note", changed_right_after)
    shop.catch_up()

    assert list(shop.stale("mug")) == ["finishedVideo"]


def test_a_change_between_the_observation_and_the_look_at_it_is_seen(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add("mug")
    note = Versions.note

    def changed_right_before(self: Versions, versions: Any) -> None:
        shop.instance.report_runless_asset_event(observation("productScript", "mug", "newer"))
        note(self, versions)

    monkeypatch.setattr(Versions, "note", changed_right_before)
    shop.catch_up()

    assert list(shop.stale("mug")) == ["finishedVideo"]


def test_a_cut_out_that_another_run_tells_before_the_scene_is_told_makes_the_scene_stale(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add("mug", "shoe")
    look_up = Versions._look_up

    def another_run_was_here(self: Versions, asset: str, noted: Mapping[str, str]) -> None:
        if asset == "bgRemovedImage" and "mug" in noted:
            other = dg.AssetMaterialization(asset, partition="mug", tags={DATA_VERSION_TAG: "x"})
            shop.instance.report_runless_asset_event(other)
        look_up(self, asset, noted)

    monkeypatch.setattr(Versions, "_look_up", another_run_was_here)
    shop.catch_up()

    assert list(shop.stale("mug")) == ["replacedImages"]
    assert list(shop.stale("shoe")) == []


def test_a_cut_out_that_another_run_tells_while_the_events_are_looked_up_makes_the_scene_stale(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add("mug")
    not_last = versions._not_last

    def another_run_is_here(
        instance: dg.DagsterInstance, asset: str, wanted: Mapping[str, str]
    ) -> dict[str, str]:
        found = not_last(instance, asset, wanted)
        if asset == "bgRemovedImage":
            other = dg.AssetMaterialization(asset, partition="mug", tags={DATA_VERSION_TAG: "x"})
            instance.report_runless_asset_event(other)
        return found

    monkeypatch.setattr(versions, "_not_last", another_run_is_here)
    shop.catch_up()

    assert list(shop.stale("mug")) == ["replacedImages"]


def test_more_products_than_one_statement_names_are_all_fresh(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "_MOST_NAMED", 2)
    shop.add(*(f"p{number}" for number in range(7)))
    shop.catch_up()
    assert [shop.stale(name) for name in shop.rows] == [{}] * 7


def test_events_are_looked_up_for_many_products_at_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event costs Dagster's storage more than the task costs us: no search for each."""
    searched: list[tuple[str, str]] = []
    search = Versions._search

    def noticed(self: Versions, asset: str, product_id: str, version: str) -> int | None:
        searched.append((asset, product_id))
        return search(self, asset, product_id, version)

    monkeypatch.setattr(Versions, "_search", noticed)
    shop.add(*(f"p{number}" for number in range(4)))
    shop.catch_up()
    assert searched == []


def test_an_event_that_is_told_twice_has_the_same_pointer_twice(shop: Shop) -> None:
    shop.instance.report_runless_asset_event(observation("productImage", "mug", "v1"))
    known = Versions(shop.instance)
    known.note({("productImage", "mug"): "v1"})
    first, again = (
        known.tags(BG_REMOVED_IMAGE, "mug", "made", {"productImage": "v1"}) for _ in range(2)
    )
    assert "dagster/input_event_pointer/productImage" in first
    assert first == again


def test_a_version_that_was_noted_before_it_changed_again_is_not_taken_for_the_new_one(
    shop: Shop,
) -> None:
    known = Versions(shop.instance)
    for version in ("v1", "v2"):
        shop.instance.report_runless_asset_event(observation("productImage", "mug", version))
        known.note({("productImage", "mug"): version})
    pointers = [
        known.tags(BG_REMOVED_IMAGE, "mug", "made", {"productImage": version})[
            "dagster/input_event_pointer/productImage"
        ]
        for version in ("v1", "v2")
    ]
    assert pointers == sorted(set(pointers), key=int)


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
