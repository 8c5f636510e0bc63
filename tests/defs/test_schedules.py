"""Nights and schedules of one's own: what they may spend, and what their runs say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from tests.defs.shop import ASSETS, Shop, failure_of, made, troubles_of
from topview_pipeline.definitions import defs
from topview_pipeline.defs.jobs import MATERIALIZE_PRODUCTS


def tonight(shop: Shop) -> dg.RunRequest | str:
    """What the schedule asks for now; or why it does not."""
    schedule = defs.resolve_schedule_def("nightly_catch_up")
    context = dg.build_schedule_context(shop.instance)
    data = schedule.evaluate_tick(context)
    if data.run_requests:
        (request,) = data.run_requests
        return request
    return str(data.skip_message)


def numbers_of(result: dg.ExecuteInProcessResult) -> dict[str, float]:
    """Planned against real, from the metadata of the op that produced."""
    (event,) = [
        event
        for event in result.all_events
        if event.step_key == "produce" and (event.is_step_failure or event.is_successful_output)
    ]
    user = event.step_failure_data.user_failure_data if event.is_step_failure else None
    metadata: Any = user.metadata if user else event.step_output_data.metadata
    return {
        key: value.value for key, value in metadata.items() if key.endswith(("planned", "real"))
    }


def test_a_night_without_any_limit_spends_nothing_and_says_what_to_set(shop: Shop) -> None:
    said = tonight(shop)
    assert isinstance(said, str)
    assert "TOPVIEW_NIGHTLY_CREDIT_LIMIT" in said


def test_a_bad_setting_is_one_sentence_in_the_tick(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPVIEW_NIGHTLY_CREDIT_LIMIT", "much")
    said = tonight(shop)
    assert isinstance(said, str)
    assert "TOPVIEW_NIGHTLY_CREDIT_LIMIT" in said


def test_the_limit_of_the_day_is_limit_enough(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPVIEW_CREDIT_LIMIT", "10")
    request = tonight(shop)
    assert isinstance(request, dg.RunRequest)
    assert request.run_config["ops"]["plan_catch_up"]["config"] == {"credit_limit": None}


def test_a_night_makes_what_its_limit_allows_and_its_run_compares_plan_and_outcome(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scene is 1 credit, a video 0.4: of two products one is within 1.5 credits."""
    shop.add("mug", "shoe")
    shop.write()
    monkeypatch.setenv("TOPVIEW_NIGHTLY_CREDIT_LIMIT", "1.5")
    monkeypatch.setenv("TOPVIEW_MAX_CONCURRENT_TASKS", "1")
    request = tonight(shop)
    assert isinstance(request, dg.RunRequest)

    result = shop.run_job("catch_up", run_config=request.run_config)

    assert not result.success
    assert {trouble["outcome"] for trouble in troubles_of(result)} == {"held"}
    assert shop.counters()["charged"] <= 1.5
    numbers = numbers_of(result)
    assert numbers["topview/tasks_planned"] == 6
    assert numbers["topview/tasks_real"] == len(made(result)) < 6
    assert numbers["topview/credits_planned"] > 1.5 >= numbers["topview/credits_real"] > 0


def test_a_run_that_went_well_compares_plan_and_outcome_too(shop: Shop) -> None:
    shop.add("mug", "bag")

    first = numbers_of(shop.catch_up())
    nothing = numbers_of(shop.catch_up())

    assert first["topview/tasks_planned"] == first["topview/tasks_real"] == 6
    assert first["topview/credits_planned"] == pytest.approx(first["topview/credits_real"])
    assert first["topview/credits_real"] == pytest.approx(2.8)
    assert set(nothing.values()) == {0.0}
    assert nothing.keys() == first.keys()


def test_a_run_that_goes_on_with_orders_planned_none_of_them(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add("mug")
    shop.slots(0)
    monkeypatch.setenv("TOPVIEW_WAIT_SECONDS", "0")
    assert not shop.catch_up().success
    shop.slots(4)
    orders = [{"product": "mug", "stage": stage} for stage in ASSETS]

    result = shop.catch_up(orders=orders, explicit=False)

    assert result.success
    assert numbers_of(result).keys() == {
        "topview/tasks_real",
        "topview/credits_real",
        "topview/seconds_real",
    }
    assert numbers_of(result)["topview/tasks_real"] == 3


def test_a_night_leaves_what_a_person_ordered_under_the_persons_limit(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ordered without a limit and on its way: a night with none to spend makes it all the same."""
    shop.add("mug", "shoe")
    shop.slots(0)
    monkeypatch.setenv("TOPVIEW_WAIT_SECONDS", "0")
    shop.catch_up(products=["mug"])
    shop.slots(4)
    monkeypatch.setenv("TOPVIEW_WAIT_SECONDS", "20")
    monkeypatch.setenv("TOPVIEW_NIGHTLY_CREDIT_LIMIT", "0.5")
    request = tonight(shop)
    assert isinstance(request, dg.RunRequest)

    result = shop.run_job(
        "catch_up",
        run_config=request.run_config,
        tags={"dagster/schedule_name": "nightly_catch_up"},
    )

    assert {trouble["product"] for trouble in troubles_of(result)} == {"shoe"}
    assert {asset for asset, product in made(result) if product == "mug"} == set(ASSETS)


@pytest.mark.parametrize(("first", "last"), [("shoe", None), ("mug", "bag")])
def test_the_asset_job_makes_one_product_or_a_range_in_one_run(
    shop: Shop, first: str, last: str | None
) -> None:
    """As in the README's schedule of one's own."""
    shop.add("mug", "shoe", "bag", "cap")
    shop.register()
    shop.write()
    options: dict[str, Any] = {"partition_key": first}
    if last is not None:
        options = {
            "tags": {
                "dagster/asset_partition_range_start": first,
                "dagster/asset_partition_range_end": last,
            }
        }

    result = shop.run_job(MATERIALIZE_PRODUCTS, **options)

    assert result.success
    products = ["shoe"] if last is None else ["mug", "shoe", "bag"]
    assert sorted(made(result)) == sorted((asset, key) for asset in ASSETS for key in products)
    assert shop.materialized("finishedVideo") == set(products)


@pytest.fixture
def lasting_shop(shop: Shop, tmp_path: Path) -> Iterator[Shop]:
    """A shop whose instance a schedule can reach."""
    (tmp_path / "instance").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "instance")) as shop.instance:
        yield shop


def test_the_readmes_schedule_makes_a_range_under_its_limit(lasting_shop: Shop) -> None:
    shop = lasting_shop
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    (example,) = [code for code in examples if "mondays_products" in code]
    names: dict[str, Any] = {"__name__": "shop"}
    exec(compile(example, "README.md", "exec"), names)  # noqa: S102 - the README is ours
    shop.defs = names["defs"]
    shop.add("mug", "shoe")
    shop.register()
    shop.write()
    schedule = shop.defs.resolve_schedule_def("mondays_products")
    context = dg.build_schedule_context(shop.instance)
    (request,) = schedule.evaluate_tick(context).run_requests or []
    options = {"run_config": request.run_config, "tags": dict(request.tags)}

    result = shop.run_job(MATERIALIZE_PRODUCTS, **options)

    assert result.success
    assert shop.materialized("finishedVideo") == {"mug", "shoe"}
    limits = request.run_config["ops"]["product_videos"]["config"]
    assert limits == {"credit_limit": 50.0}


def test_the_asset_job_is_partitioned_by_product_and_never_retried_as_a_whole() -> None:
    job = defs.resolve_job_def(MATERIALIZE_PRODUCTS)
    assert isinstance(job.partitions_def, dg.DynamicPartitionsDefinition)
    assert job.partitions_def.name == "products"
    assert job.executor_def is dg.in_process_executor
    assert job.tags["dagster/retry_on_asset_or_op_failure"] == "false"


def change_the_default_mode(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default mode is another one: every made video is stale."""
    shop.add("mug", "shoe", "bag", "cap", "pen")
    shop.register()
    assert shop.catch_up().success
    monkeypatch.setenv("TOPVIEW_DEFAULT_MODE", "avatar4")


@pytest.mark.parametrize("how", ["catch_up", "range"])
def test_a_default_that_makes_most_of_the_catalogue_anew_is_held_in_every_run_over_many(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    change_the_default_mode(shop, monkeypatch)
    paid = shop.accepted()

    result = shop.catch_up() if how == "catch_up" else shop.materialize("mug", "bag")

    assert not result.success
    said = failure_of(result)
    assert "TOPVIEW_DEFAULT_MODE changed, and 5 of 5 products that are made" in said
    assert "run --accept-change" in said
    assert "Traceback" not in said
    assert shop.accepted() == paid
    with shop.ledger() as ledger:
        assert ledger.orders.open_orders() == []


def test_one_product_is_named_and_never_held(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    change_the_default_mode(shop, monkeypatch)
    assert shop.materialize("mug").success
    assert shop.catch_up(products=["shoe", "bag"]).success
    assert shop.accepted()["image2Video"] == 8
