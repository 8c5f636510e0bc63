"""`ledger copy` and `ledger upgrade`."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from topview_pipeline.cli import main
from topview_pipeline.ledger import Ledger


def test_tables_are_made_before_an_upgrade_and_a_ledger_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOPVIEW_HOME", str(tmp_path))
    monkeypatch.setenv("TOPVIEW_MIGRATE", "false")
    made = CliRunner().invoke(main, ["ledger", "upgrade"])
    assert (made.exit_code, "has the tables of version" in made.output) == (0, True)
    Ledger(f"sqlite:///{tmp_path}/ledger.db", base_url="http://x", uid="u", migrate=False).close()
    command = ["ledger", "copy", "sqlite:///ledger.db", "sqlite:///b.db"]
    copied = CliRunner().invoke(main, command)
    assert (copied.exit_code, "Copied 1 row (1 in account)" in copied.output) == (0, True)
    again = CliRunner().invoke(main, command)
    assert (again.exit_code, "it has rows already" in again.output) == (2, True)
    nowhere = CliRunner().invoke(main, ["ledger", "copy", "mysql://x/y", "sqlite:///b.db"])
    assert (nowhere.exit_code, "is not supported" in nowhere.output) == (2, True)
