"""A ledger in trouble when `run` starts or while it works: a sentence, and nothing submitted.

A file that is no database, and folders that cannot be used, are in test_bad_places.py.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.cli.conftest import Project, ProjectOf
from topview_pipeline.cli import main
from topview_pipeline.environment import VARIABLES

pytestmark = pytest.mark.slow


def _ledger(project: Project) -> Path:
    return project.folder / ".topview" / "ledger.db"


def assert_one_sentence(said: str, *words: str) -> None:
    (line,) = said.splitlines()
    assert line.startswith("topview-pipeline: ledger")
    for word in words:
        assert word in line


def assert_nothing_new_was_submitted(project: Project, before: dict[str, int]) -> None:
    assert project.counters()["submits"] == before


def _made_once(project: Project) -> dict[str, int]:
    """A project with a ledger of its own, and a product more than it knows."""
    project.products(1)
    assert project.run("run").returncode == 0
    project.products(2)
    submits: dict[str, int] = project.counters()["submits"]
    return submits


def test_a_ledger_that_was_cut_off_starts_nothing(project_of: ProjectOf) -> None:
    project = project_of()
    before = _made_once(project)
    content = _ledger(project).read_bytes()
    _ledger(project).write_bytes(content[: len(content) // 2])

    ran = project.run("run")

    assert ran.returncode == 2
    assert_one_sentence(ran.stderr, "malformed", "nothing was submitted")
    assert_nothing_new_was_submitted(project, before)
    assert len(_ledger(project).read_bytes()) == len(content) // 2


def test_a_ledger_whose_middle_was_overwritten_starts_nothing(project_of: ProjectOf) -> None:
    project = project_of()
    before = _made_once(project)
    content = _ledger(project).read_bytes()
    _ledger(project).write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))

    ran = project.run("run")

    assert ran.returncode == 2
    assert_one_sentence(ran.stderr, "malformed")
    assert_nothing_new_was_submitted(project, before)


def test_a_ledger_that_may_only_be_read_says_so(project_of: ProjectOf) -> None:
    """By its URL: as root every file may be written."""
    project = project_of()
    before = _made_once(project)
    url = f"sqlite:///file:{_ledger(project)}?mode=ro&uri=true"

    ran = project.run("run", TOPVIEW_LEDGER_URL=url)

    assert ran.returncode != 0
    assert "readonly" in ran.stdout + ran.stderr
    assert "may be written" in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stdout + ran.stderr
    assert_nothing_new_was_submitted(project, before)


def test_a_disk_without_room_for_a_ledger_starts_nothing(project_of: ProjectOf) -> None:
    project = project_of()
    project.products(1)

    ran = subprocess.run(
        [sys.executable, "-c", _ON_A_FULL_DISK, "run"],
        cwd=project.folder,
        env={**os.environ, **project.environment},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )

    assert ran.returncode == 2
    assert_one_sentence(ran.stderr, "disk", "nothing was submitted")
    assert_nothing_new_was_submitted(project, {})


_ON_A_FULL_DISK = """
import resource
import sys
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
from topview_pipeline.cli import main
sys.argv[0] = "topview-pipeline"
main()
"""
"""No file grows over a page: what a full disk or a quota comes to."""


@contextmanager
def locked(ledger: Path) -> Iterator[None]:
    """Another program keeps it to itself."""
    with closing(sqlite3.connect(ledger, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits half a minute for a lock."""
    monkeypatch.setattr("topview_pipeline.ledger.engines.LOCK_WAIT_SECONDS", 0.05)


def run_here(project: Project, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """`topview-pipeline run` in this process: exit code, and all that it says."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable.name, raising=False)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(project.folder)
    ran = CliRunner().invoke(main, ["run"])
    return ran.exit_code, ran.output


@pytest.mark.usefixtures("impatient")
def test_a_new_ledger_that_another_program_locks_starts_nothing(
    project_of: ProjectOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = project_of()
    project.products(1)
    _ledger(project).parent.mkdir()
    with closing(sqlite3.connect(_ledger(project))) as other:
        other.execute("CREATE TABLE t (x)")
    with locked(_ledger(project)):
        code, said = run_here(project, monkeypatch)
    assert code == 2
    assert_one_sentence(said, "locked", "nothing was submitted")
    assert_nothing_new_was_submitted(project, {})


@pytest.mark.usefixtures("impatient")
def test_a_ledger_that_is_locked_when_a_run_begins_to_order_fails_it_with_a_sentence(
    project_of: ProjectOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = project_of()
    before = _made_once(project)
    with locked(_ledger(project)):
        code, said = run_here(project, monkeypatch)
    assert code in (1, 2)
    assert "database is locked" in said
    assert "no other program holds it locked; then run again." in said
    assert "Traceback" not in said
    assert "File " not in said
    assert_nothing_new_was_submitted(project, before)

    assert project.run("run").returncode == 0
    assert project.counters()["duplicates"] == 0
