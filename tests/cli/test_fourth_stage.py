"""A fourth stage is its class and its entry in STAGES: plan, engine, ledger and Dagster follow."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Project

ROOT = Path(__file__).parents[2]
WITH_THE_TOY = """
from topview_pipeline import stages
from tests.stages.toy import FOUR_STAGES

vars(stages).update(STAGES=FOUR_STAGES, BY_KEY={stage.key: stage for stage in FOUR_STAGES})
stages.stages_named.__defaults__ = (FOUR_STAGES,)
from topview_pipeline.__main__ import main

main()
"""
"""The command line in a process whose STAGES have the toy before anything else reads them."""


@pytest.mark.slow
def test_a_fourth_stage_is_planned_made_and_known_to_dagster(project: Project) -> None:
    def said(*arguments: str) -> str:
        command = [sys.executable, "-c", WITH_THE_TOY, *arguments]
        environment = project.variables(PYTHONPATH=str(ROOT))
        ran = subprocess.run(
            command, cwd=project.folder, env=environment, capture_output=True, text=True, check=True
        )
        return ran.stdout

    project.products(2)
    assert "8 new tasks" in said("plan")

    made = said("run")

    assert made.count(" thumbnail made in") == 2
    assert "8 made" in made
    # The plan compares with what Dagster has: the fourth asset is materialized there.
    assert "Everything is up to date" in said("plan")
    assert "nothing was paid" in said("run")
