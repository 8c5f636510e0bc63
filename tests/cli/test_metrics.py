"""`metrics`: what a Prometheus scrapes, and what the dashboard in deploy/ shows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.ledger.conftest import BASE_URL, UID, open_ledger, row_in
from topview_pipeline.cli import main
from topview_pipeline.cli.demo import free_port
from topview_pipeline.ledger import TaskState

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The ledger of an account, with a task in each state."""
    ledger = open_ledger(tmp_path)
    for state in TaskState:
        row_in(ledger, state, f"p {state.value}", estimate=2.0)
    ledger.close()
    settings = {"HOME": str(tmp_path), "UID": UID, "BASE_URL": BASE_URL, "CREDIT_LIMIT": "50"}
    for name, value in settings.items():
        monkeypatch.setenv(f"TOPVIEW_{name}", value)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parsed(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    """By name and the values of the labels, in the order of their names."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):  # type: ignore[no-untyped-call]
        for sample in family.samples:
            labels = tuple(value for _, value in sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def test_the_numbers_of_the_ledger_in_open_metrics(home: Path) -> None:
    ran = CliRunner().invoke(main, ["metrics"])
    assert ran.exit_code == 0, ran.output
    found = parsed(ran.output)
    states = {labels[2]: count for labels, count in found["topview_tasks"].items()}
    assert states == {state.value: 1.0 for state in TaskState}
    assert found["topview_attempts_failed_total"] == {("1", "replacedImages"): 1.0}
    assert found["topview_credit_limit"] == {(): 50.0}
    assert found["topview_credits_committed"][()] > 0.0
    assert found["topview_health"]["tasks_unknown", "topview"] == 1.0
    assert found["topview_oldest_pending_seconds"][()] > 0.0

    shown = json.dumps(json.loads((ROOT / "deploy/grafana.json").read_text()))
    assert set(re.findall(r"topview_\w+", shown)) <= found.keys()


@pytest.mark.slow
def test_a_file_is_whole_and_a_port_is_scraped(home: Path) -> None:
    assert CliRunner().invoke(main, ["metrics", "--file", "topview.prom"]).exit_code == 0
    assert "topview_slots 4.0" in Path("topview.prom").read_text()
    command = [sys.executable, "-m", "topview_pipeline", "metrics", "--host", "127.0.0.1"]
    port = str(free_port())
    server: Any = subprocess.Popen([*command, "--port", port], stdout=subprocess.PIPE, text=True)
    try:
        assert f":{port}/metrics" in server.stdout.readline()
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False)
        assert "topview_slots_taken" in answer.text
    finally:
        server.terminate()
        server.wait()
