"""Looking for lost answers outside a run: bounded in time, and never fatal to a sensor's tick."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ledger.conftest import order, reserve
from topview_pipeline.ledger import Ledger, TaskState
from topview_pipeline.reconciliation import reconcile_now
from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.sandbox.control import Control
from topview_pipeline.sandbox.serve import Running, running
from topview_pipeline.settings import Settings, SettingsError

SCENE = "pa2_replace_product_image"


def settings_of(folder: Path, base_url: str, **changes: str) -> Settings:
    (folder / "workspace.yaml").touch()
    environment = {
        "TOPVIEW_BASE_URL": base_url,
        "TOPVIEW_UID": "SandboxUid0000000001",
        "TOPVIEW_API_KEY": "sandbox-api-key",
        **changes,
    }
    return Settings.from_environment(environment, start=folder)


def ledger_of(settings: Settings) -> Ledger:
    """A ledger with one lost answer."""
    ledger = Ledger(settings.ledger_url, base_url=settings.base_url, uid=settings.uid or "")
    row = reserve(ledger, order(ledger))
    ledger.tasks.ended(row.id, TaskState.UNKNOWN, why="lost", who="me")
    return ledger


@pytest.fixture
def sandbox() -> Iterator[Running]:
    with running(SandboxConfig(media="tiny", speed=200.0)) as sandbox:
        yield sandbox


def test_what_the_log_shows_is_told_and_the_look_is_remembered(
    tmp_path: Path, sandbox: Running
) -> None:
    settings = settings_of(tmp_path, sandbox.base_url)
    ledger = ledger_of(settings)
    with Control(sandbox.base_url) as control:
        control.add_credit_entry(SCENE, 2.0, task_id="x")
    assert ledger.unknowns.is_due(ledger.now())
    report = reconcile_now(settings, ledger, who="sensor")
    assert [one.topview_task_id for one in report.left[0].candidates] == ["x"]
    assert not ledger.unknowns.is_due(ledger.now())
    (row,) = ledger.unknowns.rows()
    assert ledger.unknowns.first_looks([row.id]) == pytest.approx({row.id: ledger.now()}, abs=10.0)
    ledger.close()


def test_a_topview_that_never_answers_holds_a_tick_up_for_no_longer_than_it_may(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        settings = settings_of(tmp_path, f"http://127.0.0.1:{deaf.getsockname()[1]}")
        ledger = ledger_of(settings)
        began = time.monotonic()
        report = reconcile_now(settings, ledger, who="sensor", seconds=0.3)
        assert time.monotonic() - began < 5.0
    assert "not read within" in (report.trouble or "")
    assert len(report.left) == 1
    assert not ledger.unknowns.is_due(ledger.now())
    ledger.close()


@pytest.mark.parametrize("missing", ["TOPVIEW_UID", "TOPVIEW_API_KEY"])
def test_without_credentials_the_variable_is_named(tmp_path: Path, missing: str) -> None:
    complete = settings_of(tmp_path, "http://127.0.0.1:1")
    ledger = ledger_of(complete)
    settings = settings_of(tmp_path, "http://127.0.0.1:1", **{missing: ""})
    with pytest.raises(SettingsError, match=missing):
        reconcile_now(settings, ledger, who="sensor")
    ledger.close()
