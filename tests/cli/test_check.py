"""`topview-pipeline check`: each thing that keeps a run from starting is one line with its fix."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import httpx
import pytest

from tests.cli.conftest import Invoke, Project, unsigned
from topview_pipeline.cli.main import load_settings
from topview_pipeline.setting_types import SettingsError

BACKFILL = "dagster/backfill"
PUBLIC: dict[str, str | None] = {"TOPVIEW_BASE_URL": "https://topview.invalid"}
SLOW = pytest.mark.slow


def test_a_project_that_is_ready_says_so_line_by_line(project: Project, invoke: Invoke) -> None:
    project.products(2)
    ran = invoke("check")
    assert ran.exit_code == 0, ran.output
    parts = ["versions", "settings", "dagster", "catalogue", "account", "store", "ledger"]
    for words in (*(f"✓ {part}" for part in parts), "2 products", "10000 credits left, 4 slots"):
        assert words in ran.stdout
    found = json.loads(invoke("check", "--json").stdout)
    assert {one["name"]: one["ok"] for one in found} == dict.fromkeys(parts, True)
    assert project.sandbox.counters()["submits"] == {}


BAD: dict[str, tuple[dict[str, str | None], str, str]] = {
    "a misspelt limit": ({"TOPVIEW_CREDIT_LIMT": "5"}, "settings", "TOPVIEW_CREDIT_LIMIT"),
    "a value that is none": ({"TOPVIEW_SLOTS": "many"}, "settings", "a whole number"),
    "no catalogue": ({"TOPVIEW_CATALOGUE": None}, "catalogue", "topview-pipeline init"),
    "a catalogue of bad rows": ({"TOPVIEW_CATALOGUE": "worse.csv"}, "catalogue", "0 good rows"),
    "a catalogue elsewhere": ({"TOPVIEW_CATALOGUE": "x.csv"}, "catalogue", "{here}/x.csv"),
    "a bad row": ({"TOPVIEW_CATALOGUE": "bad.csv"}, "catalogue", "1 good row, 1 bad row"),
    "no uid": ({"TOPVIEW_UID": None}, "account", "TOPVIEW_UID"),
    "no key": ({"TOPVIEW_API_KEY": None}, "account", "TOPVIEW_API_KEY"),
    "a wrong key": ({"TOPVIEW_API_KEY": "wrong"}, "account", "refused"),
    "no certificates": (PUBLIC | {"SSL_CERT_FILE": "/nope.pem"}, "account", "SSL_CERT_FILE"),
    "no SOCKS": (PUBLIC | {"ALL_PROXY": "socks5://127.0.0.1:9"}, "account", "ALL_PROXY"),
    "no sandbox": ({"TOPVIEW_BASE_URL": "http://127.0.0.1:9"}, "account", "topview-pipeline sand"),
    "no judge": ({"TOPVIEW_SCENE_JUDGE": "python:nowhere:judge"}, "scene judge", "nowhere"),
    "a store that is a file": ({"TOPVIEW_STORE": "file"}, "store", "TOPVIEW_STORE"),
    "a store of no kind": ({"TOPVIEW_STORE": "nope://x"}, "store", "TOPVIEW_STORE"),
    "a home that is a file": ({"TOPVIEW_HOME": "file"}, "ledger", "ledger.db"),
    "a Dagster home with ~": ({"DAGSTER_HOME": "~/dh"}, "dagster", '"{home}/dh"'),
    "a Dagster home from here": ({"DAGSTER_HOME": "dh"}, "dagster", '"{here}/dh"'),
    "a Dagster home that is a file": ({"DAGSTER_HOME": "{here}/file"}, "dagster", "is a file"),
    "a dagster.yaml that is none": ({"DAGSTER_HOME": "{here}/broken"}, "dagster", "Correct its"),
    "a dagster.yaml that lacks": ({"DAGSTER_HOME": "{here}/bare"}, "dagster", "limit: 2"),
}
STARTS = {"a misspelt limit", "a bad row", "a dagster.yaml that lacks"}
"""A run starts all the same."""


@pytest.mark.parametrize(
    "case", [pytest.param(one, marks=SLOW if one == "no sandbox" else ()) for one in BAD]
)
def test_what_keeps_a_run_from_starting_is_one_line_and_its_fix(
    project: Project, invoke: Invoke, case: str
) -> None:
    changes, name, says = BAD[case]
    httpx.create_ssl_context.cache_clear()  # type: ignore[attr-defined]  # see tests/conftest.py
    here = project.folder
    project.products(2)
    rows = (here / "catalogue.csv").read_text(encoding="utf-8").splitlines()
    (here / "bad.csv").write_text("\n".join([*rows[:2], "broken,,,"]) + "\n", encoding="utf-8")
    (here / "worse.csv").write_text(f"{rows[0]}\nbroken,,,\n", encoding="utf-8")
    (here / "file").touch()
    for home, text in (("broken", "telemetry: ["), ("bare", "telemetry:\n  enabled: false\n")):
        (here / home).mkdir()
        (here / home / "dagster.yaml").write_text(text, encoding="utf-8")
    places = {"here": str(here), "home": str(Path.home())}
    given = {key: value and value.format(**places) for key, value in changes.items()}

    ran = invoke("check", "--json", **given)

    assert ran.exit_code == (1 if case in STARTS else 2), ran.output
    wrong = [one for one in json.loads(ran.stdout) if not one["ok"]]
    (found,) = [one for one in wrong if one["name"] == name]
    assert says.format(**places) in f"{found['what']} {found['fix']}"
    assert len(found["what"]) < 500
    if case == "a bad row":
        assert f"✗ {name}" in invoke("check", **given).stdout


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
def test_a_file_of_settings_in_another_encoding_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    (tmp_path / ".env").write_text("TOPVIEW_UID=ü\n", encoding)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=r"\.env: not UTF-8 text"):
        load_settings()


def test_a_command_says_what_an_own_dagster_yaml_lacks(project: Project, invoke: Invoke) -> None:
    """A backfill of 5,000 took 25 processes, as nobody knew of the limit.

    A file of ours would stand in the way of one that the host project brings later.
    """
    project.products(1)
    home = project.folder / "own"
    said = unsigned(invoke("plan", DAGSTER_HOME=str(home)).stderr)
    assert str(home) in said
    assert BACKFILL in said
    assert "retry_on_asset_or_op_failure: false" in said
    assert not (home / "dagster.yaml").exists()
    (home / "dagster.yaml").write_text(said.partition("\n\n")[2], encoding="utf-8")
    again = unsigned(invoke("plan", DAGSTER_HOME=str(home)).stderr)
    assert again == "", "the lines that it named are those that it wants"


def test_the_dagster_yaml_we_write_does_what_it_says(project: Project) -> None:
    """A misspelt key would be passed over, and a backfill of 5,000 would be 25 processes."""
    with dg.DagsterInstance.from_config(project.environment["DAGSTER_HOME"]) as instance:
        limits = instance.get_concurrency_config().run_queue_config
        assert limits is not None
        assert limits.tag_concurrency_limits == [
            {"key": "dagster/backfill", "value": {"applyLimitPerUniqueValue": True}, "limit": 2}
        ]
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        assert instance.run_retries_enabled
        assert instance.run_retries_max_retries == 2
        assert not instance.run_retries_retry_on_asset_or_op_failure
