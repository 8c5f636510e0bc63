"""The README tells today's truth: what it names exists, and what exists is named."""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner

from topview_pipeline.catalogue import Product
from topview_pipeline.cli import main
from topview_pipeline.settings import VARIABLES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_setting_is_in_the_readme_with_its_meaning() -> None:
    for variable in VARIABLES:
        row = next(
            line for line in README.splitlines() if line.startswith(f"| `{variable.name}` |")
        )
        assert variable.meaning in row
        if variable.default is not None and len(variable.default) < 40:
            assert f"| `{variable.default}` |" in row


def test_no_setting_is_promised_that_is_not_read() -> None:
    named = set(re.findall(r"`?(TOPVIEW_[A-Z0-9_]+)", README))
    assert named <= {variable.name for variable in VARIABLES}


def test_every_catalogue_column_is_in_the_readme() -> None:
    for column in Product.__dataclass_fields__:
        assert f"`{column}`" in README


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"make ([a-z-]+)", README)) <= targets


def test_every_option_of_run_in_the_readme_exists() -> None:
    listed = CliRunner().invoke(main, ["run", "--help"]).output
    for line in re.findall(r"topview-pipeline run(.*)", README):
        for option in re.findall(r"--[a-z-]+", line):
            assert option in listed


def test_the_ci_script_runs_the_readme_s_commands() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for command in ("make lint", "make test-all", "make demo"):
        assert command in script
        assert f"`{command}`" in README or f"    {command}" in README
