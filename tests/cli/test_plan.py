"""`topview-pipeline plan`: it says what a run would do, and does nothing."""

from __future__ import annotations

import pytest

from tests.cli.conftest import ProjectOf


@pytest.mark.slow
def test_the_plan_names_what_is_made_why_and_for_how_much_and_spends_nothing(
    project_of: ProjectOf,
) -> None:
    project = project_of()
    project.products(3)

    told = project.run("plan", TOPVIEW_API_KEY="")

    assert (told.returncode, told.stderr) == (0, "")
    assert "product-2" in told.stdout
    assert "9 new tasks, about" in told.stdout
    assert "at the account's slots" in told.stdout
    assert max(map(len, told.stdout.splitlines())) <= 80
    assert sum(project.counters()["submits"].values()) == 0

    project.run("run", "--limit", "1")
    after = project.run("plan")
    assert "product-0" not in after.stdout
    assert "6 new tasks" in after.stdout


@pytest.mark.slow
def test_a_changed_script_is_planned_as_just_that(project_of: ProjectOf) -> None:
    project = project_of()
    project.products(2)
    project.run("run")
    assert "nothing to make" in project.run("plan").stdout

    catalogue = project.folder / "catalogue.csv"
    text = catalogue.read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith("product-1,"))
    changed = ",".join("Buy this one." if " " in cell else cell for cell in row.split(","))
    assert changed != row
    catalogue.write_text(text.replace(row, changed), encoding="utf-8")

    told = project.run("plan").stdout
    assert "script changed" in told
    assert "1 new tasks" in told
    assert "product-0" not in told


def test_a_stage_that_does_not_exist_is_one_sentence_and_exit_2(project_of: ProjectOf) -> None:
    project = project_of()
    project.products(1)
    told = project.run("plan", "--stage", "video")
    assert told.returncode == 2
    assert "there is no stage 'video'" in told.stderr
    assert "Traceback" not in told.stderr
