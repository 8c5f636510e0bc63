"""Choosing a scene and looking at the gallery from the command line."""

from __future__ import annotations

import csv
import re
from typing import Any

import httpx
import pytest

from tests.cli.conftest import COLUMNS, Project, ProjectOf, interrupt

pytestmark = pytest.mark.slow

QUAD = "[[0.2, 0.2], [0.6, 0.2], [0.6, 0.8], [0.2, 0.8]]"


def two_scenes(project: Project) -> None:
    """A product that is placed by hand: Topview returns two images."""
    project.products(1)
    path = project.folder / "catalogue.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*COLUMNS, "location"])
        writer.writeheader()
        writer.writerows({**row, "location": QUAD} for row in rows)


def test_a_choice_makes_the_video_anew_in_the_next_run_and_pays_for_it_alone(
    project_of: ProjectOf,
) -> None:
    project = project_of()
    two_scenes(project)
    assert project.run("run").returncode == 0
    before = project.counters()["accepted"]

    chosen = project.run("choose", "product-0", "2", "--why", "her hand")

    assert chosen.returncode == 0, chosen.stderr
    assert "to be made from it. That alone, for about" in chosen.stdout
    assert "topview-pipeline run --product product-0 --stage finishedVideo" in chosen.stdout
    assert project.run("run").returncode == 0
    after = project.counters()["accepted"]
    assert after == {**before, "image2Video": before["image2Video"] + 1}

    again = project.run("choose", "product-0", "2")
    assert again.returncode == 0
    assert "nothing to make" in again.stdout
    first = project.run("choose", "product-0", "1")
    assert "pays nothing for its video: in the store" in first.stdout


def test_an_image_or_product_that_is_not_there_is_named_with_what_there_is(
    project_of: ProjectOf,
) -> None:
    project = project_of()
    two_scenes(project)
    early = project.run("choose", "product-0", "1")
    assert early.returncode == 2
    assert "no scene of 'product-0' yet" in early.stderr
    assert project.run("run").returncode == 0

    for arguments, told in {
        ("product-0", "3"): "choose a number from 1 to 2",
        ("product-0", "0"): "choose a number from 1 to 2",
        ("mug", "1"): "no product 'mug'",
    }.items():
        refused = project.run("choose", *arguments)
        assert refused.returncode == 2
        assert told in refused.stderr
        assert "Traceback" not in refused.stderr


def test_a_product_whose_id_looks_like_an_option_can_be_chosen_for(project_of: ProjectOf) -> None:
    """The page's command is `choose -- -x 2`; what `choose` says to type works as it is, too."""
    project = project_of()
    two_scenes(project)
    path = project.folder / "catalogue.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("product-0,", "-x,"), encoding="utf-8")
    assert project.run("run").returncode == 0

    chosen = project.run("choose", "--", "-x", "2")

    assert chosen.returncode == 0, chosen.stderr
    assert "topview-pipeline run --product -x --stage finishedVideo" in chosen.stdout
    done = project.run("run", "--product", "-x", "--stage", "finishedVideo")
    assert "1 made" in done.stdout
    assert "topview-pipeline choose -- -x 2" in gallery_of(project)


def gallery_of(project: Project) -> str:
    """The page as it is now."""
    assert project.run("gallery", "--no-open").returncode == 0
    page = project.folder / ".topview" / "gallery" / "index.html"
    return page.read_text(encoding="utf-8")


def test_the_gallery_is_written_beside_the_ledger_and_needs_no_key(project_of: ProjectOf) -> None:
    project = project_of()
    two_scenes(project)
    assert project.run("run").returncode == 0

    done = project.run("gallery", "--no-open", TOPVIEW_API_KEY="")

    assert done.returncode == 0, done.stderr
    page = (project.folder / ".topview" / "gallery" / "index.html").read_text(encoding="utf-8")
    assert str(project.folder / ".topview" / "gallery" / "index.html") in done.stdout
    assert "topview-pipeline choose product-0 2" in page
    assert "../artifacts/" in page


def test_a_served_gallery_leaves_the_page_that_is_opened_as_a_file(project_of: ProjectOf) -> None:
    """Its links lead to the server: when that has ended, they lead nowhere."""
    project = project_of()
    project.products(1)
    (project.folder / ".env").write_text("TOPVIEW_UNUSED=secret", encoding="utf-8")
    assert project.run("gallery", "--no-open", "--output", ".").returncode == 0
    file = project.folder / "index.html"
    before = file.read_bytes()

    process = project.command("gallery", "--serve", "--no-open", "--output", ".")
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[2]
        page = httpx.get(url)
        assert "product-0" in page.text
        assert httpx.get(f"{url}.env").status_code == 404
        photo = re.search(r"photos/\w+\.webp", page.text)
        assert photo is not None
        assert httpx.get(url + photo[0]).headers["Content-Type"] == "image/webp"
    finally:
        interrupt(process)
        process.communicate(timeout=60)
    assert file.read_bytes() == before


def test_a_gallery_that_cannot_be_written_is_one_sentence(project_of: ProjectOf) -> None:
    project = project_of()
    project.products(1)
    (project.folder / "taken").write_text("a file", encoding="utf-8")
    done = project.run("gallery", "--no-open", "--output", "taken/below")
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
