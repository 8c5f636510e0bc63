"""The checks of products and of the whole account, as Dagster shows them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import SecretStr

from tests.defs.shop import ASSETS, OUTLINE, Shop
from tests.ledger.conftest import reserve, row_in
from tests.stages.toy import FOUR_STAGES
from topview_pipeline.defs import checks
from topview_pipeline.defs.checks import CATALOGUE_ROWS, QUALITY, evaluation, product_check_specs
from topview_pipeline.defs.health_checks import (
    HEALTH_CHECKS,
    LEDGER_LOST,
    OUT_OF_DATE,
    health_checks,
    health_checks_sensor,
)
from topview_pipeline.defs.outline import MANIFEST
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.defs.sensors import catalogue_sensor
from topview_pipeline.ledger import Ledger, Review, TaskState
from topview_pipeline.ledger.health import health
from topview_pipeline.media import Outcome, Verdict
from topview_pipeline.settings import PipelineConfig

ASKED = [check.name for check in HEALTH_CHECKS]


# A product's check.


@pytest.mark.parametrize(
    ("outcome", "passed", "severity"),
    [
        (Outcome.PASSED, True, dg.AssetCheckSeverity.ERROR),
        (Outcome.UNMEASURED, True, dg.AssetCheckSeverity.ERROR),
        (Outcome.DOUBTFUL, False, dg.AssetCheckSeverity.WARN),
        (Outcome.FAILED, False, dg.AssetCheckSeverity.ERROR),
    ],
)
def test_a_doubt_warns_and_a_failure_is_an_error(
    outcome: Outcome, passed: bool, severity: dg.AssetCheckSeverity
) -> None:
    found = evaluation(dg.AssetKey("finishedVideo"), "mug", Verdict(outcome, "It is silent."), None)
    assert (found.asset_key.to_user_string(), found.partition) == ("finishedVideo", "mug")
    assert (found.check_name, found.passed, found.severity) == (QUALITY, passed, severity)


def test_a_verdict_is_shown_with_its_fix_and_what_was_measured_beside_its_limits() -> None:
    verdict = Verdict(
        Outcome.FAILED,
        "It is silent.",
        "Make it again.",
        {"video_seconds": 7.25, "shortest_seconds": 3, "longest_seconds": 9, "sound_seconds": 0},
        ("the picture",),
    )
    found = evaluation(dg.AssetKey("finishedVideo"), "mug", verdict, None)
    assert found.description == "mug: It is silent. Make it again."
    assert found.metadata["topview/what_to_do"].value == "Make it again."
    assert found.metadata["topview/not_measured"].value == "the picture"
    table = found.metadata["topview/measured"]
    assert isinstance(table, dg.TableMetadataValue)
    assert [tuple(record.data.values()) for record in table.records] == [
        ("video seconds", "7.25", "3.0 to 9.0"),
        ("sound seconds", "0", ""),
    ]


def test_every_stage_has_a_check_by_product_also_a_fourth_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checks, "STAGES", FOUR_STAGES)
    specs = product_check_specs(OUTLINE)
    assert [spec.asset_key.to_user_string() for spec in specs] == [one.key for one in FOUR_STAGES]
    assert {spec.name for spec in specs} == {QUALITY}
    assert all(spec.partitions_def == OUTLINE.products for spec in specs)
    for spec, stage in zip(specs, FOUR_STAGES, strict=True):
        assert str(spec.description).startswith(stage.check_description)


# The health checks.


class Account:
    """A ledger, and Dagster with the health checks alone."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance, **settings: Any) -> None:
        given: dict[str, Any] = {"uid": "u", "home": folder, **settings}
        self.topview = TopviewResource(PipelineConfig(**given))
        self.instance = instance
        self.cursor: str | None = None
        if self.topview.config.uid is not None:
            with self.topview.ledger() as ledger:
                identity = self.topview.store.identity(create=True)
                ledger.remember_store(str(identity), who="first run")
        manifest = dg.AssetSpec(MANIFEST)
        self.defs = dg.Definitions(
            assets=[manifest],
            asset_checks=[health_checks(self.topview)],
            sensors=[health_checks_sensor(self.topview)],
            resources={"topview": self.topview},
        )

    def evaluated(self, *names: str) -> dict[str, dg.AssetCheckEvaluation]:
        """These checks, all by default, run as from the UI."""
        manifest = dg.AssetKey(MANIFEST)
        job = self.defs.resolve_implicit_global_asset_job_def().get_subset(
            asset_selection=set(),
            asset_check_selection={dg.AssetCheckKey(manifest, name) for name in names or ASKED},
        )
        result = job.execute_in_process(instance=self.instance, raise_on_error=False)
        self.said = [
            str(event.step_failure_data.error)
            for event in result.all_events
            if event.is_step_failure and event.step_failure_data.error
        ]
        return {one.check_name: one for one in result.get_asset_check_evaluations()}

    def tick(self) -> dict[str, bool] | str:
        """True for each reported check that passed, or why the sensor reports none."""
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, definitions=self.defs
        )
        with context:
            answer: Any = health_checks_sensor(self.topview)(context)
            self.cursor = context.cursor
        if isinstance(answer, dg.SkipReason):
            return str(answer.skip_message)
        self.cursor = answer.cursor
        return {one.check_name: one.passed for one in answer.asset_events}

    def lose_an_answer(self, product_id: str) -> None:
        with self.topview.ledger() as ledger:
            row_in(ledger, TaskState.UNKNOWN, product_id)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def account(tmp_path: Path, instance: dg.DagsterInstance) -> Account:
    return Account(tmp_path, instance, api_key=SecretStr("k"), credit_limit=4.0)


def test_every_health_question_is_a_check(account: Account) -> None:
    with account.topview.ledger() as ledger:
        assert [LEDGER_LOST, *health(ledger, credits_a_day=None)] == ASKED


def test_a_calm_day_passes_all(account: Account) -> None:
    found = account.evaluated()
    assert {name: one.passed for name, one in found.items()} == dict.fromkeys(ASKED, True)
    assert {one.description for one in found.values()} == {"Nothing to do."}
    assert all(one.metadata["topview/count"].value == 0 for one in found.values())


def test_each_trouble_has_count_sample_and_the_way_to_recover(account: Account) -> None:
    with account.topview.ledger() as ledger:
        fail(ledger, "mug")
        row_in(ledger, TaskState.STORED, "hat", estimate=3.0)
    account.lose_an_answer("lost")

    found = account.evaluated()

    not_well = {"products_failed", "tasks_unknown", "credits_used_up"}
    assert {name for name, one in found.items() if not one.passed} == not_well
    failed = found["products_failed"]
    assert failed.severity is dg.AssetCheckSeverity.WARN, "one product's trouble is no red manifest"
    assert found["tasks_unknown"].severity is dg.AssetCheckSeverity.ERROR
    # "1. Products ..." would be drawn as an item of a list, without its number.
    assert not any(
        str(one.description)[:3].strip("0123456789").startswith(".") for one in found.values()
    )
    assert failed.metadata["topview/count"].value == 1
    sample = failed.metadata["topview/sample"]
    assert isinstance(sample, dg.TableMetadataValue)
    (case,) = sample.records
    assert (case.data["product"], case.data["what happened"]) == ("mug", "no such file")
    assert case.data["what to do"]
    assert "tasks reconcile" in str(found["tasks_unknown"].description)
    assert found["credits_used_up"].severity is dg.AssetCheckSeverity.WARN
    assert "`credit_limit`" in str(found["credits_used_up"].metadata["topview/what_to_do"].value)


def fail(ledger: Ledger, product_id: str) -> None:
    row = reserve(ledger, product_id)
    ledger.tasks.failed(
        row.id, code="4004", message="no such file", retryable=False, not_before=None, who="me"
    )


def test_a_store_that_is_not_the_ledgers_is_an_error_before_anything_is_submitted(
    account: Account,
) -> None:
    """An idle pipeline submits nothing, so no run says it."""
    account.lose_an_answer("mug")
    account.tick()
    shutil.rmtree(account.topview.config.store)
    assert account.tick() == {LEDGER_LOST: False}
    found = account.evaluated(LEDGER_LOST)[LEDGER_LOST]
    assert found.severity is dg.AssetCheckSeverity.ERROR
    assert "this is not the store that has the ledger's results" in str(found.description)
    assert "topview-pipeline ledger adopt" in str(found.description)


def test_bad_rows_are_a_check_of_the_photos_with_each_row_and_reason(shop: Shop) -> None:
    """The text of a run that is over, and a sensor's hover, are looked at by nobody."""
    shop.add("mug")
    shop.add("odd", mode="superfast")
    assert not _rows(shop).passed
    table = _rows(shop).metadata["topview/catalogue_problem_rows"]
    assert isinstance(table, dg.TableMetadataValue)
    assert [record.data["product"] for record in table.records] == ["odd"]
    with dg.build_sensor_context(instance=shop.instance) as context:
        tick: Any = catalogue_sensor(shop.topview())(context)
    assert [(one.check_name, one.passed) for one in tick.asset_events] == [(CATALOGUE_ROWS, False)]
    with dg.build_sensor_context(instance=shop.instance, cursor=tick.cursor) as context:
        said: Any = catalogue_sensor(shop.topview())(context)
    assert isinstance(said, dg.SkipReason), "what Dagster knows is not reported again"
    shop.remove("odd")
    assert _rows(shop).passed
    assert _rows(shop).description == "All rows can be used."  # no count: it would grow old


def test_bad_rows_are_reported_of_a_catalogue_that_is_on_hold_too(shop: Shop) -> None:
    """The person who must confirm it looks at the check: it showed yesterday's rows."""
    shop.add("mug", "shoe", "bag", "cap", "pen", "hat")
    cursor = None
    for said in ([True], [False], None):
        shop.write()
        with dg.build_sensor_context(instance=shop.instance, cursor=cursor) as context:
            tick: Any = catalogue_sensor(shop.topview())(context)
            cursor = context.cursor
        if said is None:
            assert isinstance(tick, dg.SkipReason), "what Dagster knows is not reported again"
        else:
            cursor = tick.cursor
            assert [one.passed for one in tick.asset_events] == said
        if said == [True]:
            shop.remove("shoe", "bag", "cap", "pen", "hat")
            shop.add("odd", mode="superfast")
    assert shop.held_catalogue()


def _rows(shop: Shop) -> dg.AssetCheckEvaluation:
    """The check, executed as from the UI."""
    shop.write()
    job = shop.definitions().resolve_implicit_global_asset_job_def()
    keys = {dg.AssetCheckKey(dg.AssetKey("productImage"), CATALOGUE_ROWS)}
    job = job.get_subset(asset_selection=set(), asset_check_selection=keys)
    (found,) = job.execute_in_process(instance=shop.instance).get_asset_check_evaluations()
    return found


def test_without_an_account_both_say_so_in_one_sentence(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    nobody = Account(tmp_path, instance, uid=None)
    assert "uid: it is not set" in str(nobody.tick())
    assert nobody.evaluated() == {}
    assert "uid: it is not set" in nobody.said[0]


def test_the_sensor_reports_what_changed_and_only_that(account: Account) -> None:
    assert account.tick() == dict.fromkeys(ASKED, True)
    assert "nothing changed: 0 ledger_lost" in str(account.tick())
    account.lose_an_answer("mug")
    assert account.tick() == {"tasks_unknown": False}
    account.lose_an_answer("hat")
    assert account.tick() == {"tasks_unknown": False}, "one more is news"
    assert "2 tasks_unknown" in str(account.tick())


@pytest.mark.parametrize("later", [7 * 3600.0, -3600.0])
def test_everything_is_reported_again_after_hours_or_when_the_clock_was_set_back(
    account: Account, monkeypatch: pytest.MonkeyPatch, later: float
) -> None:
    """Dagster shows when a check was last evaluated: one that never changes looks dead."""
    now = 1_800_000_000.0
    monkeypatch.setattr("topview_pipeline.defs.health_checks.time.time", lambda: now)
    account.tick()
    now += 3 * 3600.0
    account.lose_an_answer("mug")
    assert account.tick() == {"tasks_unknown": False}
    assert "nothing changed" in str(account.tick())
    now = 1_800_000_000.0 + later
    assert isinstance(account.tick(), dict)
    assert "nothing changed" in str(account.tick())


def out_of_date(shop: Shop, cursor: str | None) -> tuple[dg.AssetCheckEvaluation | None, str]:
    """The sensor's report of the check in one tick, and its cursor."""
    with dg.build_sensor_context(instance=shop.instance, cursor=cursor) as context:
        answer: Any = health_checks_sensor(shop.topview())(context)
        events = [] if isinstance(answer, dg.SkipReason) else answer.asset_events
        kept = context.cursor if isinstance(answer, dg.SkipReason) else answer.cursor
    found = [event for event in events if event.check_name == OUT_OF_DATE]
    return (found[0] if found else None), str(kept)


def planned(found: dg.AssetCheckEvaluation | None) -> list[tuple[str, ...]]:
    assert found is not None
    table = found.metadata.get("topview/plan")
    records = table.records if isinstance(table, dg.TableMetadataValue) else []
    return [tuple(map(str, record.data.values())) for record in records]


def test_what_is_out_of_date_is_seen_without_a_run_and_looked_for_only_after_a_change(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `choose`, or a changed script, every page but the product's own stays green."""
    shop.add("mug")
    shop.write()
    new, cursor = out_of_date(shop, None)
    assert [row[:3] for row in planned(new)] == [("mug", asset, "new") for asset in ASSETS]
    assert new is not None
    assert "Launch the job catch_up" in str(new.description)

    assert shop.catch_up().success
    done, cursor = out_of_date(shop, cursor)
    assert done is not None
    assert done.passed

    with monkeypatch.context() as patch:
        patch.setattr(
            "topview_pipeline.defs.health_checks.plan_everything", lambda *_: pytest.fail("again")
        )
        assert out_of_date(shop, cursor)[0] is None
        shop.rows["mug"]["script"] = "Something else entirely."
        shop.write()
        with shop.ledger() as ledger:
            ledger.workers.start("at work", run_id="run")
            assert out_of_date(shop, cursor)[0] is None, "a run changes it all the time"
            ledger.workers.end("at work")
    stale, _ = out_of_date(shop, cursor)
    assert [row[:3] for row in planned(stale)] == [("mug", "finishedVideo", "script changed")]


def test_execute_all_measures_what_is_stored_and_names_each_product(shop: Shop) -> None:
    """The UI's button starts a run without partitions: it must not end in a stack trace."""
    shop.add("mug", "bag")
    shop.catch_up()  # while checks are off
    shop.settings["TOPVIEW_CHECKS"] = "true"
    job = shop.definitions().resolve_implicit_global_asset_job_def()
    keys = {dg.AssetCheckKey(dg.AssetKey("replacedImages"), QUALITY)}
    job = job.get_subset(asset_selection=set(), asset_check_selection=keys)

    result = job.execute_in_process(instance=shop.instance, raise_on_error=False)

    assert result.success
    found = result.get_asset_check_evaluations()
    newest = shop.instance.fetch_materializations(dg.AssetKey("replacedImages"), 2).records
    assert {
        one.partition: one.target_materialization_data.storage_id
        for one in found
        if one.target_materialization_data
    } == {record.partition_key: record.storage_id for record in newest}
    with shop.ledger() as ledger:
        answers = health(ledger, credits_a_day=None, stages=ASSETS)
        row = ledger.tasks.last_made("mug", "replacedImages")
        assert row is not None
        assert answers["products_to_look_at"].count == 0
        doubt = Verdict(Outcome.DOUBTFUL, "There is no face.", "Look at it.")
        ledger.tasks.measured(row.id, doubt.to_json())
        (case,) = health(ledger, credits_a_day=None, stages=ASSETS)["products_to_look_at"].sample
        assert (case.product, case.stage) == ("mug", "replacedImages")
        ledger.reviews.decide(
            {("mug", row.fingerprint): Review(None, "approved")}, who="me", why="it is a watch"
        )
        assert health(ledger, credits_a_day=None, stages=ASSETS)["products_to_look_at"].count == 0


def test_one_check_can_be_run_alone(account: Account) -> None:
    assert list(account.evaluated("tasks_unknown")) == ["tasks_unknown"]
