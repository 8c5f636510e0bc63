"""`topview-pipeline sandbox`: settings that cannot be meant."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from topview_pipeline.cli import main
from topview_pipeline.sandbox.api.faults import FAULTS


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--fault", "gremlins=0.5"), "gremlins"),
        (("--fault", "busy=often"), "NAME=PROB"),
        (("--fault", "busy=7"), "busy"),
        (("--speed", "0"), "speed"),
    ],
)
def test_a_sandbox_that_cannot_be_meant_does_not_start(
    arguments: tuple[str, ...], said: str
) -> None:
    ran = CliRunner().invoke(main, ["sandbox", *arguments])
    assert ran.exit_code == 2
    assert said in ran.output
    assert ran.output.startswith("topview-pipeline: ")


def test_the_help_names_the_faults() -> None:
    said = CliRunner().invoke(main, ["sandbox", "--help"]).output
    assert not [name for name in FAULTS if name not in said]
