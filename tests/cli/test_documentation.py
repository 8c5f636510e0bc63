"""Every command of README and docs runs as it stands: in one project, or in a test of its own."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import QUAD, Invoke, Project
from tests.test_readme import commands

TESTS = Path(__file__).parents[1]
OWN_TESTS = {
    "--demo": ("cli/test_demo.py", "choose"),
    "--defs": ("cli/test_pipelines.py", "--defs"),
    "run --pipeline": ("cli/test_pipelines.py", "--pipeline"),
    "init": ("test_readme.py", "init, sandbox"),
    "sandbox --port": ("cli/test_sandbox.py", "--fault"),
    "sandbox --contract": ("cli/test_sandbox.py", "--contract"),
    "sandbox": ("test_readme.py", "init, sandbox"),
    "gallery --serve": ("cli/test_gallery.py", "--serve"),
    "probe": ("cli/test_probe.py", "--spend"),
    "run --launch": ("scenarios/test_dagster_dev.py", "--launch"),
    "tasks adopt": ("cli/test_tasks.py", '"adopt"'),
    "tasks void": ("cli/test_tasks.py", '"void"'),
    "ledger copy": ("cli/test_ledger.py", "copy"),
}
"""Commands that wait, or need another world than a project: a test that runs them, and a word."""
LISTED = "approve\tmug-01\nchoose\tmug-02\t2\nreject\tmug-03\tthe cap is missing\n"


def own_test(arguments: list[str]) -> str | None:
    """The beginning of a command that has a test of its own."""
    line = " ".join(arguments)
    return next((start for start in OWN_TESTS if line.startswith(start)), None)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_command_of_the_documentation_runs(project: Project, invoke: Invoke) -> None:
    project.products(4, location=QUAD)
    catalogue = project.folder / "catalogue.csv"
    text = re.sub(
        r"(?m)^product-(\d)", lambda one: f"mug-0{int(one[1]) + 1}", catalogue.read_text()
    )
    catalogue.write_text(text, encoding="utf-8")
    assert invoke("run").exit_code == 0
    assert_documented(invoke)
    ran = 0
    for given in commands():
        if own_test(given) is None:
            arguments = ["1" if word == "ROW" else word for word in given]
            arguments += ["--no-open"] if arguments == ["gallery"] else []
            result = invoke(*arguments, stdin=LISTED if "-" in arguments else None)
            # 1: a run could start; Dagster's settings in this DAGSTER_HOME want a look.
            fine = (0, 1) if arguments == ["check"] else (0,)
            assert result.exit_code in fine, f"{shlex.join(arguments)}: {result.output}"
            ran += 1
    assert ran > 20


def assert_documented(invoke: Invoke) -> None:
    """The fields of what programs read: one that no page names is found by nobody."""
    page = (TESTS.parent / "docs" / "commands.md").read_text(encoding="utf-8")
    events = {
        one["event"]: one
        for one in map(json.loads, invoke("run", "--json").stdout.split("\n")[:-1])
    }
    table = page.split("| `summary` | meaning |")[1].split("\n\n")[0]
    of_summary = re.findall(r"`(\w+)`", "".join(re.findall(r"(?m)^\| (.*?) \|", table)))
    assert {"event", *of_summary} == events["summary"].keys()
    for start, document in (
        ("planned", events["planned"]),
        ("plan --json", json.loads(invoke("plan", "--json").stdout)),
        ("review --json", json.loads(invoke("review", "--json").stdout)),
    ):
        (line,) = re.findall(rf"(?m)^\| `{start}` \|(.*)", page)
        assert document.keys() - {"event"} <= set(re.findall(r"`(\w+)`", line)), start


@pytest.mark.parametrize("start", sorted(filter(None, {own_test(one) for one in commands()})))
def test_every_other_command_has_a_test_of_its_own(start: str) -> None:
    path, word = OWN_TESTS[start]
    found = TESTS / path
    files = [found] if found.is_file() else sorted(found.glob("test_*.py"))
    others = [file for file in files if file != Path(__file__)]
    assert any(word in file.read_text(encoding="utf-8") for file in others), f"{path}: {word}"
