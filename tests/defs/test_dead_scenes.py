"""Topview forgot a scene: the new one is told under the same data version; nothing is stale."""

from __future__ import annotations

import time
from collections.abc import Iterator

import dagster as dg
import pytest

from tests.defs.shop import Shop, made, troubles_of
from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.sandbox.serve import Running, running

pytestmark = pytest.mark.slow

HOUR = 3600.0


class Ahead:
    """Topview's clock, which goes ahead of ours as far as a test wants."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return time.time() + self.seconds


@pytest.fixture
def topviews_clock() -> Ahead:
    return Ahead()


@pytest.fixture
def sandbox(topviews_clock: Ahead) -> Iterator[Running]:
    config = SandboxConfig(media="tiny", speed=200.0, sigma=0.1, forget_after=HOUR)
    with running(config, clock=topviews_clock) as sandbox:
        yield sandbox


def _task_ids(result: dg.ExecuteInProcessResult, asset: str) -> list[object]:
    return [
        event.materialization.metadata["topview/task_id"].value
        for event in result.all_events
        if event.is_step_materialization and event.asset_key == dg.AssetKey(asset)
    ]


@pytest.mark.parametrize("products", [1, 2], ids=["one partition", "a range"])
def test_a_scene_made_anew_is_told_and_leaves_nothing_stale(
    shop: Shop, topviews_clock: Ahead, products: int
) -> None:
    names = ["mug", "shoe"][:products]
    shop.add(*names)
    shop.register()
    shop.materialize(names[0], names[-1] if products > 1 else None)
    topviews_clock.seconds += 2 * HOUR
    shop.rows["mug"]["script"] = "Other words."

    result = shop.materialize(names[0], names[-1] if products > 1 else None)

    assert result.success, result.all_events
    told = made(result)
    assert told.count(("replacedImages", "mug")) == 2
    assert told.count(("finishedVideo", "mug")) == 1
    assert told.count(("replacedImages", "shoe")) == products - 1
    assert len(set(_task_ids(result, "replacedImages"))) == products + 1
    assert [shop.stale(name) for name in names] == [{}] * products
    accepted = shop.accepted()
    assert (accepted["image_replace"], accepted["image2Video"]) == (products + 1, products + 1)

    again = shop.catch_up()

    assert again.success
    assert made(again) == []


def test_a_video_alone_fails_by_name_and_catch_up_with_the_scene_makes_it(
    shop: Shop, topviews_clock: Ahead
) -> None:
    shop.add("mug")
    shop.catch_up()
    topviews_clock.seconds += 2 * HOUR
    shop.rows["mug"]["script"] = "Other words."

    held = shop.materialize("mug", assets=["finishedVideo"])

    assert not held.success
    (trouble,) = troubles_of(held)
    assert (trouble["stage"], trouble["outcome"]) == ("finishedVideo", "held")
    assert "--stage replacedImages --stage finishedVideo" in str(trouble["what"])

    assert shop.catch_up(stages=["replacedImages", "finishedVideo"]).success

    assert shop.stale("mug") == {}
    assert shop.accepted()["image_replace"] == 2
