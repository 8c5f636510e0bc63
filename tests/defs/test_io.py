"""What was made, as typed values in a user's own assets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest

from tests.defs.shop import ASSETS, Shop, failure_of
from topview_pipeline.definitions import defs
from topview_pipeline.defs.partitions import products
from topview_pipeline.results import BgRemovedImage, FinishedVideo, ReplacedImages

seen: dict[str, Any] = {}


def user_assets() -> list[dg.AssetsDefinition]:
    """Assets as a user writes them."""

    @dg.asset(partitions_def=products)
    def shop_page(
        bgRemovedImage: BgRemovedImage,  # noqa: N803 - the asset's name
        replacedImages: ReplacedImages,  # noqa: N803
        finishedVideo: FinishedVideo,  # noqa: N803
    ) -> None:
        seen["page"] = (bgRemovedImage, replacedImages, finishedVideo)

    @dg.asset
    def overview(finishedVideo: Mapping[str, FinishedVideo]) -> None:  # noqa: N803
        seen["overview"] = finishedVideo

    @dg.asset(
        ins={"videos": dg.AssetIn("finishedVideo", metadata={"allow_missing_partitions": True})}
    )
    def gallery(videos: Mapping[str, FinishedVideo]) -> None:
        seen["gallery"] = videos

    return [shop_page, overview, gallery]


@pytest.fixture(autouse=True)
def users_project(shop: Shop) -> None:
    seen.clear()
    shop.defs = dg.Definitions.merge(defs, dg.Definitions(assets=user_assets()))


def test_a_users_asset_in_the_same_run_goes_on_and_gets_typed_values(shop: Shop) -> None:
    shop.add("mug")
    shop.register()

    result = shop.materialize("mug", assets=[*ASSETS, "shop_page"])

    assert result.success
    cutout, scenes, video = seen["page"]
    assert isinstance(cutout, BgRemovedImage)
    assert isinstance(scenes, ReplacedImages)
    assert isinstance(video, FinishedVideo)
    assert {value.product_id for value in (cutout, scenes, video)} == {"mug"}
    assert cutout.cutout.read().startswith(b"\x89PNG")
    assert scenes.scenes[0].number == 1
    assert video.video.read()[4:8] == b"ftyp"
    assert video.video.path is not None
    assert video.credits


def test_a_users_asset_gets_them_in_a_run_of_its_own(shop: Shop) -> None:
    shop.add("mug")
    shop.register()
    shop.materialize("mug")

    assert shop.materialize("mug", assets=["shop_page"]).success
    assert "page" in seen


def test_several_products_are_a_mapping(shop: Shop) -> None:
    shop.add("mug", "shoe")
    shop.register()
    shop.materialize("mug", "shoe")

    result = run_unpartitioned(shop, "overview")

    assert result.success
    overview = seen["overview"]
    assert isinstance(overview, dict)
    assert {key: video.product_id for key, video in overview.items()} == {
        "mug": "mug",
        "shoe": "shoe",
    }


def test_a_missing_one_is_named_unless_the_input_allows_it(shop: Shop) -> None:
    shop.add("mug", "shoe")
    shop.register()
    shop.materialize("mug")

    refused = run_unpartitioned(shop, "overview")
    allowed = run_unpartitioned(shop, "gallery")

    assert "has no finishedVideo of shoe; materialize it first" in failure_of(refused)
    assert allowed.success
    assert list(seen["gallery"]) == ["mug"]


def test_a_value_that_nobody_would_store_is_refused(shop: Shop) -> None:
    """Somebody's asset with our IO manager would seem to succeed, and its value be lost."""

    @dg.asset(io_manager_key="topview_results")
    def numbers() -> list[int]:
        return [1, 2, 3]

    @dg.asset(io_manager_key="topview_results")
    def nothing() -> None:
        return None

    shop.defs = dg.Definitions.merge(defs, dg.Definitions(assets=[numbers, nothing]))

    assert "numbers" in failure_of(run_unpartitioned(shop, "numbers"))
    assert "IO manager of its own" in failure_of(run_unpartitioned(shop, "numbers"))
    assert run_unpartitioned(shop, "nothing").success


def run_unpartitioned(shop: Shop, asset: str) -> dg.ExecuteInProcessResult:
    job = shop.defs.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=shop.instance, asset_selection=[dg.AssetKey(asset)], raise_on_error=False
    )
