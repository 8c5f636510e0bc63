"""Large changes are held until `run --accept-change`: real processes, exit codes, sentences."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Project, ProjectOf

pytestmark = pytest.mark.slow


def held(project: Project, *arguments: str, **changes: str) -> str:
    """What a run says that starts nothing."""
    submits = project.counters()["submits"]
    ran = project.run("run", *arguments, **changes)
    assert ran.returncode == 2, ran.stdout + ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert "Traceback" not in ran.stderr
    assert project.counters()["submits"] == submits
    return ran.stderr


def test_a_catalogue_that_lost_half_its_products_is_held_until_somebody_means_it(
    project_of: ProjectOf,
) -> None:
    project = project_of()
    project.products(4)
    free = ("--stage", "bgRemovedImage")
    assert project.run("run", *free).returncode == 0
    project.products(2)

    for named in ((), ("--product", "product-0"), ("--force", "--product", "product-0")):
        assert "2 of its 4 products are gone" in held(project, *free, *named)
        assert "Held: 2 of its 4 products are gone" in project.run("plan", *named).stdout
    accepted = project.run("run", *free, "--accept-change")
    assert accepted.returncode == 0, accepted.stdout + accepted.stderr
    assert "Held" not in project.run("plan").stdout
    assert project.run("run", *free).returncode == 0


def test_changed_defaults_are_held_until_somebody_means_them_and_one_product_may_try_them(
    project_of: ProjectOf,
) -> None:
    project = project_of()
    project.products(5)
    path = project.folder / "catalogue.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("avatar2", ""), encoding="utf-8")
    assert project.run("run").returncode == 0
    other = {"TOPVIEW_DEFAULT_MODE": "avatar4"}

    said = held(project, **other)
    assert "TOPVIEW_DEFAULT_MODE changed, and 5 of 5 products that are made" in said
    plan = project.run("plan", **other).stdout
    assert "5 new tasks, about" in plan
    assert "Held: TOPVIEW_DEFAULT_MODE changed" in plan
    assert project.run("run").returncode == 0, "set back, there is nothing to hold"
    assert "Held" not in project.run("plan", "--product", "product-0", **other).stdout
    tried = project.run("run", "--product", "product-0", **other)
    assert tried.returncode == 0, tried.stdout + tried.stderr
    assert "4 of 5 products" in held(project, "--limit", "1", **other)

    accepted = project.run("run", "--accept-change", **other)
    assert accepted.returncode == 0, accepted.stdout + accepted.stderr
    assert project.counters()["accepted"]["image2Video"] == 10
    assert project.run("run", **other).returncode == 0
    assert project.run("run").returncode == 0, "the way back is free"
    assert project.counters()["accepted"]["image2Video"] == 10
