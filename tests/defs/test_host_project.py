"""Two brands in a project that was there before them: tests/host_project."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from importlib import import_module
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from tests.defs.shop import ASSETS, Shop
from topview_pipeline.defs.dagster_private import locations_in

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "tests" / "host_project"
TWO_BRANDS = ROOT / "examples" / "two_brands"
SOURCES = ("productImage", "productScene", "productScript")
CREDITS = 100.0


def dg_command(project: Path, *arguments: str, path: str = "", **environment: str) -> str:
    places = os.pathsep.join(filter(None, (str(project), path, str(ROOT))))
    env = os.environ | {"PYTHONPATH": places} | environment
    command = [str(Path(sys.executable).with_name("dg")), *arguments]
    done = subprocess.run(
        command, cwd=project, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("project", [PROJECT, TWO_BRANDS], ids=lambda path: path.name)
def test_the_project_is_checked_by_dg_without_any_variable_and_shows_no_secret(
    project: Path, tmp_path: Path
) -> None:
    assert "successfully" in dg_command(project, "check", "defs")  # its YAML included
    names = ("HOST_UID", "HOST_KEY", "TOPVIEW_UID", "TOPVIEW_API_KEY")
    secrets = dict.fromkeys(names, "geheim") | {"HOST_FOLDER": str(tmp_path)}
    listed = dg_command(project, "list", "defs", "--json", **secrets)
    assert "acme/finishedVideo" in listed
    assert "geheim" not in listed


@pytest.fixture
def registry(tmp_path: Path) -> str:
    """PYTHONPATH with this distribution's entry points, as they are when it is installed."""
    group = "dagster_dg_cli.registry_modules"
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'[project.entry-points."{group}"]\ntopview_pipeline = "topview_pipeline"\n' in text
    info = tmp_path / "registry" / "topview_pipeline-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: topview-pipeline\nVersion: 0\n")
    points = f"[{group}]\ntopview_pipeline = topview_pipeline\n"
    (info / "entry_points.txt").write_text(points, encoding="utf-8")
    return str(info.parent)


@pytest.mark.slow
def test_the_component_is_listed_and_what_is_scaffolded_is_loaded(
    registry: str, tmp_path: Path
) -> None:
    """In somebody's project, and in the one that this repository is."""
    assert "topview_pipeline.TopviewCatalogue" in dg_command(
        TWO_BRANDS, "list", "components", "--json", path=registry
    )
    theirs = tmp_path / "theirs"
    shutil.copytree(TWO_BRANDS, theirs)
    ours = tmp_path / "ours"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "topview_pipeline", ours / "topview_pipeline", ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", ours)
    for project in (theirs, ours):
        scaffold = ("scaffold", "defs", "topview_pipeline.TopviewCatalogue", "new-brand")
        dg_command(project, *scaffold, path=registry)
        assert "new_brand/finishedVideo" in dg_command(
            project, "list", "defs", "--json", path=registry
        )


def test_a_team_that_copies_these_projects_finds_runs_in_the_ui_and_imports_what_stays() -> None:
    """`dg dev` has another name for a location without one; all but the public names may change."""
    assert locations_in(TWO_BRANDS) == {"two_brands.definitions": "two_brands"}
    code = [file.read_text(encoding="utf-8") for file in PROJECT.rglob("*.py")]
    assert any("from topview_pipeline import" in text for text in code)
    assert not any("topview_pipeline." in text for text in code)


def test_a_second_brand_is_at_most_twenty_lines() -> None:
    files = sorted(TWO_BRANDS.rglob("defs.yaml"))
    assert [len(file.read_text(encoding="utf-8").splitlines()) <= 20 for file in files] == [
        True
    ] * 2


@pytest.fixture
def load(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[dg.Definitions, dg.Definitions]]]:
    """Loads the host project and its other code location, as processes of their own would."""
    shop.path = shop.folder / "acme.csv"

    def load(credit_limit: float = CREDITS) -> tuple[dg.Definitions, dg.Definitions]:
        values = {
            "FOLDER": str(shop.folder),
            "UID": shop.control.uid,
            "KEY": shop.control.api_key,
            "URL": shop.control.base_url,
            "CREDITS": str(credit_limit),
        }
        for name, value in values.items():
            monkeypatch.setenv(f"HOST_{name}", value)
        monkeypatch.syspath_prepend(PROJECT)
        here, there = map(
            import_module, ("host_project.definitions", "host_project.other_location")
        )
        return here.defs(), there.defs

    yield load
    for name in [name for name in sys.modules if name.split(".")[0] == "host_project"]:
        del sys.modules[name]


def key(brand: str, asset: str) -> dg.AssetKey:
    return dg.AssetKey([brand, asset])


def run(shop: Shop, defs: dg.Definitions, *assets: dg.AssetKey, of: str) -> bool:
    """One partition of the assets."""
    job = defs.resolve_implicit_global_asset_job_def()
    more: dict[str, Any] = {"partition_key": of, "asset_selection": list(assets)}
    return job.execute_in_process(instance=shop.instance, raise_on_error=False, **more).success


def stock(shop: Shop, *products: str) -> None:
    """Both brands sell these, and Dagster knows of them."""
    shop.add(*products)
    shop.write()
    (shop.folder / "zeta.csv").write_bytes(shop.path.read_bytes())
    for brand in ("acme", "zeta"):
        shop.instance.add_dynamic_partitions(f"{brand}_products", list(products))


@pytest.mark.slow
def test_a_host_s_assets_follow_the_video_in_the_same_and_in_another_code_location(
    shop: Shop, load: Any
) -> None:
    stock(shop, "mug", "shoe")
    shop.instance.add_dynamic_partitions("products", ["lamp"])
    here, there = load()
    names = ("price", "shop_page", "announcement", "newsletter")
    price, page, announcement, letter = map(dg.AssetKey, names)
    assert run(shop, here, price, of="lamp")
    assert not run(shop, there, letter, of="mug"), "nothing is stored yet"

    made_with = [*(key("acme", asset) for asset in ASSETS), page, announcement]
    assert run(shop, here, *made_with, of="mug"), "in one run with what they stand on"
    catch_up = here.resolve_job_def("acme_catch_up")
    assert catch_up.execute_in_process(instance=shop.instance).success
    assert run(shop, here, page, announcement, of="shoe")
    assert run(shop, there, letter, of="shoe")

    found = {asset: shop.instance.get_materialized_partitions(asset) for asset in made_with}
    assert found == {asset: {"mug", "shoe"} for asset in made_with}
    assert shop.instance.get_dynamic_partitions("products") == ["lamp"]
    assert shop.instance.get_materialized_partitions(key("zeta", "finishedVideo")) == set()


def test_specs_are_mapped_and_a_host_s_schedule_and_sensor_work_on_ours(
    shop: Shop, load: Any
) -> None:
    stock(shop, "mug")
    defs, _ = load()
    spec = defs.resolve_asset_graph().get(key("acme", "finishedVideo"))
    assert (spec.owners, spec.tags["domain"], spec.group_name) == (
        ["team:media"],
        "media",
        "videos",
    )
    assert defs.resolve_asset_graph().get(key("zeta", "finishedVideo")).group_name == "zeta_videos"
    assert defs.resolve_job_def("report").executor_def.name == "multiprocess"
    assert defs.resolve_job_def("acme_catch_up").executor_def.name == "in_process"

    schedule = defs.resolve_schedule_def("mornings")
    sensor = defs.resolve_sensor_def("after_each_video")
    when = datetime(2026, 1, 1, 6, tzinfo=timezone.utc)
    context = dg.build_schedule_context(instance=shop.instance, scheduled_execution_time=when)
    (request,) = schedule.evaluate_tick(context).run_requests or []
    job = defs.resolve_job_def("acme_catch_up")
    done = job.execute_in_process(instance=shop.instance, run_config=request.run_config)
    assert done.success
    assert shop.accepted()["image2Video"] == 1
    looked = dg.build_sensor_context(instance=shop.instance, definitions=defs)
    assert len(sensor.evaluate_tick(looked).run_requests or []) == 1


class Automation:
    """Dagster's automation, tick by tick: what it would request."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._cursor: Any = None
        self._now = datetime(2026, 1, 1, 0, 30, tzinfo=timezone.utc)

    def tick(self, defs: dg.Definitions, *, hours: float = 0.01) -> dict[tuple[str, str], set[str]]:
        """The products by brand and asset."""
        self._now += timedelta(hours=hours)
        result = dg.evaluate_automation_conditions(
            defs, self._shop.instance, cursor=self._cursor, evaluation_time=self._now
        )
        self._cursor = result.cursor
        return {
            (brand, asset): set(found.true_subset.expensively_compute_partition_keys())
            for found in result.results
            for brand, asset in [tuple(found.key.path)]
            if not found.true_subset.is_empty
        }


def all_of(brand: str, *products: str) -> dict[tuple[str, str], set[str]]:
    return {(brand, asset): set(products) for asset in ASSETS}


@pytest.mark.slow
def test_eager_and_on_cron_as_they_are_request_nothing(shop: Shop, load: Any) -> None:
    """Rows of the catalogue are never materialized: to Dagster a dependency is missing."""
    stock(shop, "mug")
    defs, _ = load()
    plain = {
        "acme": dg.AutomationCondition.eager(),
        "zeta": dg.AutomationCondition.on_cron("@hourly"),
    }
    defs = defs.map_asset_specs(
        func=lambda spec: spec.replace_attributes(
            automation_condition=plain[spec.key.path[0]] if spec.key.path[-1] in ASSETS else None
        )
    )
    automation = Automation(shop)
    assert [automation.tick(defs), automation.tick(defs, hours=1)] == [{}, {}]
    stock(shop, "shoe")
    assert [automation.tick(defs), automation.tick(defs, hours=1)] == [{}, {}]


@pytest.mark.slow
def test_automation_that_ignores_the_catalogue_makes_what_it_requests_within_the_day_s_limit(
    shop: Shop, load: Any
) -> None:
    """Its runs are runs as any other: what they spend is counted, and what exists is free."""
    stock(shop, "mug", "shoe")
    defs, _ = load()
    automation = Automation(shop)
    assert automation.tick(defs) == {}
    assert automation.tick(defs, hours=1) == all_of("zeta", "mug", "shoe"), "on_cron: all products"
    stock(shop, "bag", "cap")
    assert automation.tick(defs) == all_of("acme", "bag", "cap"), "eager: the new ones, once"
    assert automation.tick(defs) == {}

    assert run(shop, defs, *(key("acme", asset) for asset in ASSETS), of="bag")
    with shop.ledger() as ledger:
        spent = ledger.budget.today().total
    limited, _ = load(credit_limit=spent * 1.5)
    for brand, product in (("acme", "cap"), ("zeta", "mug"), ("zeta", "shoe")):
        assert not run(shop, limited, *(key(brand, asset) for asset in ASSETS), of=product)
    with shop.ledger() as ledger:
        assert ledger.budget.today().total <= spent * 1.5
    assert shop.accepted()["image2Video"] == 1
    assert run(shop, limited, *(key("zeta", asset) for asset in ASSETS), of="bag"), "it exists"
