"""The standing checks: what is wrong over all products, and that nothing is said of a calm day."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from tests.defs.shop import NO_SUCH_ID, Shop
from tests.ledger.conftest import order, reserve
from topview_pipeline import concerns
from topview_pipeline.definitions import defs
from topview_pipeline.defs.standing import QUESTIONS, standing_checks_sensor
from topview_pipeline.ledger import Ledger, TaskState

NAMES = [question.name for question in QUESTIONS]


def evaluated(shop: Shop) -> dict[str, dg.AssetCheckEvaluation]:
    """All of them, run as from the UI."""
    job = defs.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection=set(),
        asset_check_selection={
            dg.AssetCheckKey(dg.AssetKey("videoManifest"), name) for name in NAMES
        },
    )
    result = job.execute_in_process(instance=shop.instance)
    return {one.check_name: one for one in result.get_asset_check_evaluations()}


class Watch:
    """Ticks the sensor as Dagster's daemon does."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self.cursor: str | None = None

    def tick(self) -> dict[str, bool] | str:
        """Whether each check that it told of passed, or why it told of none."""
        context = dg.build_sensor_context(
            instance=self._shop.instance,
            cursor=self.cursor,
            definitions=defs,
            resources={"ledger": (defs.resources or {})["ledger"]},
        )
        with context:
            answer: Any = standing_checks_sensor(context)
        if isinstance(answer, dg.SkipReason):
            return str(answer.skip_message)
        self.cursor = answer.cursor
        return {one.check_name: one.passed for one in answer.asset_events}


def unknown_row(ledger: Ledger, product: str) -> None:
    row = reserve(ledger, order(ledger, product))
    ledger.tasks.ended(row.id, TaskState.UNKNOWN, why="its answer was lost", who="test")


def test_every_question_has_an_answer(shop: Shop) -> None:
    with shop.ledger() as ledger:
        assert list(concerns.concerns(ledger, now=ledger.now())) == NAMES


def test_a_calm_day_passes_all(shop: Shop) -> None:
    shop.add("mug")
    shop.catch_up()

    found = evaluated(shop)

    assert {name: one.passed for name, one in found.items()} == dict.fromkeys(NAMES, True)
    assert all(one.metadata["topview/count"].value == 0 for one in found.values())


def test_each_trouble_has_count_sample_and_way_out(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add("mug", "bag")
    shop.add("bad", image="", product_image_file_id=NO_SUCH_ID)
    monkeypatch.setenv("TOPVIEW_CREDIT_LIMIT", "1.2")
    shop.catch_up()
    with shop.ledger() as ledger:
        unknown_row(ledger, "lost")

    found = evaluated(shop)

    assert {name for name, one in found.items() if not one.passed} == {
        "products_failed",
        "tasks_unknown",
        "held_by_budget_or_pause",
    }
    failed, lost, held = (found[name] for name in (NAMES[0], NAMES[1], NAMES[3]))
    assert failed.metadata["topview/count"].value == 1
    assert {record.data["product"] for record in sample(failed)} == {"bad"}
    assert lost.metadata["topview/count"].value == 1
    assert "tasks reconcile" in (lost.description or "")
    assert held.severity is dg.AssetCheckSeverity.WARN
    assert failed.severity is dg.AssetCheckSeverity.ERROR
    assert "TOPVIEW_CREDIT_LIMIT" in str(held.metadata["topview/way_out"].value)


def sample(one: dg.AssetCheckEvaluation) -> list[dg.TableRecord]:
    table = one.metadata["topview/sample"]
    assert isinstance(table, dg.TableMetadataValue)
    return list(table.records)


def test_a_paid_result_that_nobody_brings_home_is_seen_in_time(shop: Shop) -> None:
    """Topview throws it away after seven days."""
    with shop.ledger() as ledger:
        row = reserve(ledger, order(ledger, "mug"))
        ledger.tasks.accepted(row.id, "t-1", who="dead")
        ledger.tasks.succeeded(row.id, result={}, cost_credits=1.0, who="dead")
        soon = concerns.concerns(ledger, now=ledger.now() + 2 * 86400)
        late = concerns.concerns(ledger, now=ledger.now() + 4 * 86400)
    assert soon["results_about_to_expire"].is_calm
    (case,) = late["results_about_to_expire"].sample
    assert (case.product, case.task_id) == ("mug", "t-1")


def test_thousands_of_cases_show_twenty(shop: Shop) -> None:
    with shop.ledger() as ledger:
        for number in range(30):
            failed = order(ledger, f"p{number}")
            ledger.orders.failed(failed.id, {"what": "no", "mend": "yes"})
        found = concerns.concerns(ledger, now=ledger.now())["products_failed"]
    assert found.count == 30
    assert len(found.sample) == 20


def test_the_sensor_tells_what_changed_and_only_that(shop: Shop) -> None:
    watch = Watch(shop)
    assert watch.tick() == dict.fromkeys(NAMES, True)
    assert "nothing changed" in str(watch.tick())
    with shop.ledger() as ledger:
        unknown_row(ledger, "lost")
    assert watch.tick() == {"tasks_unknown": False}
    assert "1 tasks_unknown" in str(watch.tick())


def test_without_an_account_the_sensor_skips_with_one_sentence(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOPVIEW_UID")
    assert "TOPVIEW_UID" in str(Watch(shop).tick())


def test_a_run_of_products_does_not_evaluate_them(shop: Shop) -> None:
    """They would be events of every run of a backfill."""
    shop.add("mug")
    shop.register()
    told = shop.materialize("mug").get_asset_check_evaluations()
    assert {one.check_name for one in told} == {"quality"}
