"""The demo stands apart: nothing of the user's own leaks in, and nothing of it stays behind."""

from __future__ import annotations

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import httpx
import pytest
from click.testing import CliRunner, Result

import topview_pipeline.cli.demo as demo_module
from tests.cli.conftest import forget_settings
from tests.export.test_gallery import Page
from topview_pipeline.cli import main
from topview_pipeline.cli.console import CannotStart
from topview_pipeline.cli.demo import DemoHome, free_port, sample_catalogue, served_gallery
from topview_pipeline.settings import VARIABLES, PipelineConfig

PRODUCT = "aqua-bottle"
_HOLDS_A_SANDBOX = """
import signal, sys, time
from pathlib import Path
from topview_pipeline.cli.demo import DemoHome
if __name__ == "__main__":
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it, and hands that on
    with DemoHome(Path(sys.argv[1])).sandbox():
        print("up", flush=True)
        time.sleep(60)
"""


def test_no_setting_of_the_user_reaches_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sandbox work in a production bucket, or the real key sent to the sandbox."""
    monkeypatch.setattr(os, "environ", {**os.environ})
    for name in (*VARIABLES, "TOPVIEW_STOR"):
        os.environ[name] = "hostile"
    DemoHome(tmp_path / ".demo").enter()
    config = PipelineConfig.from_environment(start=tmp_path)
    assert config.base_url.startswith("http://127.0.0.1:")
    assert Path(config.store).is_relative_to(tmp_path)
    assert "hostile" not in os.environ.values()


def test_the_sandbox_keeps_its_port_because_the_origin_is_part_of_the_account(
    tmp_path: Path,
) -> None:
    home = DemoHome(tmp_path)
    assert home.port() == DemoHome(tmp_path).port() != home.port("media")
    with socket.create_server(("127.0.0.1", home.port())):
        assert free_port(home.port()) != home.port()
        with pytest.raises(CannotStart, match="stop it first"), home.sandbox():
            pass
    assert free_port(home.port()) == home.port()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_a_demo_that_dies_leaves_no_sandbox_behind(tmp_path: Path, number: signal.Signals) -> None:
    script = tmp_path / "holds_a_sandbox.py"
    script.write_text(_HOLDS_A_SANDBOX, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        assert _answers(DemoHome(tmp_path).port())
        process.send_signal(number)
    deadline = time.monotonic() + 60
    while _answers(DemoHome(tmp_path).port()):
        assert time.monotonic() < deadline, "the sandbox outlived its demo"
        time.sleep(0.05)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DemoHome:
    """The demo of one product, placed by hand: Topview returns two images."""
    sample = sample_catalogue()
    with sample.open(encoding="utf-8", newline="") as file:
        (row,) = [row for row in csv.DictReader(file) if row["product_id"] == PRODUCT]
    for column in ("image", "template_image"):
        row[column] = str(sample.parent / row[column])
    catalogue = tmp_path / "catalogue.csv"
    with catalogue.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)
    (tmp_path / "workspace.yaml").write_text("load_from: []\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    # A copy: the demo's settings must not outlive the test.
    monkeypatch.setattr(os, "environ", {**os.environ})
    monkeypatch.setattr(demo_module, "sample_catalogue", lambda: catalogue)
    monkeypatch.setattr(demo_module, "SANDBOX_SPEED", 60.0)
    return DemoHome.here()


def run(*arguments: str) -> Result:
    forget_settings()
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_demo_has_a_manifest_and_a_gallery_and_a_choice_can_be_made(home: DemoHome) -> None:
    said = run("demo").output

    page = home.folder / "topview" / "gallery" / "index.html"
    assert os.path.relpath(page) in said
    assert f".demo/videos/{PRODUCT}.mp4" in said
    (shown,) = Page(page.read_text(encoding="utf-8")).data["products"]
    assert shown["video"].startswith("../store/"), "it opens without a server"
    with dg.DagsterInstance.from_config(os.environ["DAGSTER_HOME"]) as instance:
        manifest = instance.get_latest_materialization_event(dg.AssetKey("videoManifest"))
        assert manifest is not None
        assert manifest.asset_materialization is not None
        assert manifest.asset_materialization.metadata["dagster/row_count"].value == 1
        assert not list(instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])))

    with served_gallery(home) as url:
        assert url is not None
        url, _, token = url.partition("#token=")
        before = httpx.get(url, trust_env=False)
        assert before.headers["Cache-Control"] == "no-store"
        (shown,) = Page(before.text).data["products"]
        line, mine = f"choose\t{PRODUCT}\t2\t{shown['version']}", {"X-Gallery-Token": token}
        said = httpx.post(f"{url}decide", content=line, headers=mine, trust_env=False).text
        assert said == "1 chosen. To go on: topview-pipeline --demo run"
        assert "1 new task," in run("--demo", "plan").output, "its Topview answers"
        again = run("--demo", "run", "--product", PRODUCT, "--stage", "finishedVideo").output
        assert "1 made" in again
        after = httpx.get(url, trust_env=False)
        assert after.text != before.text
        (shown,) = Page(after.text).data["products"]
        assert (shown["used"], shown["chosen"]) == (2, 2)
        played = httpx.get(
            f"{url}{shown['video']}", headers={"Range": "bytes=0-9"}, trust_env=False
        )
        assert played.status_code == 206


@pytest.mark.parametrize("arguments", [("--demo", "gallery"), ("ui",)])
def test_a_demo_that_was_never_made_is_one_sentence(
    home: DemoHome, arguments: tuple[str, ...]
) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "make demo" in result.output
    assert not home.folder.exists()


def test_a_port_that_is_taken_is_no_address_to_show(home: DemoHome) -> None:
    """`ui` printed the URL of somebody else's server, and stayed."""
    home.port()
    with socket.create_server(("127.0.0.1", 0)) as other:
        result = CliRunner().invoke(main, ["ui", "--port", str(other.getsockname()[1])])
    assert result.exit_code == 2
    assert "is in use" in result.output
    assert "http" not in result.output


def test_the_demo_is_found_from_a_project_folder_inside_the_clone(
    home: DemoHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.port()
    shop = home.folder.parent / "shop"
    shop.mkdir()
    (shop / "workspace.yaml").touch()
    monkeypatch.chdir(shop)
    assert DemoHome.here() == home
