"""Results as typed values in a user's own assets, in the runs and the automation that they use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest

from tests.defs.shop import ASSETS, OUTLINE, REFUSED, Shop, failure_of
from topview_pipeline.defs.io_manager import KeptPlans
from topview_pipeline.stages import BgRemovedImage, FinishedVideo, ReplacedImages

PAGE = "shop_page"
seen: dict[str, Any] = {}

another_video = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.data_version_changed())
a_video_and_no_page = (
    dg.AutomationCondition.missing() & ~dg.AutomationCondition.any_deps_missing()
).newly_true()
handled = dg.AutomationCondition.newly_requested() | dg.AutomationCondition.newly_updated()
follow_the_video = (
    (another_video | a_video_and_no_page).since(handled)
    & ~dg.AutomationCondition.any_deps_missing()
    & ~dg.AutomationCondition.in_progress()
)
"""The condition of docs/downstream.md."""


def user_assets() -> list[dg.AssetsDefinition]:
    """Assets as a user writes them."""

    @dg.asset(partitions_def=OUTLINE.products, automation_condition=follow_the_video)
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
    shop.mine = dg.Definitions(assets=user_assets())


def test_it_is_skipped_when_the_video_failed_and_goes_on_from_what_is_stored(shop: Shop) -> None:
    shop.add("mug", "hat", "pen", "cup", "tie")
    shop.add("bag", **REFUSED)
    shop.catch_up(products=["mug"])
    shop.remove("mug")
    assert shop.materialize("mug", assets=[*ASSETS, PAGE]).success, "it left the catalogue"
    assert not shop.materialize("bag", assets=[*ASSETS, PAGE]).success
    assert shop.materialized(PAGE) == {"mug"}


def test_in_a_range_it_is_skipped_and_a_run_of_one_product_gives_it_typed_values(
    shop: Shop,
) -> None:
    shop.add("mug", "shoe")
    assert shop.materialize("mug", "shoe", assets=[*ASSETS, PAGE]).success
    assert shop.materialized(PAGE) == set()
    assert shop.materialize("shoe", assets=[PAGE]).success, "its own run"
    assert shop.materialized(PAGE) == {"shoe"}

    assert shop.materialize("mug", assets=[*ASSETS, PAGE]).success, "and the same run"

    cutout, scenes, video = seen["page"]
    assert isinstance(cutout, BgRemovedImage)
    assert isinstance(scenes, ReplacedImages)
    assert isinstance(video, FinishedVideo)
    assert {value.product_id for value in (cutout, scenes, video)} == {"mug"}
    assert cutout.cutout.read().startswith(b"\x89PNG")
    assert scenes.scenes[0].number == 1
    with video.video.local_copy() as path:
        assert path.read_bytes()[4:8] == b"ftyp"
    assert video.credits


@pytest.mark.slow
def test_several_products_are_a_mapping_without_those_that_may_miss(shop: Shop) -> None:
    """A shop's first product is a mapping too."""
    shop.add("mug")
    shop.catch_up()
    assert shop.materialize(None, assets=["overview"]).success
    assert list(seen["overview"]) == ["mug"]

    shop.add("shoe", "bag")
    shop.catch_up(products=["shoe"])

    refused = shop.materialize(None, assets=["overview"])
    allowed = shop.materialize(None, assets=["gallery"])

    assert "has no finishedVideo of bag; materialize it first" in failure_of(refused)
    assert allowed.success
    assert {key: video.product_id for key, video in seen["gallery"].items()} == {
        "mug": "mug",
        "shoe": "shoe",
    }
    shop.catch_up()
    assert shop.materialize(None, assets=["overview"]).success
    assert list(seen["overview"]) == ["mug", "shoe", "bag"]


def test_a_value_that_nobody_would_store_is_refused(shop: Shop) -> None:
    """An asset with our IO manager would seem to succeed, and its value be lost."""

    @dg.asset(io_manager_key="topview_results")
    def numbers() -> list[int]:
        return [1, 2, 3]

    @dg.asset(io_manager_key="topview_results")
    def nothing() -> None:
        return None

    shop.mine = dg.Definitions(assets=[numbers, nothing])

    said = failure_of(shop.materialize(None, assets=["numbers"]))
    assert "numbers" in said
    assert "I/O manager of its own" in said
    assert shop.materialize(None, assets=["nothing"]).success


def test_a_plan_that_is_gone_from_the_store_is_said(shop: Shop) -> None:
    plans = KeptPlans(shop.topview())
    output = dg.build_output_context(run_id="one", step_key="s", name="n")
    plans.handle_output(output, {"wanted": []})
    assert plans.load_input(dg.build_input_context(upstream_output=output)) == {"wanted": []}
    other = dg.build_output_context(run_id="two", step_key="s", name="n")
    with pytest.raises(dg.Failure, match="the plan of run two is not in the store"):
        plans.load_input(dg.build_input_context(upstream_output=other))


@pytest.mark.slow
def test_automation_follows_another_video_and_not_the_same_again(shop: Shop) -> None:
    cursor: Any = None

    def asked_for() -> set[str]:
        """The products whose page the automation asks for now."""
        nonlocal cursor
        result = dg.evaluate_automation_conditions(
            shop.definitions(),
            shop.instance,
            asset_selection=dg.AssetSelection.assets(PAGE),
            cursor=cursor,
        )
        cursor = result.cursor
        return {str(key) for key in result.get_requested_partitions(dg.AssetKey(PAGE))}

    shop.add("mug", "shoe", "bag")
    shop.catch_up(products=["mug"])
    assert asked_for() == {"mug"}, "of a video that was there before"
    assert asked_for() == set(), "once"
    assert shop.materialize("mug", assets=[PAGE]).success
    shop.catch_up(products=["shoe"])
    assert asked_for() == {"shoe"}, "and of the bag there is no video"
    assert shop.materialize("shoe", assets=[PAGE]).success

    assert shop.materialize("mug", "shoe").success, "free: taken from the store"
    assert asked_for() == set()

    shop.rows["shoe"]["script"] = "Buy this shoe."
    shop.catch_up(products=["shoe"])
    assert asked_for() == {"shoe"}
