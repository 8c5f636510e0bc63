"""The checks of products and of the whole account, as Dagster shows them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import SecretStr

from tests.defs.shop import OUTLINE
from tests.ledger.conftest import reserve, row_in
from tests.stages.toy import FOUR_STAGES
from topview_pipeline.defs.checks import (
    HEALTH_CHECKS,
    MANIFEST,
    QUALITY,
    evaluation,
    health_checks,
    health_checks_sensor,
    product_check_specs,
)
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.ledger import Ledger, TaskState
from topview_pipeline.ledger.health import health
from topview_pipeline.media import Outcome, Verdict
from topview_pipeline.settings import PipelineConfig

NAMES = [check.name for check in HEALTH_CHECKS]


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
    found = evaluation(dg.AssetKey("finishedVideo"), "mug", Verdict(outcome, "It is silent."))
    assert (found.asset_key.to_user_string(), found.partition) == ("finishedVideo", "mug")
    assert (found.check_name, found.passed, found.severity) == (QUALITY, passed, severity)


def test_a_verdict_is_shown_with_its_fix_and_numbers_that_the_ui_plots() -> None:
    verdict = Verdict(
        Outcome.FAILED, "It is silent.", "Make it again.", {"sound_seconds": 1}, ("the picture",)
    )
    found = evaluation(dg.AssetKey("finishedVideo"), "mug", verdict)
    assert found.description == "It is silent. Make it again."
    assert {name: value.value for name, value in found.metadata.items()} == {
        "topview/outcome": "failed",
        "topview/what_to_do": "Make it again.",
        "topview/not_measured": "the picture",
        "topview/sound_seconds": 1.0,
    }
    assert isinstance(found.metadata["topview/sound_seconds"], dg.FloatMetadataValue)


def test_every_stage_has_a_check_by_product_also_a_fourth_one() -> None:
    specs = product_check_specs(OUTLINE, FOUR_STAGES)
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
            asset_check_selection={dg.AssetCheckKey(manifest, name) for name in names or NAMES},
        )
        result = job.execute_in_process(instance=self.instance, raise_on_error=False)
        self.said = [
            str(event.step_failure_data.error)
            for event in result.all_events
            if event.is_step_failure and event.step_failure_data.error
        ]
        return {one.check_name: one for one in result.get_asset_check_evaluations()}

    def tick(self) -> dict[str, bool] | str:
        """Whether each check passed that the sensor reports, or why it reports none."""
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            definitions=self.defs,
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
        assert list(health(ledger, credits_a_day=None)) == NAMES


def test_a_calm_day_passes_all(account: Account) -> None:
    found = account.evaluated()
    assert {name: one.passed for name, one in found.items()} == dict.fromkeys(NAMES, True)
    assert {one.description for one in found.values()} == {"None."}
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
    assert failed.severity is dg.AssetCheckSeverity.ERROR
    assert failed.metadata["topview/count"].value == 1
    sample = failed.metadata["topview/sample"]
    assert isinstance(sample, dg.TableMetadataValue)
    (case,) = sample.records
    assert (case.data["product"], case.data["what"]) == ("mug", "no such file")
    assert case.data["fix"]
    assert "tasks reconcile" in str(found["tasks_unknown"].description)
    assert found["credits_used_up"].severity is dg.AssetCheckSeverity.WARN
    assert "`credit_limit`" in str(found["credits_used_up"].metadata["topview/what_to_do"].value)


def fail(ledger: Ledger, product_id: str) -> None:
    row = reserve(ledger, product_id)
    ledger.tasks.failed(
        row.id, code="4004", message="no such file", retryable=False, not_before=None, who="me"
    )


def test_one_check_can_be_run_alone(account: Account) -> None:
    assert list(account.evaluated("tasks_unknown")) == ["tasks_unknown"]


def test_without_an_account_both_say_so_in_one_sentence(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    nobody = Account(tmp_path, instance, uid=None)
    assert "uid: it is not set" in str(nobody.tick())
    assert nobody.evaluated() == {}
    assert "uid: it is not set" in nobody.said[0]


def test_the_sensor_reports_what_changed_and_only_that(account: Account) -> None:
    assert account.tick() == dict.fromkeys(NAMES, True)
    assert "nothing changed: 0 products_failed" in str(account.tick())
    account.lose_an_answer("mug")
    assert account.tick() == {"tasks_unknown": False}
    account.lose_an_answer("hat")
    assert account.tick() == {"tasks_unknown": False}, "one more is news"
    assert "2 tasks_unknown" in str(account.tick())


@pytest.mark.parametrize("cursor", ["", "{", "[]", '{"at": 1}', '{"at": "x", "digests": {}}'])
def test_a_cursor_that_cannot_be_read_is_none(account: Account, cursor: str) -> None:
    account.cursor = cursor
    assert account.tick() == dict.fromkeys(NAMES, True)


@pytest.mark.parametrize("later", [7 * 3600.0, -3600.0])
def test_everything_is_reported_again_after_hours_or_when_the_clock_was_set_back(
    account: Account, monkeypatch: pytest.MonkeyPatch, later: float
) -> None:
    """Dagster shows when a check was last evaluated: one that never changes looks dead."""
    now = 1_800_000_000.0
    monkeypatch.setattr("topview_pipeline.defs.checks.time.time", lambda: now)
    account.tick()
    now += 3 * 3600.0
    account.lose_an_answer("mug")
    assert account.tick() == {"tasks_unknown": False}
    assert "nothing changed" in str(account.tick())
    now = 1_800_000_000.0 + later
    assert isinstance(account.tick(), dict)
    assert "nothing changed" in str(account.tick())
