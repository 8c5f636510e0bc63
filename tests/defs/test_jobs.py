"""The jobs: catch_up (plans, force, limits, guards), resume_tasks, sync_products."""

from __future__ import annotations

import time
from typing import Any

import dagster as dg
import pytest

from tests.defs.shop import (
    ASSETS,
    CUT_OUT,
    FIVE,
    PRODUCTS,
    REFUSED,
    Patch,
    Shop,
    failure_of,
    made,
    metadata_of,
    observed,
    outcomes,
    pipeline,
    troubles_of,
)
from topview_pipeline.catalogue import files, references
from topview_pipeline.defs.jobs import (
    CATCH_UP,
    RESUME_TASKS,
    SYNC_PRODUCTS,
    CatchUpConfig,
    StageKey,
    catch_up_config,
)
from topview_pipeline.defs.outline import MANIFEST
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.settings import PipelineConfig
from topview_pipeline.stages import BY_KEY


def plan_of(result: dg.ExecuteInProcessResult) -> list[tuple[Any, ...]]:
    """(product, stage, why, credits) of the plan's table."""
    table = metadata_of(result, "plan_catch_up")["plan"]
    return [tuple(record.data.values()) for record in table.records]


# catch_up: what it plans and makes.


def test_the_whole_catalogue_then_nothing_to_do(shop: Shop) -> None:
    shop.add("mug", "bag")

    first = shop.catch_up()
    paid = shop.accepted()
    second = shop.catch_up()

    assert first.success
    assert second.success
    assert set(made(first)) == {(asset, product) for asset in ASSETS for product in shop.rows}
    assert {why for _, _, why, _ in plan_of(first)} == {"new"}
    assert made(second) == plan_of(second) == []
    assert shop.accepted() == paid == dict.fromkeys(paid, 2)
    numbers, nothing = metadata_of(first, "produce"), metadata_of(second, "produce")
    assert numbers["tasks_planned"] == numbers["tasks_actual"] == 6
    assert numbers["credits_actual"] == pytest.approx(2.8)
    assert numbers["credits_planned"] == pytest.approx(3.6), "a few words may take two seconds"
    assert nothing == dict.fromkeys(numbers, 0.0)


def job_of_the_environment() -> dg.JobDefinition:
    """The job as another process would load it. Dagster loads it once a process."""
    return pipeline(TopviewResource(PipelineConfig.from_environment)).resolve_job_def(CATCH_UP)


@pytest.mark.slow
def test_force_pays_once_though_the_run_is_executed_again(shop: Shop, monkeypatch: Patch) -> None:
    """Dagster's run retries go on from the plan in the store, on whatever machine."""
    shop.add("mug")
    shop.catch_up()
    for name, value in shop.settings.items():
        monkeypatch.setenv(name, value)
    config = catch_up_config(force=True, everything=True, stages=["finishedVideo"])
    job = dg.reconstructable(job_of_the_environment)
    run = dg.execute_job(job, instance=shop.instance, run_config=config)
    assert run.success
    paid = shop.accepted()
    assert (paid["image2Video"], paid["image_replace"]) == (2, 1)

    for steps in (["produce"], ["produce"], []):
        run = dg.execute_job(
            job,
            instance=shop.instance,
            run_config=config,
            reexecution_options=dg.ReexecutionOptions(run.run_id, step_selection=steps),
        )
        assert run.success
    assert shop.accepted() == paid


@pytest.mark.slow
def test_failed_products_are_shown_as_failed_until_a_success_clears_them(shop: Shop) -> None:
    """An op job's failure marks no partition by itself."""
    shop.add("mug")
    shop.add("bag", **REFUSED)

    broken = shop.catch_up()

    assert outcomes(broken) == {("bag", asset, "failed") for asset in ASSETS[1:]}
    assert shop.failed("bgRemovedImage") == set()
    assert shop.failed("replacedImages") == shop.failed("finishedVideo") == {"bag"}

    shop.rows["bag"] = {**shop.rows["mug"], "script": "This is the bag."}
    assert shop.catch_up().success
    assert shop.failed("replacedImages") == shop.failed("finishedVideo") == set()
    assert shop.materialized("finishedVideo") == {"mug", "bag"}


def test_what_is_refused_is_not_priced_not_sent_again_and_uses_up_no_limit(shop: Shop) -> None:
    shop.add("bag", **REFUSED)
    shop.catch_up()
    submits = shop.control.counters()["submits"]

    again = shop.catch_up()

    assert shop.control.counters()["submits"] == submits
    prices = [(stage, price) for _, stage, _, price in plan_of(again)]
    assert prices == [("replacedImages", "0"), ("finishedVideo", "0")]
    shop.add("mug", "shoe")
    limited = shop.catch_up(limit=1)
    assert {product for _, product in made(limited)} == {"mug"}
    assert {row["product"] for row in troubles_of(limited)} == {"bag"}


def test_of_scattered_products_bad_ones_are_named_and_others_are_left_alone(shop: Shop) -> None:
    shop.add("mug")
    shop.add("bag", location="[[2, 2]]")
    shop.add("cap", image=str(shop.folder / "nowhere.png"))
    shop.add("shoe", "pen")

    result = shop.catch_up(products=["mug", "bag", "cap", "hat", "pen"], stages=CUT_OUT)

    assert set(made(result)) == {(*CUT_OUT, "mug"), (*CUT_OUT, "pen")}
    assert shop.instance.get_dynamic_partitions(PRODUCTS) == ["mug", "cap", "shoe", "pen"]
    what = {row["product"]: row["what"] for row in troubles_of(result)}
    assert "line 3" in what["bag"]
    assert "location" in what["bag"]
    assert "nowhere.png" in what["cap"]
    assert "not in the catalogue" in what["hat"]
    assert shop.accepted() == {"remove_background": 2}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, None),
        ({"force": True, "products": ["mug"]}, None),
        ({"force": True, "everything": True, "stages": [StageKey("finishedVideo")]}, None),
        ({"force": True}, "pay for the whole catalogue again"),
        ({"force": True, "limit": 3}, "pay for the whole catalogue again"),
        ({"force": True, "everything": True, "products": ["mug"]}, "everything goes without"),
        ({"everything": True, "products": ["mug"]}, "everything goes without"),
    ],
)
def test_what_cannot_be_meant_is_contradicted(config: dict[str, Any], said: str | None) -> None:
    found = CatchUpConfig(**config).contradiction()
    assert found is None if said is None else said in str(found)


def test_a_config_that_cannot_be_meant_ends_the_run_before_anything_is_paid(shop: Shop) -> None:
    shop.add("mug")
    assert "the run's config: force without products" in failure_of(shop.catch_up(force=True))
    with pytest.raises(dg.DagsterInvalidConfigError, match="not in enum type StageKey"):
        shop.catch_up(stages=["finalVideo"])
    assert shop.accepted() == {}
    assert [key.value for key in StageKey] == list(BY_KEY), "the launchpad offers what there is"


# catch_up: limits and guards.


def test_the_limits_of_run_and_day_hold_what_is_over_them(shop: Shop) -> None:
    shop.add("mug", "shoe")
    shop.settings["TOPVIEW_SLOTS"] = "1"

    by_run = shop.catch_up(credit_limit=1.5)

    assert {row["outcome"] for row in troubles_of(by_run)} == {"held"}
    numbers = metadata_of(by_run, "produce")
    assert numbers["tasks_planned"] == 6
    assert numbers["tasks_actual"] == len(made(by_run)) < 6
    assert numbers["credits_planned"] > 1.5 >= numbers["credits_actual"] > 0
    assert all(shop.failed(asset) == set() for asset in ASSETS), "it waits, and nothing failed"

    charged = shop.control.counters()["charged"]
    shop.settings["TOPVIEW_CREDIT_LIMIT"] = str(charged)
    assert "raise TOPVIEW_CREDIT_LIMIT" in failure_of(shop.catch_up())
    assert shop.control.counters()["charged"] == charged


def test_a_limit_that_would_limit_nothing_is_refused_in_one_sentence(shop: Shop) -> None:
    shop.add("mug")
    config = {"ops": {"product_videos": {"config": {"credit_limit": float("nan")}}}}
    for amount, run in (
        (-1.0, shop.catch_up(credit_limit=-1.0)),
        (float("inf"), shop.catch_up(credit_limit=float("inf"))),
        (float("nan"), shop.materialize("mug", run_config=config)),
    ):
        said = failure_of(run)
        assert f"credit_limit in the run's config: {amount} is not an amount of credits." in said
        assert "Traceback" not in said
    assert shop.accepted() == {}


@pytest.mark.slow
def test_a_change_that_makes_a_fifth_again_is_refused_until_it_is_accepted(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a default of the settings is another one: all rows would be paid again."""
    shop.add(*FIVE)
    shop.catch_up(stages=CUT_OUT)
    for number in range(1, 6):
        shop.picture(f"photo{number}.png", (9, 9, number))
    read = references.read

    def slowly(*arguments: Any, **options: Any) -> Any:
        time.sleep(0.5)
        return read(*arguments, **options)

    # A slow host: the guard passes no photo that nobody has looked at.
    with monkeypatch.context() as slow:
        slow.setattr(files, "read", slowly)
        slow.setattr("topview_pipeline.plan.PATIENCE_SECONDS", 0.05)
        said = failure_of(shop.catch_up(stages=CUT_OUT))
    assert "5 held" in said
    assert "its server answered too late for the plan" in said

    said = failure_of(shop.catch_up(stages=CUT_OUT))
    assert "5 of its 5 products with results would be remade" in said
    assert "--accept-change" in said
    assert "Traceback" not in said
    assert shop.accepted() == {"remove_background": 5}
    alone = shop.catch_up(products=["mug"], stages=CUT_OUT)
    assert alone.success, "by itself a product may try the change"
    assert shop.catch_up(stages=CUT_OUT, accept_change=True).success
    assert shop.accepted() == {"remove_background": 10}


def test_a_catalogue_that_lost_a_fifth_is_refused_until_it_is_accepted(shop: Shop) -> None:
    shop.add(*FIVE, "hat")
    assert shop.run_job(SYNC_PRODUCTS).success
    shop.remove(*FIVE)
    shop.add("new")

    for result in (
        shop.catch_up(),
        shop.run_job(SYNC_PRODUCTS),
        shop.materialize("hat"),
        shop.materialize(None, assets=[MANIFEST]),
    ):
        said = failure_of(result)
        assert "5 of its 6 products are gone, such as bag, cap, mug" in said
        assert "--accept-change" in said
        assert "Traceback" not in said
    assert shop.accepted() == {}
    assert shop.held_catalogue()
    with shop.ledger() as ledger:
        assert ledger.catalogue.products() == {*FIVE, "hat"}

    assert shop.catch_up(stages=CUT_OUT, accept_change=True).success

    assert shop.materialized("bgRemovedImage") == {"hat", "new"}
    assert not shop.held_catalogue()
    with shop.ledger() as ledger:
        assert ledger.catalogue.retired() == set(FIVE)


# resume_tasks.


def fail_once(shop: Shop, **config: Any) -> None:
    """A catch_up whose cut-outs fail at Topview and are due again."""
    shop.control.set_faults(fail=1.0)
    result = shop.catch_up(stages=CUT_OUT, **config)
    shop.control.set_faults()
    assert {row["outcome"] for row in troubles_of(result)} == {"held"}
    assert "retried automatically" in failure_of(result)
    shop.make_retries_due()


@pytest.mark.parametrize("catalogue", ["python:no.such:thing", ""])
def test_without_a_catalogue_submitted_tasks_come_home(shop: Shop, catalogue: str) -> None:
    shop.add("mug", "bag")
    fail_once(shop, products=["bag"])
    shop.leave_pending(products=["mug"], stages=CUT_OUT)
    shop.settings["TOPVIEW_CATALOGUE"] = catalogue

    home = shop.run_job(RESUME_TASKS)

    assert home.success
    assert made(home) == [("bgRemovedImage", "mug")]
    assert shop.accepted() == {"remove_background": 2}, "the failed one waits for the catalogue"
    logs = shop.instance.all_logs(home.run_id)
    assert any("are not retried" in entry.user_message for entry in logs)


def test_a_failed_task_that_nothing_wants_is_not_tried_again(shop: Shop) -> None:
    """One product has another photo by now, and one left the catalogue."""
    shop.add(*FIVE)
    fail_once(shop, products=["mug", "shoe"])
    shop.picture("photo1.png", (9, 9, 9))
    shop.remove("shoe")

    result = shop.run_job(RESUME_TASKS)

    assert result.success
    assert made(result) == []
    assert shop.accepted() == {"remove_background": 2}
    assert shop.catch_up(products=["mug"], stages=CUT_OUT).success
    with shop.ledger() as ledger:
        due = [row.product_id for row in ledger.orphans.retries_due()]
    assert due == ["shoe"], "the sensor would start a run for the new photo's old task"


def test_the_third_failure_is_shown_as_failed(shop: Shop, monkeypatch: Patch) -> None:
    monkeypatch.setattr("topview_pipeline.engine.product_run._LONGEST_WAIT_IN_RUN", 0.0)
    shop.add("mug")
    fail_once(shop)
    shop.control.set_faults(fail=1.0)
    for _ in range(2):
        result = shop.run_job(RESUME_TASKS)
        shop.make_retries_due()

    assert shop.accepted() == {"remove_background": 3}
    assert outcomes(result) == {("mug", "bgRemovedImage", "failed")}
    assert shop.failed("bgRemovedImage") == {"mug"}
    with shop.ledger() as ledger:
        assert ledger.orphans.retries_due() == []


# sync_products.


def test_a_new_catalogue_becomes_partitions_without_an_account(shop: Shop) -> None:
    del shop.settings["TOPVIEW_UID"], shop.settings["TOPVIEW_API_KEY"]
    shop.add("mug", "shoe")

    result = shop.run_job(SYNC_PRODUCTS)

    assert result.success
    assert shop.instance.get_dynamic_partitions(PRODUCTS) == ["mug", "shoe"]
    assert observed(result) == [], "nothing was made, so nothing can be stale"
    assert metadata_of(result, "sync_with_catalogue") == {
        "products": 2,
        "new_products": 2,
        "products_that_left": 0,
        "observed_changes": 0,
        "catalogue_problems": 0,
        "catalogue_warnings": 0,
    }


@pytest.mark.parametrize(
    ("job", "op"), [(SYNC_PRODUCTS, "sync_with_catalogue"), (CATCH_UP, "plan_catch_up")]
)
def test_a_misspelt_column_and_a_bad_row_are_said_in_the_run(shop: Shop, job: str, op: str) -> None:
    """Else a whole catalogue is paid for without what the column was to say."""
    shop.add("mug", voice="soft")
    shop.add("bag", image="/x.png", mode="modern")
    result = shop.run_job(job)
    logs = shop.instance.all_logs(result.run_id)
    bad_row, column, *_ = (entry.user_message for entry in logs if entry.level == 30)
    assert "line 3, column mode (product 'bag'): there is no mode 'modern'" in bad_row
    assert "column 'voice' is unknown" in column
    metadata = metadata_of(result, op)
    assert (metadata["catalogue_problems"], metadata["catalogue_warnings"]) == (1, 1)
    assert metadata["catalogue_problem_rows"].records[0].data["product"] == "bag"
