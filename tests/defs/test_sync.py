"""The free sync_products job: a catalogue is seen in Dagster before anything was paid for."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from tests.defs.shop import Shop, observed
from topview_pipeline.defs.jobs import SYNC_PRODUCTS

SOURCES = ("productImage", "productScene", "productScript")


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
def test_a_new_catalogue_becomes_partitions_with_versions_and_nobody_is_paid(shop: Shop) -> None:
    shop.add("mug", "shoe")

    result = sync(shop)

    assert result.success
    assert shop.instance.get_dynamic_partitions("products") == ["mug", "shoe"]
    assert set(observed(result)) == {(source, key) for source in SOURCES for key in shop.rows}
    assert told(result) == {
        "products": 2,
        "new_products": 2,
        "products_that_left": 0,
        "observed_changes": 6,
        "catalogue_problems": 0,
        "catalogue_warnings": 0,
    }
    assert shop.accepted() == {}


@pytest.mark.usefixtures("without_account")
def test_only_what_changed_is_observed_again(shop: Shop) -> None:
    shop.add("mug", "shoe")
    sync(shop)
    shop.rows["mug"]["script"] = "Another word."
    assert observed(sync(shop)) == [("productScript", "mug")]
    assert observed(sync(shop)) == []


@pytest.mark.usefixtures("without_account")
def test_products_that_left_stay_and_are_counted_and_a_bad_row_has_not_left(shop: Shop) -> None:
    shop.add("mug", "shoe", "bag")
    sync(shop)
    del shop.rows["shoe"]
    shop.rows["bag"]["location"] = "[[2, 2]]"

    result = sync(shop)

    assert shop.instance.get_dynamic_partitions("products") == ["mug", "shoe", "bag"]
    assert told(result)["products_that_left"] == 1
    assert told(result)["catalogue_problems"] == 1


@pytest.mark.parametrize("job", ["sync_products", "catch_up"])
def test_a_misspelt_column_is_said_in_the_run(shop: Shop, job: str) -> None:
    """Else a whole catalogue is paid for without what the column was to say."""
    shop.add("mug", voice="soft")
    result = sync(shop) if job == SYNC_PRODUCTS else shop.catch_up(stages=["bgRemovedImage"])

    (warning,) = warnings_of(shop, result)
    assert "column 'voice' is not known" in warning
    outputs = [event.step_output_data for event in result.all_events if event.is_successful_output]
    assert outputs[0].metadata["topview/catalogue_warnings"].value == 1


def test_no_catalogue_is_one_sentence(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOPVIEW_CATALOGUE")
    result = shop.run_job(SYNC_PRODUCTS)
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    assert "TOPVIEW_CATALOGUE: it is not set" in str(failed.step_failure_data)
