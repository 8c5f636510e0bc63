"""A person's choice in Dagster: exactly that video is stale, is made anew, and then is fresh."""

from __future__ import annotations

import pytest

from tests.defs.shop import Shop, made
from tests.defs.test_versions import observe
from topview_pipeline.choosing import choose
from topview_pipeline.defs.choosing import observe_choice, planned_video
from topview_pipeline.defs.resources import CatalogueResource
from topview_pipeline.planning import PlannedOrder

QUAD = "[[0.2, 0.2], [0.6, 0.2], [0.6, 0.8], [0.2, 0.8]]"


def prefer(shop: Shop, product_id: str, image: int) -> PlannedOrder | None:
    """What `topview-pipeline choose` does; what it says that the next run does."""
    with shop.ledger() as ledger:
        choose(ledger, product_id, image, who="ann", why="")
        catalogue = CatalogueResource().read()
        observe_choice(shop.instance, ledger, catalogue.products[product_id])
        return planned_video(shop.instance, ledger, catalogue, product_id)


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
    coming = prefer(shop, "mug", 2)

    assert coming is not None
    assert coming.submits
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
    assert prefer(shop, "mug", 1) is None
    assert shop.stale("mug") == {}
    assert made(shop.catch_up()) == []


def test_a_choice_that_is_taken_back_makes_nothing(shop_with_two_scenes: Shop) -> None:
    """Its version is new to Dagster, and still nothing is to be made."""
    shop = shop_with_two_scenes
    assert prefer(shop, "mug", 2) is not None
    assert prefer(shop, "mug", 1) is None
    assert shop.stale("mug") == {}
    assert made(shop.catch_up()) == []


def test_a_choice_of_an_image_whose_video_is_kept_costs_nothing(shop_with_two_scenes: Shop) -> None:
    shop = shop_with_two_scenes
    prefer(shop, "mug", 2)
    shop.catch_up()
    before = shop.accepted()

    coming = prefer(shop, "mug", 1)

    assert coming is not None
    assert (coming.submits, coming.credits) == (False, 0.0)
    assert made(shop.catch_up()) == [("finishedVideo", "mug")]
    assert shop.accepted() == before
    assert shop.stale("mug") == {}


def test_a_choice_is_paid_though_dagster_does_not_know_the_product(
    shop_with_two_scenes: Shop,
) -> None:
    """A new DAGSTER_HOME beside the ledger: nothing is observed, and the next run pays."""
    shop = shop_with_two_scenes
    shop.instance.delete_dynamic_partition("products", "mug")
    coming = prefer(shop, "mug", 2)
    assert coming is not None
    assert coming.submits


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
