"""`topview-pipeline run` as people meet it: real processes, exit codes, sentences."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError

from tests.catalogue.conftest import FileServer, serving
from tests.cli.conftest import Project

pytestmark = pytest.mark.timeout(240)

FREE = ("run", "--stage", "bgRemovedImage")


@pytest.mark.slow
def test_a_second_run_pays_nothing_and_says_so(project: Project) -> None:
    project.products(2)
    first = project.run("run")
    assert (first.returncode, first.stderr) == (0, "")
    assert "6 made" in first.stdout
    assert "product-0 finishedVideo made in" in first.stdout
    paid = project.sandbox.counters()["charged"]
    assert f"{paid:g} credits." in first.stdout

    second = project.run("run")

    assert second.returncode == 0
    assert "nothing was paid" in second.stdout
    assert f"Files: {project.home}/store (" in second.stdout
    assert project.sandbox.counters()["charged"] == paid


@pytest.mark.slow
def test_force_pays_once_more_for_what_it_names_and_then_no_more(project: Project) -> None:
    project.products(2)
    project.run("run")

    forced = project.run("run", "--force", "--product", "product-0", "--stage", "finishedVideo")

    assert (forced.returncode, forced.stderr) == (0, "")
    accepted = project.sandbox.counters()["accepted"]
    assert (accepted["image_replace"], accepted["image2Video"]) == (2, 3)
    project.run("run")
    assert project.sandbox.counters()["accepted"] == accepted, "force is over with its run"
    assert "--yes" in project.refused("run", "--force"), "the whole catalogue is nobody's slip"
    assert project.run("run", "--force", "--yes", "--stage", "finishedVideo").returncode == 0
    assert project.sandbox.counters()["accepted"]["image2Video"] == 5


@pytest.mark.slow
def test_good_rows_go_on_beside_bad_ones(project: Project) -> None:
    project.products(1)
    good = {"image": "product-0.png", "script": "One."}
    ids = ["product-0", "../../etc", "Größe 42 🥾 / rot"]
    bad = [{"product_id": "bad", "mode": "cinema"}, {"product_id": "gone", "image": "gone.png"}]
    project.write_catalogue([{**good, **row} for row in [{"product_id": n} for n in ids] + bad])

    ran = project.run("run")

    assert ran.returncode == 1
    assert "line 5, column mode" in ran.stdout
    assert "Größe 42 🥾 / rot finishedVideo made" in ran.stdout
    assert "gone bgRemovedImage failed" in ran.stdout
    assert "gone.png" in ran.stdout
    assert "gone replacedImages failed" not in ran.stdout, "one cause is one line"
    submits = project.sandbox.counters()["submits"]
    assert submits["remove_background"] == 1, "one photo, made once for all three"
    assert len(list(project.home.joinpath("store").rglob("index/*.json"))) == 3
    named = project.run("run", "--product", "bad")
    assert named.returncode == 1
    assert "bad bgRemovedImage failed: line 5, column mode" in named.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "changes", "said"),
    [
        ((), {"TOPVIEW_HOME": "/proc/nope"}, "Let TOPVIEW_HOME, or TOPVIEW_LEDGER_URL, name"),
        (("--credit-limit", "nan"), {}, "'nan' is not an amount of credits"),
        (("--credit-limit", "inf"), {}, "'inf' is not an amount of credits"),
        (("--credit-limit", "-1"), {}, "-1.0 is not in the range x>=0.0"),
        (("--launch", "http://127.0.0.1:9"), {}, "Dagster did not take the run"),
        (("--launch", "here"), {}, "'here' is no URL; write http://HOST:PORT"),
        (("--launch", "http://h:99999"), {}, "is no URL; write http://HOST:PORT"),
        (("--launch", "http://h:abc"), {}, "is no URL; write http://HOST:PORT"),
        (("--product", "nobody"), {}, "has no product 'nobody'"),
        (("--stage", "cutout"), {}, "Stages: bgRemovedImage"),
        (("--force",), {}, "Nobody can answer here: add --yes"),
        (("--limit", "0"), {}, "x>=1"),
    ],
)
def test_what_cannot_start_is_one_sentence_and_exit_2(
    project: Project, arguments: tuple[str, ...], changes: dict[str, str], said: str
) -> None:
    """Troubles that `check` finds, too, are tested there."""
    project.products(1)
    assert said in project.refused("run", *arguments, **changes)


@pytest.mark.slow
def test_a_catalogue_of_nothing_starts_nothing(project: Project) -> None:
    empty = ("", "product_id,image\n", "name,price\nbottle,3\n", "\0\1")
    misspelt = "product_id,image,scirpt\na,a.png,Hi.\n"
    cases = {**dict.fromkeys(empty, "catalogue.csv"), misspelt: "ignored; is script meant?"}
    for text, said in cases.items():
        (project.folder / "catalogue.csv").write_text(text, encoding="utf-8")
        assert said in project.refused("run")


@pytest.mark.slow
def test_without_dagster_home_one_is_chosen_and_said_and_its_yaml_is_kept(project: Project) -> None:
    project.products(1)

    ran = project.run(*FREE, DAGSTER_HOME="")

    yaml = project.folder / ".dagster_home" / "dagster.yaml"
    assert ran.returncode == 0
    assert ".dagster_home" in ran.stderr
    assert "dagster/backfill" in yaml.read_text(encoding="utf-8")
    mine = "telemetry:\n  enabled: false\n"
    yaml.write_text(mine, encoding="utf-8")
    project.run(*FREE, DAGSTER_HOME="")
    assert yaml.read_text(encoding="utf-8") == mine


@pytest.mark.slow
def test_a_base_url_that_is_a_website_leaves_no_ledger(project: Project) -> None:
    project.products(1)
    with serving(FileServer()) as website:
        said = project.refused("run", TOPVIEW_BASE_URL=website.url)
    assert "TOPVIEW_BASE_URL" in said
    assert "not Topview" in said
    assert not (project.home / "ledger.db").exists()


def _made_once(project: Project) -> Path:
    """The ledger of a project that has a product more than it knows."""
    project.products(1)
    assert project.run(*FREE).returncode == 0
    project.products(2)
    return project.home / "ledger.db"


@pytest.mark.slow
def test_a_ledger_that_another_program_locks_is_waited_for_with_signs_of_life(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script heard nothing for 30 s."""
    ledger = _made_once(project)
    monkeypatch.setattr("topview_pipeline.ledger.database.LOCK_WAIT_SECONDS", 2.5)
    for name in ("console.SILENT_SECONDS", "watcher.SILENT_SECONDS", "watcher._LOOK_SECONDS"):
        monkeypatch.setattr(f"topview_pipeline.cli.{name}", 0.2)
    with closing(sqlite3.connect(ledger, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for arguments in (FREE, (*FREE, "--json"), ("plan", "--json")):
            ran = project.invoke(*arguments)
            assert ran.exit_code == 2, ran.output
            *waited, why = ran.output.splitlines()
            assert "locked" in why
            assert len(waited) > 5, ran.output
        other.execute("ROLLBACK")
    assert project.sandbox.counters()["submits"] == {"remove_background": 1}
    assert project.run(*FREE).returncode == 0
    assert project.sandbox.counters()["duplicates"] == 0


SERVERS = "load_from: [grpc_server: {host: code, port: 4000, location_name: topview}]\n"


@pytest.mark.parametrize(
    ("workspace", "name"),
    [
        (SERVERS, None),
        ("load_from: [python_module: topview_pipeline.definitions]\n", "__repository__"),
    ],
)
def test_a_run_for_dagster_finds_the_code_location_of_a_server(
    project: Project, monkeypatch: pytest.MonkeyPatch, workspace: str, name: str | None
) -> None:
    """The file names no module of a server: with a name of ours the run was for nobody."""
    sent: dict[str, Any] = {}

    def submit(_: object, job: str, **arguments: Any) -> str:
        sent.update(arguments, job=job)
        return "run-1"

    monkeypatch.setattr(DagsterGraphQLClient, "submit_job_execution", submit)
    project.products(1)
    (project.folder / "workspace.yaml").write_text(workspace, encoding="utf-8")
    assert "/runs/run-1" in project.run("run", "--launch").stdout
    assert sent["job"] == "catch_up"
    assert sent["repository_name"] == name
    assert (sent["repository_location_name"] is None) == (name is None)


def test_a_dagster_that_does_not_answer_may_have_the_run(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person who reads "not taken" launches it once more."""

    def slow(*_: object, **__: object) -> str:
        error: Any = DagsterGraphQLClientError
        raise error("a whole query") from requests.ReadTimeout("timed out")

    monkeypatch.setattr(DagsterGraphQLClient, "submit_job_execution", slow)
    project.products(1)
    said = project.refused("run", "--launch")
    assert "or its answer was lost (timed out)" in said
    assert "look at its runs before you launch again" in said
    assert "query" not in said
