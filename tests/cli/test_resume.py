"""`tasks resume`: a person ends the pause of an account, after being told what it is about."""

from __future__ import annotations

from tests.cli.conftest import ProjectOf
from tests.cli.test_run import ledger_of


def test_a_pause_is_ended_only_when_a_person_says_so(project_of: ProjectOf) -> None:
    project = project_of()
    project.products(1)
    assert "Nothing is paused" in project.run("tasks", "resume").stdout
    ledger = ledger_of(project)
    ledger.accounts.stop_submits(code="4100", message="Credit not enough", who="a test")

    asked = project.run("tasks", "resume")
    assert asked.returncode == 2
    assert "add --yes" in asked.stderr
    assert ledger.accounts.pause() is not None

    ended = project.run("tasks", "resume", "--yes")
    assert ended.returncode == 0
    assert "Credit not enough" in ended.stdout
    assert ledger.accounts.pause() is None
    ledger.close()
