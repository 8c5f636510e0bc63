"""The README is true: what it names exists. Its table of settings is tested in test_settings."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.cli.conftest import Project, ProjectOf, project_of
from topview_pipeline.catalogue import Product
from topview_pipeline.cli import main
from topview_pipeline.settings import VARIABLES

__all__ = ["project_of"]

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_no_setting_is_promised_that_is_not_read() -> None:
    named = set(re.findall(r"`?(TOPVIEW_[A-Z0-9_]+)", README))
    assert named <= set(VARIABLES)


def test_every_catalogue_column_is_in_the_readme() -> None:
    for column in Product.__dataclass_fields__:
        assert f"`{column}`" in README


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", README)) <= targets


def test_the_ci_script_runs_the_readme_s_commands() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for command in ("make lint", "make test-all", "make demo"):
        assert command in script
        assert f"`{command}`" in README or f"    {command}" in README


def test_every_picture_of_the_readme_is_there_and_says_what_it_shows() -> None:
    pictures = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", README)
    assert len(pictures) == 3
    for shows, path in pictures:
        assert len(shows) > 20
        size = (ROOT / path).stat().st_size
        assert 0 < size < 200_000, f"{path} is {size} bytes"


def test_every_link_of_the_readme_leads_somewhere() -> None:
    for target in re.findall(r"\]\(((?!https?:)[^)#]+)", README):
        assert (ROOT / target).exists(), target


ACTIVATION = "    . .venv/bin/activate"
"""From this line on the commands of the environment are found by their names."""


def command_lines() -> list[tuple[int, str]]:
    """Every line that a reader copies into a shell, and where it stands."""
    shell = re.sub(r"^```.*?^```", lambda code: " " * len(code[0]), README, flags=re.S | re.M)
    drawn = ("--->", "---^", "---'", "--remove background--")
    return [
        (found.start(), found[1])
        for found in re.finditer(r"^    (\S.*)$", shell, re.MULTILINE)
        if not any(line in found[1] for line in drawn)
    ]


def test_every_command_of_the_readme_is_found_where_it_stands() -> None:
    """`pip` or `topview-pipeline` before anything was activated is "command not found"."""
    assert README.count(ACTIVATION) == 1
    activated = README.index(ACTIVATION)
    words = {"make", "export", ".", "mkdir"}
    installed = {"topview-pipeline", "dagster", "pip"}
    lines = command_lines()
    assert len(lines) > 10
    for where, line in lines:
        for part in line.split(" && "):
            program = shlex.split(part, comments=True)[0]
            if program.startswith(".venv/bin/"):
                assert program.removeprefix(".venv/bin/") in installed, line
                assert where < activated, f"{line}: it is found by its name here"
            else:
                assert program in (words | installed if where > activated else words), line
    for found in re.finditer(r"`(?:topview-pipeline|dagster|pip) [a-z-]", README):
        assert found.start() > activated, README[found.start() :][:60]


def test_the_project_is_installed_from_its_checkout() -> None:
    """No index has it."""
    installs = re.findall(r"pip install ([^`\n]*)", README)
    assert len(installs) == 2
    for arguments in installs:
        assert "-c constraints.txt" in arguments
        assert re.search(r"-e '?\.(\[[a-z]+\])?'?$", arguments), arguments


def commands() -> list[list[str]]:
    """The arguments of every command line of topview-pipeline that the README names."""
    copied = [re.sub(r"^\.venv/bin/", "", line) for _, line in command_lines()]
    indented = [line for line in copied if line.startswith("topview-pipeline ")]
    named = re.findall(r"`(topview-pipeline [a-z][^`]*)`", README)
    found = [shlex.split(line, comments=True)[1:] for line in [*indented, *named]]
    return [list(one) for one in dict.fromkeys(map(tuple, found))]


def test_the_readme_names_commands() -> None:
    assert {one[0] for one in commands()} >= {"run", "plan", "tasks", "gallery", "choose"}


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_every_command_line_of_the_readme_is_understood(arguments: list[str]) -> None:
    """Subcommand, options and the number of words; nothing is run."""
    with main.make_context("topview-pipeline", list(arguments)) as context:
        command: click.Command = main
        rest = arguments[arguments[0] == "--demo" :]
        while isinstance(command, click.Group):
            name, found, rest = command.resolve_command(context, rest)
            assert name is not None
            assert found is not None
            command = found
        # Upper case words stand for what the reader knows.
        command.make_context(command.name, ["1" if word == "ROW" else word for word in rest])


def in_a_shell(project: Project, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line as somebody does who has activated the environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-c", line],
        cwd=project.folder,
        env={**os.environ, **project.environment, "PATH": path},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@pytest.mark.slow
def test_the_cheap_commands_of_the_readme_run_as_written(project_of: ProjectOf) -> None:
    """In a project whose products are called as the README's, against the sandbox."""
    project = project_of()
    # A scene by location has two images to choose from.
    project.products(2, location="[[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]]")
    path = project.folder / "catalogue.csv"
    table = path.read_text(encoding="utf-8")
    for number in range(2):
        table = table.replace(f"product-{number},", f"sku-{number + 1},")
    path.write_text(table, encoding="utf-8")
    wanted = [
        ["run", "--stage", "bgRemovedImage"],
        ["run", "--product", "sku-1", "--product", "sku-2"],
        ["choose", "sku-1", "2"],
        ["plan"],
        ["run"],
        ["tasks", "list", "--state", "unknown"],
        ["gallery"],
    ]
    for arguments in wanted:
        assert arguments in commands()
        # A test opens no browser.
        extra = ["--no-open"] if arguments == ["gallery"] else []
        ran = in_a_shell(project, shlex.join(["topview-pipeline", *arguments, *extra]))
        assert (ran.returncode, ran.stderr) == (0, ""), f"{arguments}: {ran.stdout}{ran.stderr}"
    assert (project.folder / ".topview" / "gallery" / "index.html").exists()
    assert project.counters()["duplicates"] == 0
