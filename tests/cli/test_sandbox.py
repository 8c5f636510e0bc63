"""`topview-pipeline sandbox`: settings that cannot be meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from topview_pipeline.cli import main
from topview_pipeline.sandbox import serve
from topview_pipeline.sandbox.api.faults import FAULTS
from topview_pipeline.sandbox.config import SandboxConfig


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--fault", "gremlins=0.5", "gremlins"),
        ("--fault", "busy=often", "NAME=PROB"),
        ("--fault", "busy=7", "busy"),
        ("--speed", "0", "speed"),
        ("--contract", "gone.json", "No such file"),
        ("--contract", "[]", "it is no contract"),
        ("--contract", '{"sandbox": {"contract": {"music": 1}}}', "unknown switch, music"),
        ("--contract", '{"sandbox": {"contract": {"log_date": "payment"}}}', "log_date"),
        ("--contract", '{"sandbox": {"moons": 1}}', "unknown switch, moons"),
    ],
)
def test_a_sandbox_that_cannot_be_meant_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, value: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if option == "--contract" and value != "gone.json":
        Path("contract.json").write_text(value, encoding="utf-8")
        value = "contract.json"
    ran = CliRunner().invoke(main, ["sandbox", option, value])
    assert (ran.exit_code, said in ran.output) == (2, True), ran.output
    assert ran.output.startswith("topview-pipeline: ")


def test_the_help_names_the_faults() -> None:
    said = CliRunner().invoke(main, ["sandbox", "--help"]).output
    assert not [name for name in FAULTS if name not in said]


def test_a_contract_of_the_probe_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[SandboxConfig] = []
    monkeypatch.setattr(serve, "serve", lambda config, **_: served.append(config))
    file = tmp_path / "contract.json"
    sandbox = {"contract": {"log_date": "creation"}, "medians": {"image_replace": 90.0}}
    file.write_text(json.dumps({"sandbox": sandbox}), encoding="utf-8")
    options = ["--contract", str(file), "--strict", "--speed", "10"]
    ran = CliRunner().invoke(main, ["sandbox", *options], env={"TOPVIEW_BASE_URL": None})
    assert ran.exit_code == 0, ran.output
    (config,) = served
    assert config.contract.log_date == "creation"
    assert {*config.contract.required} == {"voiceId", "captionId"}
    assert (config.speed, config.medians) == (10.0, {"image_replace": 90.0})
