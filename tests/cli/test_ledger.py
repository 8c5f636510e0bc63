"""`topview-pipeline ledger`: a lost ledger, an unmounted store, and a move to another database."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.cli.conftest import Project
from topview_pipeline.cli import main
from topview_pipeline.cli.environment import make_dagster_home
from topview_pipeline.ledger import Ledger

pytestmark = pytest.mark.timeout(240)


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_an_unmounted_store_a_lost_ledger_and_a_new_store_start_nothing_by_themselves(
    project: Project,
) -> None:
    project.products(2)
    assert project.run("run").returncode == 0
    paid, charged = project.sandbox.counters(), project.sandbox.counters()["charged"]

    # A store that is not mounted is refused until it is back.
    mount = project.home / "store"
    disk = mount.with_name("the disk")
    mount.rename(disk)
    mount.mkdir()
    for command in (("run",), ("ledger", "adopt")):
        ran = project.run(*command)
        assert ran.returncode == 2
        assert "mounted" in ran.stdout + ran.stderr
    assert _files(mount) == set()
    for what in ("submits", "charged", "uploads"):
        assert project.sandbox.counters()[what] == paid[what]
    mount.rmdir()
    disk.rename(mount)
    assert project.run("run").returncode == 0

    # A lost ledger is refused until a person adopts the store, which heals it.
    for file in project.home.glob("ledger.db*"):
        file.unlink()
    said = project.refused("run")
    assert "the store has results of this account" in said
    assert "`topview-pipeline ledger adopt`" in said
    # It needs neither Topview nor a key, but a uid.
    offline = {"TOPVIEW_API_KEY": "", "NO_PROXY": "*"}
    assert "TOPVIEW_UID" in project.refused("ledger", "adopt", TOPVIEW_UID="")
    assert "add --yes" in project.refused("ledger", "adopt", **offline)
    assert "the store has results" in project.refused("run")
    adopted = project.run("ledger", "adopt", "--yes", **offline)
    assert (adopted.returncode, adopted.stderr) == (0, "")
    assert "has no tasks of this account" in adopted.stdout
    assert "in flight" in adopted.stdout
    again = project.run("ledger", "adopt", **offline)
    assert again.returncode == 0
    assert "nothing to do" in again.stdout
    # Dagster's history may be lost, too: then all of it is reported again.
    shutil.rmtree(project.folder / "dagster")
    make_dagster_home(project.folder / "dagster")
    ran = project.run("run")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "0 made, 6 reused at no cost, 0 credits." in ran.stdout
    assert project.sandbox.counters()["charged"] == charged

    # A store that is really new is taken when a person says so.
    new = {"TOPVIEW_STORE": str(project.folder / "new store")}
    assert "Is it mounted" in project.refused("run", **new)
    taken = project.run("ledger", "adopt", "--yes", **new)
    assert taken.returncode == 0
    assert "has no results of this account" in taken.stdout
    project.products(3)
    assert project.run("run", **new).returncode == 0
    assert "Is it mounted" in project.refused("run"), "the old one is another one now"
    assert project.sandbox.counters()["charged"] == pytest.approx(charged * 3 / 2)
    assert project.sandbox.counters()["duplicate_tasks"] == []


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
