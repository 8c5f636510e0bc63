"""The demo stands apart: nothing of the user's own leaks in, and nothing of it stays behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from topview_pipeline.cli.demohome import DemoHome, free_port
from topview_pipeline.cli.instance import DAGSTER_YAML
from topview_pipeline.settings import VARIABLES, Settings

_HOLDS_A_SANDBOX = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it, and hands that on
from topview_pipeline.cli.demohome import DemoHome
home = DemoHome(Path(sys.argv[1]))
with home.sandbox():
    print("up", flush=True)
    time.sleep(60)
"""


def test_no_setting_of_the_user_reaches_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sandbox work in a production bucket, or the real key sent to the sandbox."""
    monkeypatch.setattr(os, "environ", {**os.environ})
    for variable in VARIABLES:
        os.environ[variable.name] = "hostile"
    DemoHome(tmp_path / ".demo").enter()
    settings = Settings.from_environment(dict(os.environ), start=tmp_path)
    assert settings.base_url.startswith("http://127.0.0.1:")
    assert Path(settings.artifacts).is_relative_to(tmp_path)
    assert "hostile" not in {os.environ.get(variable.name) for variable in VARIABLES}


def test_the_sandbox_keeps_its_port_because_the_origin_is_part_of_the_account(
    tmp_path: Path,
) -> None:
    assert DemoHome(tmp_path).port() == DemoHome(tmp_path).port()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_a_demo_that_dies_leaves_no_sandbox_behind(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDS_A_SANDBOX, str(tmp_path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(number)
    port = DemoHome(tmp_path).port()
    deadline = time.monotonic() + 60
    while _answers(port):
        assert time.monotonic() < deadline, "the sandbox outlived its demo"
        time.sleep(0.05)


def test_a_sandbox_that_inherits_no_sigterm_ends_with_its_demo_as_it_starts() -> None:
    """Who ignores SIGTERM hands that on, and a sandbox that had not started yet stayed for ever."""
    sandbox = [sys.executable, "-m", "topview_pipeline.cli", "sandbox", "--end-with-stdin"]
    ignoring = ["sh", "-c", 'trap "" TERM; exec "$@"', "sh", *sandbox]
    ended = subprocess.run(
        ignoring, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    # By the signal as it started, or by itself when it had.
    assert ended.returncode in (-signal.SIGTERM, 0), ended.stderr


def test_a_free_port_is_free() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        assert server.getsockname()[1] > 0


def test_the_dagster_yaml_we_write_limits_what_it_says(tmp_path: Path) -> None:
    """A misspelt key would be passed over, and a backfill of 5,000 would be 25 processes."""
    (tmp_path / "dagster.yaml").write_text(DAGSTER_YAML, encoding="utf-8")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        limits = instance.get_concurrency_config().run_queue_config
        assert limits is not None
        assert limits.tag_concurrency_limits == [
            {"key": "dagster/backfill", "value": {"applyLimitPerUniqueValue": True}, "limit": 2},
            {"key": "topview/job", "value": "catch_up", "limit": 1},
        ]
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        assert not instance.run_retries_enabled
