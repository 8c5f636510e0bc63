"""A person's choice in Dagster: exactly that video is stale, is made anew, and then is fresh."""

from __future__ import annotations

import pytest

from tests.defs.shop import Shop, made
from tests.defs.test_versions import observe
from topview_pipeline.choosing import choose
from topview_pipeline.defs.choosing import observe_choice
from topview_pipeline.defs.resources import CatalogueResource

QUAD = "[[0.2, 0.2], [0.6, 0.2], [0.6, 0.8], [0.2, 0.8]]"


def prefer(shop: Shop, product_id: str, image: int) -> bool:
    """What `topview-pipeline choose` does; whether the video is to be made anew."""
    with shop.ledger() as ledger:
        choose(ledger, product_id, image, who="ann", why="")
        product = CatalogueResource().read().products[product_id]
        return observe_choice(shop.instance, ledger, product)


@pytest.fixture
def shop_with_two_scenes(shop: Shop) -> Shop:
    """Two products whose scenes have two images each, as in manual mode."""
    shop.add("mug", "shoe", location=QUAD)
    shop.catch_up()
    assert shop.stale("mug") == shop.stale("shoe") == {}
    return shop


def test_a_choice_makes_exactly_the_video_stale_until_it_is_made_anew(
    shop_with_two_scenes: Shop,
) -> None:
    shop = shop_with_two_scenes
    assert prefer(shop, "mug", 2)

    assert list(shop.stale("mug")) == ["finishedVideo"]
    assert shop.stale("shoe") == {}

    before = shop.accepted()
    again = shop.catch_up()

    assert made(again) == [("finishedVideo", "mug")]
    assert shop.accepted() == {**before, "image2Video": before["image2Video"] + 1}
    assert shop.stale("mug") == shop.stale("shoe") == {}
    assert made(shop.catch_up()) == []


def test_the_choice_is_in_every_later_look_at_the_catalogue(shop_with_two_scenes: Shop) -> None:
    """The button in the UI, the job and the run all see the same version."""
    shop = shop_with_two_scenes
    prefer(shop, "mug", 2)
    shop.catch_up()

    observe(shop)
    assert shop.stale("mug") == {}
    shop.write()
    assert shop.run_job("sync_products").success
    assert shop.stale("mug") == {}


def test_a_range_that_is_materialized_follows_the_choice_too(shop_with_two_scenes: Shop) -> None:
    shop = shop_with_two_scenes
    prefer(shop, "mug", 2)
    shop.materialize("mug", "shoe", assets=["finishedVideo"])
    assert shop.stale("mug") == shop.stale("shoe") == {}


def test_a_choice_of_the_image_that_was_used_anyway_makes_nothing_stale(
    shop_with_two_scenes: Shop,
) -> None:
    shop = shop_with_two_scenes
    assert not prefer(shop, "mug", 1)
    assert shop.stale("mug") == {}
    assert made(shop.catch_up()) == []


def test_a_choice_that_dagster_was_not_told_of_is_observed_by_the_run_that_follows_it(
    shop_with_two_scenes: Shop,
) -> None:
    """It was written down on another machine, or the command was killed in between."""
    shop = shop_with_two_scenes
    with shop.ledger() as ledger:
        scene = ledger.tasks.last_stored("mug", "replacedImages")
        assert scene is not None
        ledger.choices.choose("mug", scene.fingerprint, 2, who="ann", why="")
    assert shop.stale("mug") == {}

    assert made(shop.catch_up()) == [("finishedVideo", "mug")]
    assert shop.stale("mug") == {}
