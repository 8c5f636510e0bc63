"""The nightly catch-up: what it may spend, and schedules of one's own."""

from __future__ import annotations

import dagster as dg
import pytest

from tests.defs.shop import Shop
from topview_pipeline.defs.jobs import catch_up_config


def tonight(shop: Shop) -> dg.RunRequest | str:
    """What the schedule asks for now, or why it does not."""
    schedule = shop.definitions().resolve_schedule_def("nightly_catch_up")
    context = dg.build_schedule_context(shop.instance)
    data = schedule.evaluate_tick(context)
    if data.run_requests:
        (request,) = data.run_requests
        return request
    return str(data.skip_message)


@pytest.mark.parametrize("setting", [None, "much"])
def test_a_night_without_a_limit_spends_nothing(shop: Shop, setting: str | None) -> None:
    if setting is not None:
        shop.settings["TOPVIEW_NIGHTLY_CREDIT_LIMIT"] = setting
    said = tonight(shop)
    assert isinstance(said, str)
    assert "TOPVIEW_NIGHTLY_CREDIT_LIMIT" in said


@pytest.mark.parametrize(("name", "limit"), [("NIGHTLY_CREDIT_LIMIT", 1.5), ("CREDIT_LIMIT", None)])
def test_a_night_has_its_own_limit_or_that_of_the_day(
    shop: Shop, name: str, limit: float | None
) -> None:
    shop.settings[f"TOPVIEW_{name}"] = "1.5"
    request = tonight(shop)
    assert isinstance(request, dg.RunRequest)
    assert request.run_config == catch_up_config(credit_limit=limit)
