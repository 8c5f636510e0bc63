"""README and docs are true: what they name exists. The table of settings is in test_settings."""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import dagster as dg
import pytest
import yaml

from tests.catalogue.samples import NO_DEFAULTS
from tests.cli.conftest import unsigned
from topview_pipeline.catalogue import Product, read_catalogue
from topview_pipeline.cli import main
from topview_pipeline.defs.component import TopviewCatalogue
from topview_pipeline.defs.instance import DAGSTER_YAML
from topview_pipeline.settings import VARIABLES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)


def test_a_newcomer_reads_the_readme_in_one_go() -> None:
    """It had 5,800 words in lines of 275 characters, a fifth of them a laboratory log."""
    lines = README.splitlines()
    assert len(lines) <= 200
    assert len(README.encode()) <= 12_000
    lines = [line for line in lines if not line.startswith(("|", "!")) and line not in block("csv")]
    assert [line for line in lines if len(line) > 100] == []


@page
def test_a_page_is_read_in_one_go(page: Path) -> None:
    assert len(page.read_text(encoding="utf-8").splitlines()) <= 200


@page
def test_no_setting_is_promised_that_is_not_read(page: Path) -> None:
    named = set(re.findall(r"\b(TOPVIEW_[A-Z0-9_]+[A-Z0-9])", page.read_text(encoding="utf-8")))
    assert named - {"TOPVIEW_DEFAULT"} <= set(VARIABLES)


def test_every_catalogue_column_is_documented() -> None:
    page = (ROOT / "docs" / "catalogue.md").read_text(encoding="utf-8")
    for column in Product.__dataclass_fields__:
        assert f"`{column}`" in page


def test_the_example_of_a_catalogue_is_one(tmp_path: Path) -> None:
    example = block("csv")
    (tmp_path / "catalogue.csv").write_text(example, encoding="utf-8")
    for photo in re.findall(r"[a-z-]+/[a-z-]+\.jpg", example):
        (tmp_path / photo).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / "topview_pipeline/sample/images/noir-perfume.jpg", tmp_path / photo)
    catalogue = read_catalogue(str(tmp_path / "catalogue.csv"), NO_DEFAULTS)
    assert len(catalogue.products) == 2
    assert not catalogue.problems


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", README, re.S | re.M)
    return str(found)


def snippets(path: Path) -> list[tuple[str, str]]:
    """Language and text of each snippet of a page."""
    return re.findall(r"^```(\w+)\n(.*?)^```", path.read_text(encoding="utf-8"), re.S | re.M)


RUN_ELSEWHERE = {
    "README.md csv": "tests/test_readme.py",
    "architecture.md mermaid": "tests/test_architecture.py",
    "catalogue.md python": "tests/catalogue/test_catalogue.py",
    "costs.md python": "tests/engine/test_scene_judge.py",
    "downstream.md python": "tests/scenarios/test_dagster_dev.py",
    "testing.md python": "tests/test_public_api.py",
    "buckets.md json": "tests/s3.py",
}
"""Snippets that another test takes from the page, by its name and their language."""


@pytest.mark.parametrize(
    ("language", "code", "where"),
    [
        pytest.param(
            language,
            code,
            f"{path.name} {language}",
            id=f"{path.name}-{number}",
            marks=[pytest.mark.slow] if path.name in ("sandbox.md", "schedules.md") else [],
        )
        for path in PAGES
        for number, (language, code) in enumerate(snippets(path))
    ],
)
def test_every_snippet_runs(
    language: str, code: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if where in RUN_ELSEWHERE:
        name = where.split(".")[0]
        assert name.casefold() in (ROOT / RUN_ELSEWHERE[where]).read_text(encoding="utf-8").lower()
    elif language == "yaml":
        given = yaml.safe_load(code)
        if "type" in given:
            assert given["type"] == "topview_pipeline.TopviewCatalogue"
            assert TopviewCatalogue.model().model_validate(given["attributes"])
        else:
            assert given.items() <= yaml.safe_load(DAGSTER_YAML).items()
    else:
        assert language == "python"
        monkeypatch.setenv("ACME_UID", "uid")
        monkeypatch.setenv("LEDGER_URL", "postgresql+psycopg2://topview@db/topview")
        found: dict[str, object] = {}
        exec(compile(code, where, "exec"), found)  # noqa: S102 - our own page
        if isinstance(defs := found.get("defs"), dg.Definitions):
            dg.Definitions.validate_loadable(defs)
        if isinstance(schedule := found.get("mondays_products"), dg.ScheduleDefinition):
            assert isinstance(defs, dg.Definitions)
            _asks_for_the_newest_products(schedule, defs)


def _asks_for_the_newest_products(schedule: dg.ScheduleDefinition, defs: dg.Definitions) -> None:
    with dg.instance_for_test() as instance:
        instance.add_dynamic_partitions("products", [f"mug-{number:02}" for number in range(30)])
        with dg.build_schedule_context(instance=instance) as context:
            (request,) = schedule.evaluate_tick(context).run_requests or ()
    newest = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
    assert [request.tags[key] for key in newest] == ["mug-10", "mug-29"]
    assert dg.validate_run_config(defs.resolve_job_def(schedule.job_name), request.run_config)


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", README)) <= targets


def test_the_ci_script_runs_the_readme_s_commands() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for command in ("make lint", "make test-all", "make demo"):
        assert command in script
        assert f"`{command}`" in README or f"    {command}" in README


@page
def test_every_picture_and_link_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(((?!https?:)[^)#]+)", text):
        assert (page.parent / target).exists(), target
    for shows, path in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", text):
        assert len(shows) > 20
        size = (page.parent / path).stat().st_size
        assert 0 < size < 200_000, f"{path} is {size} bytes"


def test_every_page_is_linked_from_the_readme_and_found_by_its_name() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for name in (
        "Catalogue", "Configuration", "Operate", "Schedules and backfills", "Review and quality",
        "Embed", "Deploy", "Architecture", "Crash safety", "Performance", "Sandbox",
        "Contributing",
    ):  # fmt: skip
        (target,) = re.findall(rf"^\| \[{name}\]\((\w+\.md)\)", index, re.MULTILINE)
        title = (ROOT / "docs" / target).read_text(encoding="utf-8").splitlines()[0]
        assert title.startswith((f"# {name}", f"# The {name.lower()}"))
    for path in PAGES[1:]:
        assert f"(docs/{path.name})" in README, path.name
        assert f"({path.name})" in index or path.name == "README.md"


ACTIVATION = "    . .venv/bin/activate"
"""From this line on the commands of the environment are found by their names."""


def command_lines() -> list[tuple[int, str]]:
    """Every line that a reader copies into a shell, and where it stands."""
    shell = re.sub(r"^```.*?^```", lambda code: " " * len(code[0]), README, flags=re.S | re.M)
    drawn = ("--remove background--", "--put into a scene---", "--animate---")
    return [
        (found.start(), found[1])
        for found in re.finditer(r"^    (\S.*)$", shell, re.MULTILINE)
        if not any(line in found[1] for line in drawn)
    ]


def test_every_command_of_the_readme_is_found_where_it_stands() -> None:
    """`pip` or `topview-pipeline` before anything was activated is "command not found"."""
    assert README.count(ACTIVATION) == 1
    activated = README.index(ACTIVATION)
    words = {"make", "export", ".", "cd", "eval"}
    installed = {"topview-pipeline", "dagster", "pip"}
    lines = command_lines()
    assert len(lines) > 10
    for where, line in lines:
        for part in line.split(" && "):
            program, *_ = shlex.split(part, comments=True)
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
    assert len(installs) == 1
    for arguments in installs:
        assert "-c constraints.txt" in arguments
        assert re.search(r"-e '?\.(\[[a-z]+\])?'?$", arguments), arguments


def commands() -> list[list[str]]:
    """The arguments of every command line of topview-pipeline in README and docs."""
    found: list[list[str]] = []
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        lines = re.findall(r"^    (?:\.venv/bin/)?(topview-pipeline .*)$", text, re.MULTILINE)
        lines += re.findall(r"`(topview-pipeline [a-z-][^`]*)`", text)
        found += [shlex.split(line, comments=True)[1:] for line in lines]
    return [list(one) for one in dict.fromkeys(map(tuple, found))]


def test_the_documentation_names_commands() -> None:
    assert {one[0] for one in commands()} >= {"init", "check", "run", "plan", "export", "tasks"}


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_every_command_line_of_the_documentation_is_understood(arguments: list[str]) -> None:
    """Subcommand, options and the number of words; nothing is run."""
    with main.make_context("topview-pipeline", list(arguments)) as context:
        command: click.Command = main
        rest = arguments[{"--demo": 1, "--defs": 2}.get(arguments[0], 0) :]
        while isinstance(command, click.Group):
            name, found, rest = command.resolve_command(context, rest)
            assert name is not None
            assert found is not None
            command = found
        # Upper case words stand for what the reader knows.
        command.make_context(command.name, ["1" if word == "ROW" else word for word in rest])


@pytest.fixture
def shell(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a line as somebody does who has activated the environment, and has no settings."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {name: text for name, text in os.environ.items() if name not in OWN}

    def run(line: str, *, beneath: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", line],
            cwd=tmp_path / beneath,
            env={**kept, "PATH": path},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    return run


OWN = {*VARIABLES, "DAGSTER_HOME"}
FIRST_PAGE = README[: README.index("## What it costs")]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_first_page_leads_from_nothing_to_the_first_own_video(
    tmp_path: Path, shell: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """Its lines and its catalogue as they stand; only the sandbox is quicker."""
    lines = re.findall(r"^    (topview-pipeline [^#\n]*)", FIRST_PAGE, re.MULTILINE)
    init, sandbox, *rest = (line.strip() for line in lines)
    assert shell(init).returncode == 0
    project = tmp_path / "my-shop"
    table = block("csv").replace("mug-01", "Mug-01")
    (project / "catalogue.csv").write_text(table, encoding="utf-8")
    with background(f"{sandbox} --speed 100 --media tiny", project) as port_is_open:
        port_is_open()
        for line in rest:
            ran = shell(line, beneath="my-shop")
            assert (ran.returncode, unsigned(ran.stderr)) == (0, ""), (
                f"{line}: {ran.stdout}{ran.stderr}"
            )
    videos = {path.name for path in (project / "videos").iterdir()}
    assert videos == {"Mug-01.mp4", "gift-01.mp4"}
    (account,) = (project / ".topview" / "store").glob("[0-9a-f]*")
    assert (account / "Mug-01" / "finishedVideo").is_dir(), "folders are called as the products"


@contextmanager
def background(line: str, folder: Path) -> Iterator[Callable[[], None]]:
    """A command in a second terminal, until the block ends; yields a wait for its port."""
    program, *arguments = shlex.split(line)
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / program), *arguments],
        cwd=folder,
        env={name: text for name, text in os.environ.items() if name not in OWN},
        stdout=subprocess.PIPE,
        text=True,
    )
    port = int(re.findall(r"127\.0\.0\.1:(\d+)", (folder / ".env").read_text())[0])

    def wait() -> None:
        deadline = time.monotonic() + 60
        with socket.socket() as probe:
            while probe.connect_ex(("127.0.0.1", port)):
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline, "the sandbox never answered"
                time.sleep(0.05)

    try:
        yield wait
    finally:
        process.terminate()
        process.communicate(timeout=30)
