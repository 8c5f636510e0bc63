"""What somebody without an account can look at: manifest, gallery, and a choice of their own."""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path

import dagster as dg
import httpx
import pytest
from click.testing import CliRunner, Result

from topview_pipeline.cli import demohome, main
from topview_pipeline.cli.demohome import DemoHome
from topview_pipeline.cli.ui import served_gallery

pytestmark = pytest.mark.slow

PRODUCT = "aqua-bottle"


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DemoHome:
    """The demo of one product, placed by hand: Topview returns two images."""
    sample = demohome.sample_catalogue()
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
    # A copy: what the demo sets for its process must not outlive the test.
    monkeypatch.setattr(os, "environ", {**os.environ})
    monkeypatch.setattr(demohome, "sample_catalogue", lambda: catalogue)
    monkeypatch.setattr(demohome, "SANDBOX_SPEED", 60.0)
    return DemoHome.here()


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result


def test_the_demo_has_a_manifest_and_a_gallery_and_a_choice_can_be_made(demo: DemoHome) -> None:
    told = run("demo").output

    page = demo.folder / "topview" / "gallery" / "index.html"
    assert os.path.relpath(page) in told
    assert "../artifacts/" in page.read_text(encoding="utf-8"), "it opens without a server"
    with dg.DagsterInstance.from_config(os.environ["DAGSTER_HOME"]) as instance:
        manifest = instance.get_latest_materialization_event(dg.AssetKey("videoManifest"))
        assert manifest is not None
        assert manifest.asset_materialization is not None
        assert manifest.asset_materialization.metadata["topview/videos"].value == 1

    with served_gallery(demo) as url:
        assert url is not None
        before = httpx.get(url, trust_env=False)
        assert before.headers["Cache-Control"] == "no-store"
        (command,) = set(re.findall(rf"topview-pipeline [^\"<]*choose {PRODUCT} 2", before.text))
        assert "is chosen" in run(*command.split()[1:]).output
        again = run("--demo", "run", "--product", PRODUCT, "--stage", "finishedVideo").output
        assert "1 made" in again
        after = httpx.get(url, trust_env=False)
        assert after.text != before.text
        (video,) = set(re.findall(r"media/[^\"]*/video\.mp4", after.text))
        played = httpx.get(f"{url}{video}", headers={"Range": "bytes=0-9"}, trust_env=False)
        assert played.status_code == 206


def test_a_demo_that_was_never_made_is_one_sentence(demo: DemoHome) -> None:
    assert not demo.exists
    result = CliRunner().invoke(main, ["--demo", "gallery"])
    assert result.exit_code == 2
    assert "make demo" in result.output
    assert not demo.exists
