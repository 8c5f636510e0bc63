"""The catch_up job: plans, scattered products, force, failures, and running it twice."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from tests.defs.shop import ASSETS, NO_SUCH_ID, Shop, failure_of, made, troubles_of
from topview_pipeline.definitions import defs
from topview_pipeline.defs.config import CatchUpConfig, StageKey
from topview_pipeline.defs.jobs import CATCH_UP, catch_up_config
from topview_pipeline.ledger import HeldReason, Wanted
from topview_pipeline.stages import BY_KEY


def catch_up_job() -> dg.JobDefinition:
    """The job as a process of its own would load it."""
    return defs.resolve_job_def(CATCH_UP)


def plan_of(result: dg.ExecuteInProcessResult) -> list[tuple[Any, ...]]:
    """(product, stage, why, credits) of the plan's table."""
    (output,) = [
        event.step_output_data
        for event in result.all_events
        if event.is_successful_output and event.step_key == "plan_catch_up"
    ]
    table = output.metadata["topview/plan"]
    assert isinstance(table, dg.TableMetadataValue)
    return [tuple(record.data.values()) for record in table.records]


def price_of(result: dg.ExecuteInProcessResult) -> tuple[object, object]:
    """The plan's known credits, and how many tasks have no known price."""
    (output,) = [
        event.step_output_data
        for event in result.all_events
        if event.is_successful_output and event.step_key == "plan_catch_up"
    ]
    values = output.metadata
    return (
        values["topview/credits"].value,
        values["topview/tasks_of_unknown_price"].value,
    )


def test_the_whole_catalogue_then_nothing_to_do(shop: Shop) -> None:
    shop.add("mug", "shoe", "bag")

    first = shop.catch_up()
    paid = shop.accepted()
    second = shop.catch_up()

    assert first.success
    assert second.success
    assert set(made(first)) == {(asset, product) for asset in ASSETS for product in shop.rows}
    assert {why for _, _, why, _ in plan_of(first)} == {
        "new",
        "bgRemovedImage is made anew",
        "replacedImages is made anew",
    }
    assert made(second) == []
    assert plan_of(second) == []
    assert shop.accepted() == paid == dict.fromkeys(paid, 3)


def test_the_plan_prices_what_the_ledger_knows_and_says_what_it_does_not(shop: Shop) -> None:
    shop.add("mug")
    before = shop.catch_up(products=["mug"])
    shop.add("shoe")
    after = shop.catch_up(products=["shoe"])

    # By the price list: one scene, and one started second of speech.
    assert price_of(before) == (pytest.approx(1.4), 0)
    prices = {stage: price for _, stage, _, price in plan_of(after)}
    assert prices["bgRemovedImage"] == "0"
    assert float(prices["replacedImages"]) > 0
    assert float(prices["finishedVideo"]) > 0
    assert price_of(after) == (pytest.approx(sum(map(float, prices.values())), abs=0.01), 0)


def test_scattered_products_are_one_run_and_others_are_left_alone(shop: Shop) -> None:
    shop.add("a", "b", "c", "d", "e")

    result = shop.catch_up(products=["a", "c", "e"], stages=["bgRemovedImage"])

    assert result.success
    assert sorted(made(result)) == [("bgRemovedImage", product) for product in "ace"]
    assert shop.instance.get_dynamic_partitions("products") == list("abcde")


@pytest.mark.parametrize("steps", [None, ["produce"]], ids=["whole", "from produce"])
def test_force_pays_once_however_often_the_run_is_executed_again(
    shop: Shop, steps: list[str] | None
) -> None:
    shop.add("mug")
    shop.catch_up()
    config = catch_up_config(force=True, everything=True, stages=["finishedVideo"])
    forced = dg.execute_job(
        dg.reconstructable(catch_up_job), instance=shop.instance, run_config=config
    )
    paid = shop.accepted()

    again = dg.execute_job(
        dg.reconstructable(catch_up_job),
        instance=shop.instance,
        run_config=config,
        reexecution_options=dg.ReexecutionOptions(forced.run_id, step_selection=steps or []),
        raise_on_error=False,
    )

    assert forced.success
    assert again.success
    assert paid["image2Video"] == 2
    assert paid["image_replace"] == 1
    assert shop.accepted() == paid


def test_failed_products_are_shown_as_failed_until_a_success_clears_them(shop: Shop) -> None:
    shop.add("mug", "bag")
    shop.rows["bag"] |= {"template_image": "", "avatar_id": NO_SUCH_ID}

    broken = shop.catch_up()

    assert not broken.success
    assert {(row["product"], row["stage"]) for row in troubles_of(broken)} == {
        ("bag", "replacedImages"),
        ("bag", "finishedVideo"),
    }
    assert shop.failed("bgRemovedImage") == set()
    assert shop.failed("replacedImages") == shop.failed("finishedVideo") == {"bag"}

    shop.rows["bag"] = {**shop.rows["mug"], "script": "This is the bag."}
    mended = shop.catch_up()

    assert mended.success
    assert shop.failed("replacedImages") == shop.failed("finishedVideo") == set()
    assert shop.materialized("finishedVideo") == {"mug", "bag"}


def test_what_is_refused_is_not_priced_and_not_sent_again(shop: Shop) -> None:
    shop.add("bag", template_image="", avatar_id=NO_SUCH_ID)
    shop.catch_up()
    submits = shop.counters()["submits"]

    again = shop.catch_up()

    assert not again.success
    assert shop.counters()["submits"] == submits
    assert [(stage, price) for _, stage, _, price in plan_of(again)] == [
        ("replacedImages", "0"),
        ("finishedVideo", "0"),
    ]


def test_a_limit_goes_past_what_was_refused_and_still_tells_of_it(shop: Shop) -> None:
    shop.add("bag", template_image="", avatar_id=NO_SUCH_ID)
    shop.catch_up()
    shop.add("mug", "shoe")

    result = shop.catch_up(limit=1)

    assert {product for _, product in made(result)} == {"mug"}
    assert {row["product"] for row in troubles_of(result)} == {"bag"}


def test_products_that_share_a_scene_are_planned_as_they_are_paid(shop: Shop) -> None:
    photo = shop.picture("same.png", (1, 2, 3))
    shop.add("mug", "bag", image=photo)

    result = shop.catch_up()

    assert result.success
    assert price_of(result) == (pytest.approx(1.0 + 2 * 0.4), 0)
    assert shop.counters()["charged"] == pytest.approx(1.0 + 2 * 0.4)
    whys = {why for product, _, why, _ in plan_of(result) if product == "bag"}
    assert "bgRemovedImage is made anew, with mug" in whys


def test_a_product_that_is_not_in_the_catalogue_is_named_and_the_others_are_made(
    shop: Shop,
) -> None:
    shop.add("mug")

    result = shop.catch_up(products=["mug", "hat"], stages=["bgRemovedImage"])

    assert made(result) == [("bgRemovedImage", "mug")]
    (trouble,) = troubles_of(result)
    assert trouble["product"] == "hat"
    assert "not in the catalogue" in trouble["what"]


def test_a_bad_row_is_named_with_line_and_column(shop: Shop) -> None:
    shop.add("mug")
    shop.add("bag", location="[[2, 2]]")

    result = shop.catch_up(products=["mug", "bag"], stages=["bgRemovedImage"])

    assert made(result) == [("bgRemovedImage", "mug")]
    (trouble,) = troubles_of(result)
    assert "line 3" in trouble["what"]
    assert "location" in trouble["what"]


def test_a_missing_photo_fails_its_product_before_anything_is_sent(shop: Shop) -> None:
    shop.add("mug")
    shop.add("bag", image=str(shop.folder / "nowhere.png"))

    result = shop.catch_up()

    assert {product for _, product in made(result)} == {"mug"}
    assert {row["product"] for row in troubles_of(result)} == {"bag"}
    assert "nowhere.png" in failure_of(result)
    assert shop.accepted() == {"remove_background": 1, "image_replace": 1, "image2Video": 1}


def test_an_unknown_stage_is_named_with_those_there_are(shop: Shop) -> None:
    shop.add("mug")
    with pytest.raises(dg.DagsterInvalidConfigError, match="not in enum type StageKey"):
        shop.catch_up(stages=["finalVideo"])
    with pytest.raises(dg.DagsterInvalidConfigError, match="not in enum type StageKey"):
        shop.catch_up(orders=[{"product": "mug", "stage": "finalVideo"}])
    assert shop.accepted() == {}


def test_the_launchpad_offers_the_stages_there_are() -> None:
    assert [(key.name, key.value) for key in StageKey] == [(key, key) for key in BY_KEY]


ORDER = {"product": "mug", "stage": "finishedVideo"}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"force": True}, "pay for the whole catalogue again"),
        ({"force": True, "stages": ["finishedVideo"]}, "pay for the whole catalogue again"),
        ({"orders": [ORDER], "products": ["mug"]}, "orders go without products, stages and limit"),
        ({"orders": [ORDER], "stages": ["finishedVideo"]}, "orders go without"),
        ({"explicit": False, "products": ["mug"]}, "explicit: false is how the sensor"),
        ({"explicit": False, "stages": ["finishedVideo"]}, "explicit: false is how the sensor"),
        ({"explicit": False, "orders": [ORDER], "force": True}, "explicit: false is how the sen"),
        ({"force": True, "everything": True, "products": ["mug"]}, "everything goes without"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_sentence_before_anything_is_paid(
    shop: Shop, config: dict[str, Any], said: str
) -> None:
    shop.add("mug")
    result = shop.catch_up(**config)
    assert said in failure_of(result)
    assert "Traceback" not in failure_of(result)
    assert shop.accepted() == {}


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"force": True, "products": ["mug"]},
        {"force": True, "orders": [{"product": "mug", "stage": StageKey.finishedVideo}]},
        {"force": True, "everything": True},
        {"explicit": False},
    ],
)
def test_what_can_be_meant_is_not_refused(config: dict[str, Any]) -> None:
    assert CatchUpConfig(**config).contradiction() is None


def test_an_open_order_of_a_product_that_is_not_in_the_catalogue_waits_an_hour(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row may be bad for the moment; a run every minute would find the same."""
    shop.add("mug", "bag", "hat", "pen", "cup")
    shop.slots(0)
    monkeypatch.setenv("TOPVIEW_WAIT_SECONDS", "0")
    parked = shop.catch_up(products=["bag"], stages=["bgRemovedImage"])
    del shop.rows["bag"]

    result = shop.catch_up(orders=[{"product": "bag", "stage": "bgRemovedImage"}], explicit=False)

    assert [row["outcome"] for row in troubles_of(parked)] == ["parked"]
    assert [row["outcome"] for row in troubles_of(result)] == ["held"]
    with shop.ledger() as ledger:
        (order,) = ledger.orders.open_orders()
        assert order.held_reason is HeldReason.CATALOGUE
        assert order.held_until is not None
        assert 3000 < order.held_until - ledger.now() <= 3600
    assert shop.catch_up(products=["bag"], stages=["bgRemovedImage"]).success is False
    with shop.ledger() as ledger:
        assert ledger.orders.open_orders() == [], "a person asked: it is ended"


def test_another_deployments_orders_stay_as_they_are(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two deployments share an account; each has a catalogue of its own."""
    shop.add("mug")
    with shop.ledger() as ledger:
        ledger.catalogues.obey("theirs.csv", sha256="1", columns=[], products=["shoe"])
        wanted = [Wanted("shoe", "bgRemovedImage", "ordered")]
        ledger.orders.place(wanted, run_id="theirs", root_run_id="theirs", owner="dead")
        before = ledger.orders.open_orders()

    result = shop.catch_up(orders=[{"product": "shoe", "stage": "bgRemovedImage"}], explicit=False)

    assert result.success
    with shop.ledger() as ledger:
        assert ledger.orders.open_orders() == before
        assert ledger.orders.runs_that_ask() == {"theirs"}
