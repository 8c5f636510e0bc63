"""The free sync_products job: a catalogue is seen in Dagster before anything was paid for."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import dagster as dg
import pytest

from tests.defs.shop import Shop, failure_of, made, observed
from tests.defs.test_versions import observe
from topview_pipeline.catalogue import Catalogue
from topview_pipeline.defs.jobs import SYNC_PRODUCTS
from topview_pipeline.defs.resources import CatalogueResource
from topview_pipeline.syncing import accept


def sync(shop: Shop) -> dg.ExecuteInProcessResult:
    shop.write()
    return shop.run_job(SYNC_PRODUCTS)


def told(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """The output's metadata, without its prefix."""
    (output,) = [
        event.step_output_data for event in result.all_events if event.is_successful_output
    ]
    return {key.removeprefix("topview/"): one.value for key, one in output.metadata.items()}


def warnings_of(shop: Shop, result: dg.ExecuteInProcessResult) -> list[str]:
    logs = shop.instance.all_logs(result.run_id)
    return [entry.user_message for entry in logs if entry.level == 30]


@pytest.fixture
def without_account(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOPVIEW_UID")
    monkeypatch.delenv("TOPVIEW_API_KEY")


@pytest.mark.usefixtures("without_account")
def test_a_new_catalogue_becomes_partitions_and_nobody_is_paid(shop: Shop) -> None:
    shop.add("mug", "shoe")

    result = sync(shop)

    assert result.success
    assert shop.instance.get_dynamic_partitions("products") == ["mug", "shoe"]
    assert observed(result) == [], "nothing was made, so nothing can be stale"
    assert told(result) == {
        "products": 2,
        "new_products": 2,
        "products_that_left": 0,
        "withdrawn_orders": 0,
        "observed_changes": 0,
        "catalogue_problems": 0,
        "catalogue_warnings": 0,
    }
    assert shop.accepted() == {}


def test_only_what_changed_of_what_was_made_is_observed(shop: Shop) -> None:
    shop.add("mug", "shoe")
    shop.catch_up(products=["mug"])
    shop.rows["mug"]["script"] = shop.rows["shoe"]["script"] = "Another one."

    assert observed(sync(shop)) == [("productScript", "mug")]
    assert list(shop.stale("mug")) == ["finishedVideo"]
    assert observed(sync(shop)) == []


def test_a_column_that_nobody_reads_makes_nothing_stale_under_another_name(shop: Shop) -> None:
    shop.add("mug", note="fragile")
    shop.catch_up()
    shop.rows["mug"]["remark"] = shop.rows["mug"].pop("note")

    assert observed(sync(shop)) == []
    assert shop.stale("mug") == {}


def test_products_that_left_stay_and_are_counted_and_a_bad_row_has_not_left(shop: Shop) -> None:
    shop.add("mug", "shoe", "bag", "hat", "pen")
    sync(shop)
    del shop.rows["shoe"]
    shop.rows["bag"]["location"] = "[[2, 2]]"

    result = sync(shop)

    assert shop.instance.get_dynamic_partitions("products") == ["mug", "shoe", "bag", "hat", "pen"]
    assert told(result)["products_that_left"] == 1
    assert told(result)["catalogue_problems"] == 1
    assert told(sync(shop))["products_that_left"] == 0, "it left once"


@pytest.mark.parametrize("change", ["half as many", "a renamed column"])
def test_a_catalogue_that_looks_mangled_is_held_until_somebody_means_it(
    shop: Shop, change: str
) -> None:
    shop.add("mug", "shoe", "bag", "hat", mode="lite")
    sync(shop)
    if change == "half as many":
        del shop.rows["shoe"], shop.rows["bag"]
        words = "2 of its 4 products are gone, such as bag, shoe"
    else:
        for row in shop.rows.values():
            row["modus"] = row.pop("mode")
        words = "the column mode is gone, and modus is not known"
    shop.add("new")

    for result in (sync(shop), shop.catch_up(), shop.materialize("mug")):
        assert words in failure_of(result)
        assert "--accept-change" in failure_of(result)
    assert "new" not in shop.instance.get_dynamic_partitions("products")
    assert shop.accepted() == {}

    with shop.ledger() as ledger:
        accept(ledger, CatalogueResource().read().sha256, who="tester")

    assert sync(shop).success
    assert "new" in shop.instance.get_dynamic_partitions("products")


@pytest.mark.parametrize("source", ["/nowhere/catalogue.csv", "python:no.such:thing", ""])
def test_while_the_catalogue_cannot_be_read_what_was_submitted_is_brought_home(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    shop.add("mug")
    with monkeypatch.context() as patch:
        patch.setenv("TOPVIEW_WAIT_SECONDS", "0")
        shop.faults(unknown_status=1.0)
        shop.catch_up(products=["mug"])
        shop.faults()
    monkeypatch.setenv("TOPVIEW_CATALOGUE", source)
    orders = [{"product": "mug", "stage": stage} for stage in ("bgRemovedImage", "replacedImages")]

    result = shop.catch_up(orders=orders, explicit=False)

    assert result.success
    assert made(result) == [("bgRemovedImage", "mug")]
    assert shop.accepted() == {"remove_background": 1}, "nothing more was sent"
    with shop.ledger() as ledger:
        assert {order.product_id for order in ledger.orders.open_orders()} == {"mug"}
    assert not shop.catch_up(products=["mug"]).success


def test_while_the_catalogue_is_held_what_was_submitted_is_brought_home(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add("mug", "shoe", "bag", "hat")
    monkeypatch.setenv("TOPVIEW_WAIT_SECONDS", "0")
    shop.faults(unknown_status=1.0)
    shop.catch_up(products=["mug"])
    shop.faults()
    for name in ("shoe", "bag", "hat"):
        del shop.rows[name]
    orders = [{"product": "mug", "stage": stage} for stage in ("bgRemovedImage", "replacedImages")]

    result = shop.catch_up(orders=orders, explicit=False)

    assert result.success
    assert made(result) == [("bgRemovedImage", "mug")]
    assert shop.accepted() == {"remove_background": 1}, "nothing more was sent"
    with shop.ledger() as ledger:
        assert {order.product_id for order in ledger.orders.open_orders()} == {"mug"}


@pytest.mark.parametrize("job", ["sync_products", "catch_up"])
def test_a_misspelt_column_is_said_in_the_run(shop: Shop, job: str) -> None:
    """Else a whole catalogue is paid for without what the column was to say."""
    shop.add("mug", voice="soft")
    result = sync(shop) if job == SYNC_PRODUCTS else shop.catch_up(stages=["bgRemovedImage"])

    (warning,) = warnings_of(shop, result)
    assert "column 'voice' is not known" in warning
    outputs = [event.step_output_data for event in result.all_events if event.is_successful_output]
    assert outputs[0].metadata["topview/catalogue_warnings"].value == 1


def test_bad_rows_of_one_kind_are_one_event_and_all_are_in_the_table(shop: Shop) -> None:
    shop.add("mug")
    shop.add(*(f"p{number}" for number in range(1200)), image="/x.png", mode="modern")
    result = sync(shop)

    (warning,) = warnings_of(shop, result)
    assert "1200 rows like line 3, column mode (product 'p0'): 'modern' is none of" in warning
    assert told(result)["catalogue_problems"] == 1200
    table = told(result)["catalogue_problem_rows"].records
    assert table[0].data["product"] == "p0"
    assert len(table) == 1001
    assert table[-1].data["place"] == "... and 200 more"


def test_observing_a_source_does_not_obey_a_catalogue_that_is_held(shop: Shop) -> None:
    shop.add("mug", mode="lite")
    shop.catch_up()
    for row in shop.rows.values():
        row["modus"] = row.pop("mode")

    result = observe(shop)

    failed = [event for event in result.all_events if event.is_step_failure]
    assert len(failed) == 3
    for event in failed:
        assert "the column mode is gone" in str(event.step_failure_data.error_display_string)
    assert observed(result) == []
    assert shop.stale("mug") == {}


def test_a_reading_that_was_overtaken_is_read_again_by_the_run(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add("mug")
    sync(shop)
    read = CatalogueResource.read
    old: list[Catalogue] = []

    def late(resource: CatalogueResource, **options: Any) -> Catalogue:
        found = read(resource, **options)
        if old:
            return found
        old.append(replace(found, begun=time.monotonic() - 25, warnings=("an old note",)))
        with shop.ledger() as ledger:
            ledger.catalogues.obey(
                str(shop.catalogue), sha256="newer", columns=[], products=["mug"]
            )
        return old[0]

    monkeypatch.setattr(CatalogueResource, "read", late)
    shop.add("shoe")
    metadata = told(sync(shop))
    assert metadata["new_products"] == 1
    assert metadata["catalogue_warnings"] == 0, "the newest reading is told of"
    assert len(old) == 1


def test_no_catalogue_is_one_sentence(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOPVIEW_CATALOGUE")
    result = shop.run_job(SYNC_PRODUCTS)
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    assert "TOPVIEW_CATALOGUE: it is not set" in str(failed.step_failure_data)
