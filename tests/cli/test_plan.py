"""`topview-pipeline plan`: it says what a run would do, and does nothing."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Invoke, Project


@pytest.mark.slow
def test_the_plan_names_what_is_made_why_and_for_how_much_and_spends_nothing(
    project: Project,
) -> None:
    project.products(3)

    ran = project.run("plan", TOPVIEW_API_KEY="")

    assert ran.returncode == 2
    assert "TOPVIEW_API_KEY: it is not set" in ran.stderr
    assert "product-2" in ran.stdout
    assert "the ids of voices and captions, were not checked" in ran.stdout
    assert "9 new tasks, about" in ran.stdout
    assert "at the account's slots" in ran.stdout
    assert sum(project.counters()["submits"].values()) == 0

    assert project.run("run", "--limit", "1").returncode == 0
    after = project.run("plan", "--force", "--product", "product-0").stdout
    assert "3 new tasks" in after
    after = project.run("plan").stdout
    assert "product-0" not in after
    assert "6 new tasks" in after


def test_a_dry_run_is_the_plan(project: Project, invoke: Invoke) -> None:
    project.products(2)
    options = ("--limit", "1", "--credit-limit", "0.5", "--stage", "bgRemovedImage", "--force")
    planned, dry = invoke("plan", *options), invoke("run", "--dry-run", *options)
    assert (dry.exit_code, dry.stdout) == (planned.exit_code, planned.stdout) == (0, planned.stdout)
    assert "1 new task, about 0 credits" in planned.stdout
    assert project.counters()["submits"] == {}


def test_a_stage_that_does_not_exist_is_one_sentence_and_exit_2(project: Project) -> None:
    project.products(1)
    assert "there is no stage 'video'" in project.refused("plan", "--stage", "video")
