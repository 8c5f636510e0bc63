"""Products that left the catalogue: history stays, what is stored is free, nothing is made."""

from __future__ import annotations

import dagster as dg
import pytest

from tests.defs.shop import ASSETS, Shop, made, troubles_of
from topview_pipeline.definitions import defs
from topview_pipeline.defs.jobs import SYNC_PRODUCTS
from topview_pipeline.defs.partitions import products
from topview_pipeline.ledger import OrderState
from topview_pipeline.results import BgRemovedImage

OTHERS = ("hat", "pen", "cup", "tie")


def leave(shop: Shop, *product_ids: str) -> dg.ExecuteInProcessResult:
    for product_id in product_ids:
        del shop.rows[product_id]
    shop.write()
    return shop.run_job(SYNC_PRODUCTS)


def test_a_range_tells_what_is_stored_again_and_names_what_is_not(shop: Shop) -> None:
    shop.add("mug", "shoe", *OTHERS, "bag", "key", "fan", "jar")
    shop.catch_up(products=["mug"], stages=["bgRemovedImage"])
    paid = shop.accepted()
    leave(shop, "mug", "shoe")

    result = shop.materialize("mug", "shoe", assets=["bgRemovedImage"])

    assert made(result) == [("bgRemovedImage", "mug")]
    (trouble,) = troubles_of(result)
    assert (trouble["product"], trouble["outcome"]) == ("shoe", "failed")
    assert "not in the catalogue" in trouble["what"]
    assert shop.accepted() == paid
    event = shop.instance.get_latest_materialization_event(dg.AssetKey("bgRemovedImage"))
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["topview/reused"].value is True
    assert event.asset_materialization.metadata["topview/credits"].value == 0.0


def test_what_leaves_while_it_is_ordered_is_withdrawn_with_its_reason(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task already submitted comes home; nothing after it is sent."""
    shop.add("mug", *OTHERS)
    monkeypatch.setenv("TOPVIEW_WAIT_SECONDS", "0")
    shop.faults(unknown_status=1.0)
    shop.catch_up(products=["mug"])
    shop.faults()
    with shop.ledger() as ledger:
        assert {order.product_id for order in ledger.orders.open_orders()} == {"mug"}

    leave(shop, "mug")

    with shop.ledger() as ledger:
        assert ledger.orders.open_orders() == []
    home = shop.catch_up(orders=[], explicit=False)
    assert made(home) == [("bgRemovedImage", "mug")]
    assert shop.accepted() == {"remove_background": 1}


def test_what_comes_back_is_made_again_and_pays_only_for_what_is_missing(shop: Shop) -> None:
    shop.add("mug", *OTHERS)
    shop.catch_up(products=["mug"], stages=["bgRemovedImage"])
    row = shop.rows["mug"]
    leave(shop, "mug")
    assert made(shop.catch_up(products=["mug"], stages=["replacedImages"])) == []

    shop.rows["mug"] = row
    back = shop.catch_up(products=["mug"])

    assert back.success
    assert [asset for asset, _ in made(back)] == list(ASSETS[1:])
    assert shop.accepted()["remove_background"] == 1


def test_an_asset_of_the_same_run_goes_on_from_what_a_retired_product_stored(shop: Shop) -> None:
    seen = []

    @dg.asset(partitions_def=products)
    def shop_page(bgRemovedImage: BgRemovedImage) -> None:  # noqa: N803 - the asset's key
        seen.append(bgRemovedImage.product_id)

    shop.add("mug", *OTHERS)
    shop.catch_up(products=["mug"], stages=["bgRemovedImage"])
    leave(shop, "mug")
    shop.defs = dg.Definitions.merge(defs, dg.Definitions(assets=[shop_page]))

    assert shop.materialize("mug", assets=["bgRemovedImage", "shop_page"]).success
    assert seen == ["mug"]


def test_a_stored_file_that_is_gone_is_a_named_failure(shop: Shop) -> None:
    shop.add("mug", *OTHERS)
    shop.catch_up(products=["mug"], stages=["bgRemovedImage"])
    leave(shop, "mug")
    for file in (shop.folder / "home" / "artifacts").rglob("*.png"):
        file.unlink()

    (trouble,) = troubles_of(shop.materialize("mug", assets=["bgRemovedImage"]))
    assert "not in the catalogue" in trouble["what"]


def test_the_ledger_says_why_an_order_was_withdrawn(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add("mug", *OTHERS)
    shop.slots(0)
    monkeypatch.setenv("TOPVIEW_WAIT_SECONDS", "0")
    run = shop.catch_up(products=["mug"], stages=["bgRemovedImage"])
    leave(shop, "mug")

    with shop.ledger() as ledger:
        (order,) = ledger.progress.of_run(run.run_id)
        assert order.state is OrderState.WITHDRAWN
