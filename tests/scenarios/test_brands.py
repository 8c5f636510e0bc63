"""Four brands on one Dagster instance, in two code locations, three of them on one account."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from tests.defs.shop import ASSETS, Shop
from tests.scenarios.conftest import SLOTS, MakeShop
from tests.scenarios.dagster_processes import (
    ROOT,
    DagsterDev,
    environment,
    time_passing,
)
from topview_pipeline.defs.dagster_private import locations_ticking
from topview_pipeline.defs.outline import PIPELINE_TAG, Outline
from topview_pipeline.ledger import TaskState
from topview_pipeline.testing import sandbox

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

_A_VIDEO_LASTS = 600.0
_MEDIANS = {"remove_background": 0.05, "image_replace": 0.05, "image2Video": _A_VIDEO_LASTS}
_FAULTS = {"http429": 0.1, "nourl": 0.2, "cut_download": 0.2}
LOCATIONS = {"one": ("acme", "zeta"), "two": ("mora", "nilo")}
BRANDS = tuple(name for names in LOCATIONS.values() for name in names)
OF_ITS_OWN = (
    ("zeta", "bag"),
    *((name, product) for name in ("mora", "nilo") for product in ("mug", "shoe")),
)
ON_ONE_ACCOUNT = ("acme", "zeta", "mora")


@pytest.fixture
def shops(make_shop: MakeShop, tmp_path: Path) -> Iterator[dict[str, Shop]]:
    """The brands: all sell a mug and a shoe, which are the same ones at acme's and zeta's."""
    first = make_shop(medians=_MEDIANS, faults=_FAULTS)
    another: dict[str, Any] = {
        "medians": _MEDIANS,
        "faults": _FAULTS,
        "concurrency": SLOTS,
        "speed": 1.0,
        "uid": "another",
    }
    with sandbox(**another) as other:
        shops = {}
        for name in BRANDS:
            folder = tmp_path / name
            folder.mkdir()
            shop = Shop(folder, first.control if name in ON_ONE_ACCOUNT else other, first.instance)
            home = tmp_path / ("shared" if name in ON_ONE_ACCOUNT else name)
            shop.settings |= {"TOPVIEW_NAME": name, "TOPVIEW_HOME": str(home)}
            shop.settings |= {"TOPVIEW_SLOTS": str(SLOTS), "TOPVIEW_WAIT_SECONDS": "300"}
            shops[name] = shop
        shops["acme"].add("mug", "shoe", "bag")
        shops["zeta"].add("mug", "shoe")
        for place, (name, product) in enumerate(OF_ITS_OWN):
            photo = shops[name].picture(f"{product}.png", (250, 0, place))
            shops[name].add(product, image=photo, script=f"The {product} of {name}.")
        for shop in shops.values():
            shop.write()
        yield shops


@pytest.fixture
def dev(shops: dict[str, Shop], tmp_path: Path) -> Iterator[DagsterDev]:
    first = shops["acme"]
    lines = [
        f"  - python_module: {{module_name: tests.scenarios.brands, attribute: {name}, "
        f"location_name: {name}, working_directory: {ROOT}}}\n"
        for name in LOCATIONS
    ]
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text("load_from:\n" + "".join(lines), encoding="utf-8")
    brands = json.dumps({name: shop.settings for name, shop in shops.items()})
    env = environment(first) | {"BRANDS": brands}
    dev = DagsterDev(first.instance, tmp_path / "dev.log", env, workspace)
    try:
        dev.start()
        yield dev
    finally:
        dev.end()


def runs_of(dev: DagsterDev, brand: str, job: str = "catch_up") -> list[dg.DagsterRun]:
    """The brand's runs of a job, the first one first."""
    which = dg.RunsFilter(job_name=f"{brand}_{job}")
    records = dev.instance.get_run_records(which, ascending=True)
    return [record.dagster_run for record in records]


def slots_make_videos(*shops: Shop) -> bool:
    """The account of these brands has no slot for another task: no submit is under way."""
    rows = [row for shop in shops for row in shop.rows_in(TaskState.PENDING)]
    return [row.stage for row in rows] == ["finishedVideo"] * SLOTS


def test_four_brands_at_once_with_faults_and_kills_stay_apart_and_pay_once(
    shops: dict[str, Shop], dev: DagsterDev
) -> None:
    launched = {
        brand: dev.launch(f"{brand}_catch_up", location)
        for location, names in LOCATIONS.items()
        for brand in names
    }
    dev.until(lambda: slots_make_videos(*(shops[name] for name in ON_ONE_ACCOUNT)))
    dev.until(lambda: slots_make_videos(shops["nilo"]))
    for brand in ("acme", "mora"):
        dev.kill_run(launched[brand])

    with (
        time_passing(shops["acme"], 2 * _A_VIDEO_LASTS),
        time_passing(shops["nilo"], 2 * _A_VIDEO_LASTS),
    ):
        for brand, shop in shops.items():
            dev.until(_all_made(dev, brand, shop))
        dev.until(lambda: all(run.is_finished for run in _all_runs(dev)))

    for brand, shop in shops.items():
        outline = Outline(brand, (brand,))
        assert dev.instance.get_dynamic_partitions(outline.partition_set) == list(shop.rows)
        statuses = [run.status.value for run in runs_of(dev, brand)]
        killed = brand in ("acme", "mora")
        assert statuses == (["FAILURE", "SUCCESS"] if killed else ["SUCCESS"]), brand
        with shop.ledger() as ledger:
            assert ledger.orphans.all() == []
            assert ledger.catalogue.products() == set(shop.rows)
        sensor, beside = f"{brand}_pending_task_sensor", f"{brand}_catalogue_sensor"
        ticking = locations_ticking(dev.instance, sensor, beside=beside, seconds=600.0)
        assert len(ticking) == 1, "by this two locations with one name are refused"
    of_brand = {run.job_name: run.tags[PIPELINE_TAG] for run in _all_runs(dev)}
    assert all(job.startswith(f"{brand}_") for job, brand in of_brand.items())
    for shop, works in ((shops["acme"], 3 + 1 + 2), (shops["nilo"], 2)):
        counters = shop.control.counters()
        assert counters["duplicates"] == counters["orphans"] == counters["repeats"] == 0
        assert counters["accepted"]["image2Video"] == works, "identical work is paid once"
        assert counters["slots"]["peak"] <= SLOTS


def _all_made(dev: DagsterDev, brand: str, shop: Shop) -> Callable[[], bool]:
    keys = [dg.AssetKey([brand, asset]) for asset in ASSETS]
    return lambda: all(
        dev.instance.get_materialized_partitions(key) == set(shop.rows) for key in keys
    )


def _all_runs(dev: DagsterDev) -> list[dg.DagsterRun]:
    return [record.dagster_run for record in dev.instance.get_run_records()]
