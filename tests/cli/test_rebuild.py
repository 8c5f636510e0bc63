"""A lost ledger and an unmounted store, as people at a command line meet them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Project, ProjectOf

pytestmark = pytest.mark.slow


@pytest.fixture
def finished(project_of: ProjectOf) -> Project:
    """A project whose two products are finished."""
    project = project_of()
    project.products(2)
    assert project.run("run").returncode == 0
    return project


def _home(project: Project) -> Path:
    return project.folder / ".topview"


def _store(project: Project) -> Path:
    return _home(project) / "artifacts"


def _lose_ledger(project: Project) -> None:
    for file in _home(project).glob("ledger.db*"):
        file.unlink()


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_a_lost_ledger_is_refused_rebuilt_and_then_pays_nothing(finished: Project) -> None:
    paid = finished.counters()["charged"]
    _lose_ledger(finished)
    refused = finished.run("run")
    assert refused.returncode == 2
    assert "6 results of this account" in refused.stderr
    assert "topview-pipeline tasks rebuild" in refused.stderr
    assert "Traceback" not in refused.stderr

    # It needs neither Topview nor a key.
    offline = {"TOPVIEW_API_KEY": "", "NO_PROXY": "*"}
    asked = finished.run("tasks", "rebuild", **offline)
    assert asked.returncode == 2
    assert "add --yes" in asked.stderr
    assert "6 tasks would be added" in asked.stdout
    assert f"{paid:g} credits" in asked.stdout
    assert finished.run("run").returncode == 2

    rebuilt = finished.run("tasks", "rebuild", "--yes", "--why", "the disk broke", **offline)
    assert (rebuilt.returncode, rebuilt.stderr) == (0, "")
    assert "Added 6 tasks, 6 orders" in rebuilt.stdout
    assert "uploads" in rebuilt.stdout
    again = finished.run("tasks", "rebuild", **offline)
    assert again.returncode == 0
    assert "nothing to do" in again.stdout

    assert finished.run("run").returncode == 0
    # Dagster's history may be lost, too: then all of it is told again for nothing.
    shutil.rmtree(finished.folder / "dagster")
    told = finished.run("run")
    assert told.returncode == 0
    assert "6 taken from the store at no cost" in told.stdout
    assert finished.counters()["charged"] == paid
    assert finished.counters()["duplicate_tasks"] == []


def test_a_damaged_result_is_named_and_the_others_are_rebuilt(finished: Project) -> None:
    damaged, *_ = sorted(_store(finished).rglob("result.json"))
    damaged.write_text("{")
    _lose_ledger(finished)
    rebuilt = finished.run("tasks", "rebuild", "--yes")
    assert rebuilt.returncode == 1
    assert str(damaged.parent.name) in rebuilt.stdout
    assert "Added 5 tasks" in rebuilt.stdout

    # What was paid is not paid again because a file of ours is damaged: a person decides.
    held = finished.run("run")
    assert held.returncode == 3
    assert "move that folder away" in held.stdout
    shutil.move(damaged.parent, damaged.parents[3] / "damaged")
    assert finished.run("run").returncode == 0


def test_an_unmounted_store_is_refused_until_it_is_back(finished: Project) -> None:
    paid, mount = finished.counters(), _store(finished)
    disk = mount.with_name("the disk")
    mount.rename(disk)
    mount.mkdir()
    for command in (("run",), ("tasks", "rebuild", "--yes")):
        refused = finished.run(*command)
        assert refused.returncode == 2
        assert "Is it mounted" in refused.stderr
        assert "Traceback" not in refused.stderr
    assert _files(mount) == set()
    for what in ("submits", "charged", "uploads"):
        assert finished.counters()[what] == paid[what]
    mount.rmdir()
    disk.rename(mount)
    assert finished.run("run").returncode == 0


def test_a_store_that_is_really_new_is_taken_when_somebody_says_so(finished: Project) -> None:
    paid = finished.counters()["charged"]
    new = {"TOPVIEW_ARTIFACTS": str(finished.folder / "new store")}
    assert finished.run("run", **new).returncode == 2
    taken = finished.run("tasks", "rebuild", "--new-store", "--yes", **new)
    assert taken.returncode == 0
    assert "6 stored results of the ledger would not be in its store" in taken.stdout
    finished.products(3)
    assert finished.run("run", **new).returncode == 0
    assert finished.run("run", "--product", "product-0", **new).returncode == 0
    assert finished.run("run").returncode == 2  # the old one is another one now
    assert finished.counters()["charged"] == pytest.approx(paid * 3 / 2)
    assert finished.counters()["duplicate_tasks"] == []


def test_a_rebuild_without_a_uid_says_what_is_missing(finished: Project) -> None:
    refused = finished.run("tasks", "rebuild", TOPVIEW_UID="")
    assert refused.returncode == 2
    assert "TOPVIEW_UID" in refused.stderr
