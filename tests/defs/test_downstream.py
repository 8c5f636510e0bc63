"""The guide's asset of a user's own: when it is made, when it is skipped, and what follows it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from tests.defs.shop import ASSETS, NO_SUCH_ID, Shop, failure_of

GUIDE = Path(__file__).parents[2] / "docs" / "downstream.md"
PAGE = "shop_page"


@pytest.fixture(autouse=True)
def users_project(shop: Shop) -> None:
    """The shop runs the guide's code."""
    (example,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {"__name__": "shop"}
    exec(compile(example, str(GUIDE), "exec"), names)  # noqa: S102 - the guide is ours
    shop.defs = names["defs"]


class Automation:
    """The automation's sensor: what it asks for, tick by tick."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._cursor: Any = None

    def tick(self) -> set[str]:
        """The products whose page is asked for now."""
        result = dg.evaluate_automation_conditions(
            self._shop.defs,
            self._shop.instance,
            asset_selection=dg.AssetSelection.assets(PAGE),
            cursor=self._cursor,
        )
        self._cursor = result.cursor
        return {str(key) for key in result.get_requested_partitions(dg.AssetKey(PAGE))}


def test_in_a_run_of_one_product_it_goes_on_with_the_video(shop: Shop) -> None:
    shop.add("mug")
    shop.register()
    assert shop.materialize("mug", assets=[*ASSETS, PAGE]).success
    assert shop.materialized(PAGE) == {"mug"}


def test_in_a_run_of_one_product_it_is_skipped_when_the_video_failed(shop: Shop) -> None:
    shop.add("bag", template_image="", avatar_id=NO_SUCH_ID)
    shop.register()
    assert not shop.materialize("bag", assets=[*ASSETS, PAGE]).success
    assert shop.materialized(PAGE) == set()


def test_in_a_ranged_run_it_is_skipped_and_its_own_run_makes_it(shop: Shop) -> None:
    shop.add("mug", "shoe")
    shop.register()
    assert shop.materialize("mug", "shoe", assets=[*ASSETS, PAGE]).success
    assert shop.materialized(PAGE) == set()
    assert shop.materialize("shoe", assets=[PAGE]).success
    assert shop.materialized(PAGE) == {"shoe"}


def test_its_own_run_without_a_video_names_what_to_do(shop: Shop) -> None:
    shop.add("mug")
    shop.register()
    said = failure_of(shop.materialize("mug", assets=[PAGE]))
    assert "has no finishedVideo of mug; materialize it first" in said


def test_the_automation_asks_for_pages_of_videos_that_were_there_before_and_that_come(
    shop: Shop,
) -> None:
    shop.add("mug", "shoe", "bag")
    assert shop.catch_up(products=["mug"]).success
    automation = Automation(shop)

    assert automation.tick() == {"mug"}
    assert automation.tick() == set(), "asked for once"
    assert shop.materialize("mug", assets=[PAGE]).success
    assert automation.tick() == set()
    assert shop.catch_up(products=["shoe"]).success
    assert automation.tick() == {"shoe"}, "and of the bag there is no video"


def test_the_automation_follows_another_video_and_not_one_that_is_told_again(shop: Shop) -> None:
    shop.add("mug", "shoe")
    assert shop.catch_up().success
    automation = Automation(shop)
    assert automation.tick() == {"mug", "shoe"}
    for product in shop.rows:
        assert shop.materialize(product, assets=[PAGE]).success
    assert automation.tick() == set()

    assert shop.materialize("mug", "shoe").success, "free: taken from the store"
    assert automation.tick() == set()

    shop.rows["shoe"]["script"] = "Buy this shoe."
    assert shop.catch_up().success
    assert automation.tick() == {"shoe"}
