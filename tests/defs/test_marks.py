"""A partition's history reads as a story: adopted, parked, held and failed, and nothing on a clean
day."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from tests.defs.shop import ASSETS, NO_SUCH_ID, Shop, made
from tests.defs.test_sensors import leave_behind

MARK = "topview/mark"


def marks(result: dg.ExecuteInProcessResult) -> list[tuple[str, str, str | None, dict[str, Any]]]:
    """(what, asset, product, metadata) of a run's marks."""
    found = []
    for event in result.all_events:
        if event.is_asset_observation:
            seen = event.asset_observation_data.asset_observation
            values: dict[str, Any] = {key: one.value for key, one in seen.metadata.items()}
            if MARK in values:
                found.append(
                    (str(values[MARK]), seen.asset_key.to_user_string(), seen.partition, values)
                )
    return found


def test_a_clean_run_leaves_no_mark(shop: Shop) -> None:
    shop.add("mug", "bag")
    assert marks(shop.catch_up()) == []
    shop.rows["mug"]["script"] = "Something else."
    assert marks(shop.catch_up()) == []


def test_a_held_product_says_why_once_at_the_stage_where_it_stands(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPVIEW_CREDIT_LIMIT", "0.1")
    shop.add("mug", "bag")

    found = marks(shop.catch_up())

    assert {(what, asset, product) for what, asset, product, _ in found} == {
        ("held", "replacedImages", "mug"),
        ("held", "replacedImages", "bag"),
    }
    assert len(found) == 2
    for *_, values in found:
        assert values["topview/reason"] == "budget"
        assert values["topview/until"] > 0
        assert "TOPVIEW_CREDIT_LIMIT" in values["topview/what_to_do"]


def test_a_failed_product_says_why_at_each_stage_that_is_shown_as_failed(shop: Shop) -> None:
    """Its page would say only that a run failed; of two hundred products, which the run made."""
    shop.add("mug")
    shop.add("bad", template_image="", avatar_id=NO_SUCH_ID)
    shop.register()

    ran = shop.materialize("mug", "bad")

    failed = {(asset, product): values for what, asset, product, values in marks(ran)}
    assert set(failed) == {("replacedImages", "bad"), ("finishedVideo", "bad")}
    assert len(marks(ran)) == 2
    values = failed["replacedImages", "bad"]
    assert values[MARK] == "failed"
    assert "change what is refused" in values["topview/what_to_do"]
    assert shop.failed("replacedImages") == {"bad"}


def test_parked_then_adopted(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.add("mug")
    parked = leave_behind(shop, monkeypatch)
    monkeypatch.setenv("TOPVIEW_WAIT_SECONDS", "20")
    adopted = shop.catch_up()

    assert adopted.success
    assert [(what, product) for what, _, product, _ in marks(parked)] == [("parked", "mug")]
    ((what, asset, product, values),) = marks(adopted)
    assert (what, asset, product) == ("adopted", "bgRemovedImage", "mug")
    assert values["topview/submitted_by_run"] == parked.run_id
    assert values["topview/task_id"]


def test_a_mark_makes_nothing_stale(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """An observation without a data version must not look like a change of the asset."""
    shop.add("mug")
    leave_behind(shop, monkeypatch)
    monkeypatch.setenv("TOPVIEW_WAIT_SECONDS", "20")
    shop.catch_up()
    assert shop.stale("mug") == {}

    shop.rows["mug"]["script"] = "Something else."
    monkeypatch.setenv("TOPVIEW_CREDIT_LIMIT", "0.1")
    held = shop.catch_up()
    assert [(what, asset) for what, asset, *_ in marks(held)] == [("held", "finishedVideo")]
    assert set(shop.stale("mug")) == {"finishedVideo"}
    monkeypatch.delenv("TOPVIEW_CREDIT_LIMIT")
    again = shop.catch_up()
    assert made(again) == [(ASSETS[2], "mug")]
    assert shop.stale("mug") == {}
