"""`topview-pipeline choose`: a person's choice among the scenes, from the command line."""

from __future__ import annotations

import dagster as dg
import pytest

from tests.cli.conftest import QUAD, Project

pytestmark = pytest.mark.slow


@pytest.fixture
def two_scenes(project: Project) -> Project:
    """A product that is placed by hand: Topview returns two images."""
    project.products(1, location=QUAD)
    assert project.run("run").returncode == 0
    return project


def test_a_choice_is_reported_at_once_and_the_next_run_pays_for_its_video_alone(
    two_scenes: Project,
) -> None:
    before = two_scenes.sandbox.counters()["accepted"]
    chosen = two_scenes.run("choose", "product-0", "2", "--why", "her hand")

    assert chosen.returncode == 0, chosen.stderr
    assert "To make its video from it, for about" in chosen.stdout
    assert "topview-pipeline run --product product-0 --stage finishedVideo" in chosen.stdout
    with dg.DagsterInstance.from_config(two_scenes.environment["DAGSTER_HOME"]) as instance:
        filters = dg.AssetRecordsFilter(dg.AssetKey("productScript"))
        assert len(instance.fetch_observations(filters, limit=9).records) == 2
    assert two_scenes.run("run").returncode == 0
    after = two_scenes.sandbox.counters()["accepted"]
    assert after == {**before, "image2Video": before["image2Video"] + 1}

    again = two_scenes.run("choose", "product-0", "2")
    assert again.returncode == 0
    assert "nothing to make" in again.stdout
    first = two_scenes.run("choose", "product-0", "1")
    assert "pays nothing for its video: in the store" in first.stdout


def test_an_image_or_product_that_is_not_there_is_named_with_what_there_is(
    two_scenes: Project,
) -> None:
    assert "Choose 1 or 2" in two_scenes.refused("choose", "product-0", "3")
    assert "Choose 1 or 2" in two_scenes.refused("choose", "product-0", "0")
    assert "no product 'mug'" in two_scenes.refused("choose", "mug", "1")
    two_scenes.products(1, location=QUAD, product_id="-x")
    said = two_scenes.refused("choose", "--", "-x", "1")
    assert "no scene of '-x' yet" in said
    assert "run --product -x --stage replacedImages" in said
