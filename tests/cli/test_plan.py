"""`topview-pipeline plan`: it says what a run would do, and does nothing."""

from __future__ import annotations

import json

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
    assert sum(project.sandbox.counters()["submits"].values()) == 0

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
    assert project.sandbox.counters()["submits"] == {}


def test_a_stage_that_does_not_exist_is_one_sentence_and_exit_2(project: Project) -> None:
    project.products(1)
    assert "there is no stage 'video'" in project.refused("plan", "--stage", "video")


def test_products_come_from_a_file_or_another_command(project: Project, invoke: Invoke) -> None:
    """For a hundred of a thousand products a script had to build the command line."""
    project.products(4)
    (project.folder / "some.txt").write_text("\ufeffproduct-1\r\n\nproduct-2\n", "utf-8")
    named = invoke("plan", "--json", "--product", "@some.txt", "--product", "product-2")
    rows = json.loads(named.stdout)["rows"]
    assert {row["product_id"] for row in rows} == {"product-1", "product-2"}
    piped = invoke("plan", "--json", "--product", "-", stdin="product-3\n")
    assert {row["product_id"] for row in json.loads(piped.stdout)["rows"]} == {"product-3"}
    for name, stdin in (("@gone.txt", ""), ("-", "\n"), ("@.", "")):
        ran = invoke("plan", "--product", name, stdin=stdin)
        assert ran.exit_code == 2
        assert name in ran.stderr, "not the whole catalogue"


@pytest.mark.parametrize(
    ("option", "has_rows", "has_all"), [("-q", False, False), ("-v", True, True)]
)
def test_a_dry_run_says_as_much_as_is_asked_for(
    project: Project, invoke: Invoke, option: str, has_rows: bool, has_all: bool
) -> None:
    project.products(8, voice_id="nobody")
    dry = invoke("run", "--dry-run", option, TOPVIEW_UNKNOWN_IDS="fail")
    assert dry.exit_code == 1
    assert "would fail" in dry.stdout
    assert ("new task" in dry.stdout, "--all shows them" not in dry.stdout) == (has_rows, True)
    assert ("product-7\tfinishedVideo" in dry.stdout) == has_all
