"""`ledger adopt`: a lost ledger and an unmounted store, as people at a command line meet them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
def finished(project: Project) -> Project:
    """A project whose two products are finished."""
    project.products(2)
    assert project.run("run").returncode == 0
    return project


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_a_lost_ledger_is_refused_adopted_and_healed_without_paying(finished: Project) -> None:
    paid = finished.sandbox.counters()["charged"]
    for file in finished.home.glob("ledger.db*"):
        file.unlink()
    said = finished.refused("run")
    assert "the store has results of this account" in said
    assert "`topview-pipeline ledger adopt`" in said

    # It needs neither Topview nor a key, but a uid.
    offline = {"TOPVIEW_API_KEY": "", "NO_PROXY": "*"}
    assert "TOPVIEW_UID" in finished.refused("ledger", "adopt", TOPVIEW_UID="")
    assert "add --yes" in finished.refused("ledger", "adopt", **offline)
    assert "the store has results" in finished.refused("run")
    adopted = finished.run("ledger", "adopt", "--yes", **offline)
    assert (adopted.returncode, adopted.stderr) == (0, "")
    assert "has no tasks of this account" in adopted.stdout
    assert "in flight" in adopted.stdout
    again = finished.run("ledger", "adopt", **offline)
    assert again.returncode == 0
    assert "nothing to do" in again.stdout

    # Dagster's history may be lost, too: then all of it is reported again.
    shutil.rmtree(finished.folder / "dagster")
    ran = finished.run("run")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "0 made, 6 reused at no cost, 0 credits." in ran.stdout
    assert finished.sandbox.counters()["charged"] == paid
    assert finished.sandbox.counters()["duplicate_tasks"] == []


def test_an_unmounted_store_is_refused_until_it_is_back(finished: Project) -> None:
    paid, mount = finished.sandbox.counters(), finished.home / "store"
    disk = mount.with_name("the disk")
    mount.rename(disk)
    mount.mkdir()
    for command in (("run",), ("ledger", "adopt")):
        ran = finished.run(*command)
        assert ran.returncode == 2
        assert "mounted" in ran.stdout + ran.stderr
    assert _files(mount) == set()
    for what in ("submits", "charged", "uploads"):
        assert finished.sandbox.counters()[what] == paid[what]
    mount.rmdir()
    disk.rename(mount)
    assert finished.run("run").returncode == 0


def test_a_store_that_is_really_new_is_taken_when_somebody_says_so(finished: Project) -> None:
    paid = finished.sandbox.counters()["charged"]
    new = {"TOPVIEW_STORE": str(finished.folder / "new store")}
    assert "Is it mounted" in finished.refused("run", **new)
    taken = finished.run("ledger", "adopt", "--yes", **new)
    assert taken.returncode == 0
    assert "has no results of this account" in taken.stdout
    finished.products(3)
    assert finished.run("run", **new).returncode == 0
    assert "Is it mounted" in finished.refused("run"), "the old one is another one now"
    assert finished.sandbox.counters()["charged"] == pytest.approx(paid * 3 / 2)
    assert finished.sandbox.counters()["duplicate_tasks"] == []
