"""The nightly catch-up: what it may spend, and schedules of one's own."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import dagster as dg
import pytest

from tests.defs.shop import FIVE, Shop, metadata_of
from topview_pipeline.defs.jobs import CATCH_UP, catch_up_config


def tonight(shop: Shop, day: int = 28) -> dg.RunRequest | str:
    """The schedule's request now, or why there is none."""
    schedule = shop.definitions().resolve_schedule_def("nightly_catch_up")
    at = datetime(2026, 11, day, 2, tzinfo=timezone.utc)
    context: Any = dg.build_schedule_context(scheduled_execution_time=at)
    # An instance in memory has no reference, from which Dagster would open another one.
    context._instance_ref, context._instance = "in memory", shop.instance
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


def ticked(shop: Shop, day: int) -> dg.ExecuteInProcessResult:
    """The run that the schedule starts on this day."""
    request = tonight(shop, day)
    assert isinstance(request, dg.RunRequest)
    return shop.run_job(CATCH_UP, run_config=dict(request.run_config), tags=dict(request.tags))


@pytest.mark.slow
def test_ticks_of_a_day_share_its_limit_and_go_on_with_what_is_left(shop: Shop) -> None:
    """Every 15 minutes a limit of its own would be 96 a day."""
    shop.add(*FIVE)
    shop.settings |= {"TOPVIEW_NIGHTLY_CREDIT_LIMIT": "3", "TOPVIEW_RUN_SIZE": "2"}
    first, second = ticked(shop, 28), ticked(shop, 28)
    assert [metadata_of(run, "plan_catch_up")["products_left"] for run in (first, second)] == [3, 2]
    spent = [row.cost_credits or 0.0 for row in shop.rows_in()]
    assert 2.0 < sum(spent) <= 3.0
    ticked(shop, 29)
    assert 3.0 < sum(row.cost_credits or 0.0 for row in shop.rows_in()) <= 6.0


@pytest.mark.slow
def test_a_tick_leaves_the_products_of_a_living_run_to_it(shop: Shop) -> None:
    """Two runs that wait for the same products leave the slots empty at the end of both."""
    shop.add(*FIVE[:4])
    shop.settings |= {"TOPVIEW_NIGHTLY_CREDIT_LIMIT": "50", "TOPVIEW_RUN_SIZE": "2"}
    with shop.ledger() as ledger:
        plan = {"wanted": [(FIVE[0], ["finishedVideo"])]}
        shop.topview().store.write_json(f"{ledger.account}/plans/other.json", plan)
        ledger.workers.start("of the other", run_id="other")
        ticked(shop, 28)
        assert shop.materialized("finishedVideo") == set(FIVE[1:3])
        ledger.workers.end("of the other")
    ticked(shop, 28)
    assert shop.materialized("finishedVideo") == set(FIVE[:4])


@pytest.mark.slow
def test_what_fails_too_often_is_tried_once_a_day_and_does_not_keep_others_from_being_made(
    shop: Shop,
) -> None:
    """A run of two products whose first two always fail would never come to the third."""
    shop.add(*FIVE[:3])
    shop.settings |= {"TOPVIEW_NIGHTLY_CREDIT_LIMIT": "50", "TOPVIEW_RUN_SIZE": "2"}
    shop.control.set_faults(fail=1.0)
    for _ in range(3):
        shop.catch_up(products=list(FIVE[:2]))
    before = len(shop.rows_in())
    assert not ticked(shop, 28).success
    assert len(shop.rows_in()) == before + 2
    shop.control.set_faults()
    ticked(shop, 28)
    assert shop.materialized("finishedVideo") == {FIVE[2]}
    ticked(shop, 29)
    assert shop.materialized("finishedVideo") == set(FIVE[:3])


def test_a_tick_starts_the_next_run_beside_the_last_one_and_never_a_third(shop: Shop) -> None:
    shop.settings["TOPVIEW_NIGHTLY_CREDIT_LIMIT"] = "50"
    tag = {"dagster/schedule_name": "nightly_catch_up"}
    shop.begin_run("STARTED")  # a person's own
    for status in ("STARTED", "STARTING"):
        assert isinstance(tonight(shop), dg.RunRequest)
        run = shop.begin_run(status)
        shop.instance.add_run_tags(run.run_id, tag)
    assert "of this schedule are queued or at work" in str(tonight(shop))
