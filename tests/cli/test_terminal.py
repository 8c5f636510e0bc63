"""`topview-pipeline run` on a real terminal and into outputs that cannot take everything.

Dagster pointed standard output at a file while a step ran: no user ever saw the table, the product
that ended last was not mentioned, and what was drawn before was repeated in front of every line.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.cli.conftest import Project, ProjectOf, unsigned

FREE = ("run", "--stage", "bgRemovedImage")
HEAD = "stage done running queued later held failed"
_ESCAPE = re.compile(r"\x1b\[")
_COLOUR = re.compile(r"\x1b\[[0-9;]*[39]\dm")


@pytest.fixture
def slow_project(project_of: ProjectOf) -> Project:
    """Two products whose scenes and videos take seconds."""
    project = project_of(speed=20.0)
    project.products(2)
    return project


@pytest.mark.slow
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_table_appears_and_every_product_is_named_above_it(
    slow_project: Project, columns: int
) -> None:
    # A dagster.yaml of the user's own, which says nothing of compute logs.
    home = Path(slow_project.environment["DAGSTER_HOME"])
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    tables = []
    with slow_project.terminal("run", columns=columns) as terminal:
        while terminal.code is None:
            terminal.read(0.3)
            lines = terminal.lines
            heads = [number for number, line in enumerate(lines) if line.split() == HEAD.split()]
            tables += [lines[number:] for number in heads]
            assert len(heads) <= 1, "a stale table stands above a new one"
    said = terminal.lines

    assert terminal.code == 0, terminal.text
    assert tables, f"no table was drawn: {terminal.text}"
    assert {line.split()[0] for line in tables[-1][1:4]} == {
        "bgRemovedImage", "replacedImages", "finishedVideo",
    }  # fmt: skip
    # On a slow machine a sign of life stands before it.
    assert "Reading the catalogue ..." in said[:3]
    for product in ("product-0", "product-1"):
        for stage in ("bgRemovedImage", "replacedImages", "finishedVideo"):
            assert [line for line in said if line.startswith(f"{product} {stage} made in ")]
    assert not [line for line in said if line.split() == HEAD.split()], "the table is wiped away"
    text = "".join("".join(said).split())  # A narrow terminal breaks lines within words.
    assert "6made," in text
    assert "topview-pipelineexportFOLDER" in text
    times = terminal.spoke_after
    assert max(after - before for before, after in pairwise(times[1:])) < 10.5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "escape"), [({"TERM": "dumb"}, _ESCAPE), ({"NO_COLOR": "1"}, _COLOUR)]
)
def test_a_terminal_gets_nothing_that_it_does_not_want(
    project: Project, changes: dict[str, str], escape: re.Pattern[str]
) -> None:
    project.products(1)
    project.write_catalogue([{"product_id": "mug", "image": "product-0.png", "mode": "cinema"}])
    project.environment |= changes
    with project.terminal("plan") as terminal:
        terminal.end()
    project.products(1)
    with project.terminal(*FREE) as terminal:
        assert terminal.end() == 0
    assert "product-0 bgRemovedImage made" in terminal.text
    assert not escape.search(terminal.text), terminal.text


def shell(project: Project, line: str, **changes: str) -> subprocess.CompletedProcess[bytes]:
    """A line of bash; `topview` is the command."""
    function = f'topview() {{ "{sys.executable}" -m topview_pipeline "$@"; }}'
    return subprocess.run(
        ["bash", "-c", f"{function}\n{line}"],
        cwd=project.folder,
        env=project.variables(**changes),
        capture_output=True,
        timeout=90,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_output_without_the_catalogues_letters_gets_question_marks(
    project: Project, encoding: str
) -> None:
    project.products(1)
    row = {"image": "product-0.png", "script": "Hello.", "product_id": "Größe 漢 — ✓"}
    project.write_catalogue([row])
    ran = shell(project, "topview run --stage bgRemovedImage", PYTHONIOENCODING=encoding)
    said = ran.stdout.decode(encoding)
    assert ran.returncode == 0, ran.stderr
    assert unsigned(ran.stderr.decode(encoding)) == ""
    assert "? bgRemovedImage made" in said


@pytest.mark.slow
def test_a_reader_that_goes_away_does_not_end_a_run(project: Project) -> None:
    project.products(1)
    ran = shell(project, "topview run --stage bgRemovedImage | head -1; echo ${PIPESTATUS[0]}")
    assert b"rror" not in ran.stderr
    (said, code) = ran.stdout.decode().splitlines()
    assert (said[-4:], code) == (" ...", "0")
    assert project.sandbox.counters()["accepted"] == {"remove_background": 1}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_sentence(project: Project) -> None:
    project.products(1)
    ran = shell(project, "topview run --stage bgRemovedImage > /dev/full")
    assert ran.returncode == 0
    assert unsigned(ran.stderr.decode()).splitlines() == [
        "topview-pipeline: the output cannot be written: No space left on device"
    ]


@pytest.mark.slow
def test_json_lines_say_all_that_a_script_needs(project: Project) -> None:
    project.products(2)
    with (project.folder / "catalogue.csv").open("a", encoding="utf-8") as file:
        file.write("bad,gone.png,,,,,,cinema\n")
    ran = project.run(*FREE, "--json", DAGSTER_HOME="")
    planned, *events, summary = map(json.loads, ran.stdout.splitlines())
    assert ran.returncode == 1
    assert (planned["event"], planned["products"], planned["new_tasks"]) == ("planned", 2, 2)
    assert {(one["event"], one["product"], one["is_new"]) for one in events} == {
        ("made", "product-0", True), ("made", "product-1", True),
    }  # fmt: skip
    assert summary["event"] == "summary"
    assert (summary["exit_code"], summary["made"], summary["bad_rows"]) == (1, 2, 1)
    assert "catalogue" in ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "out", "err"),
    [("-q", False, False), ("-v", True, True), ("--log-level=error", True, False)],
)
def test_as_much_is_said_as_is_asked_for(
    project: Project, option: str, out: bool, err: bool
) -> None:
    project.products(1)
    ran = project.run(*FREE, option)
    assert ran.returncode == 0
    assert (ran.stdout != "", "catch_up" in ran.stderr) == (out, err)
