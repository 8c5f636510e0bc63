"""`ledger`, `metrics`, `purge`: a lost ledger, another database, numbers, products that left."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
from click.testing import CliRunner, Result
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.cli.conftest import Project
from tests.defs.shop import ASSETS, PRODUCTS, Shop
from tests.engine.world import Killed
from tests.ledger.conftest import BASE_URL, UID, open_ledger, row_in
from topview_pipeline.cli import main
from topview_pipeline.cli.demo import free_port
from topview_pipeline.cli.environment import make_dagster_home
from topview_pipeline.ledger import Ledger, TaskState
from topview_pipeline.ledger.catalogue_state import Retired
from topview_pipeline.ledger.schema import catalogue_product
from topview_pipeline.testing import sandbox

pytestmark = pytest.mark.timeout(240)
ROOT = Path(__file__).parents[2]


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_an_unmounted_store_a_lost_ledger_and_a_new_store_start_nothing_by_themselves(
    project: Project,
) -> None:
    project.products(2)
    assert project.run("run").returncode == 0
    charged = project.sandbox.counters()["charged"]

    # A store that is not mounted is no new one. That no run begins without it: defs/test_run.
    mount = project.home / "store"
    disk = mount.rename(mount.with_name("the disk"))
    mount.mkdir()
    ran = project.run("ledger", "adopt")
    assert (ran.returncode, "mounted" in ran.stdout + ran.stderr) == (2, True)
    mount.rmdir()
    disk.rename(mount)

    # A lost ledger is refused until a person adopts the store, which heals it.
    for file in project.home.glob("ledger.db*"):
        file.unlink()
    said = project.refused("run")
    assert "the store has results of this account" in said
    assert "`topview-pipeline ledger adopt`" in said
    # It needs neither Topview nor a key, but a uid.
    offline = {"TOPVIEW_API_KEY": "", "NO_PROXY": "*"}
    assert "TOPVIEW_UID" in project.refused("ledger", "adopt", TOPVIEW_UID="")
    assert "add --yes" in project.refused("ledger", "adopt", **offline)
    assert "the store has results" in project.refused("run")
    adopted = project.run("ledger", "adopt", "--yes", **offline)
    assert (adopted.returncode, adopted.stderr) == (0, "")
    assert "has no tasks of this account" in adopted.stdout
    assert "in flight" in adopted.stdout
    assert "nothing to do" in project.run("ledger", "adopt", **offline).stdout
    # Dagster's history may be lost, too: then all of it is reported again.
    shutil.rmtree(project.folder / "dagster")
    make_dagster_home(project.folder / "dagster")
    ran = project.run("run")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "0 made, 6 reused at no cost, 0 credits." in ran.stdout
    assert project.sandbox.counters()["charged"] == charged

    # A store that is really new is taken when a person says so.
    new = {"TOPVIEW_STORE": str(project.folder / "new store")}
    assert "Is it mounted" in project.refused("run", **new)
    taken = project.run("ledger", "adopt", "--yes", **new)
    assert taken.returncode == 0
    assert "has no results of this account" in taken.stdout
    project.products(3)
    assert project.run("run", **new).returncode == 0
    assert "Is it mounted" in project.refused("run"), "the old one is another one now"
    assert project.sandbox.counters()["charged"] == pytest.approx(charged * 3 / 2)
    assert project.sandbox.counters()["duplicate_tasks"] == []


def test_tables_are_made_before_an_upgrade_and_a_ledger_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOPVIEW_HOME", str(tmp_path))
    monkeypatch.setenv("TOPVIEW_MIGRATE", "false")
    made = CliRunner().invoke(main, ["ledger", "upgrade"])
    assert (made.exit_code, "has the tables of version" in made.output) == (0, True)
    Ledger(f"sqlite:///{tmp_path}/ledger.db", base_url="http://x", uid="u", migrate=False).close()
    command = ["ledger", "copy", "sqlite:///ledger.db", "sqlite:///b.db"]
    copied = CliRunner().invoke(main, command)
    assert (copied.exit_code, "Copied 1 row (1 in account)" in copied.output) == (0, True)
    again = CliRunner().invoke(main, command)
    assert (again.exit_code, "it has rows already" in again.output) == (2, True)
    for source, said in {
        "mysql://x/y": "is not supported",
        "sqlite:///legder.db": "there is no such file",  # an empty one would be made there
        f"sqlite:///{tmp_path}/./b.db": "are one ledger",  # it would wait for its own lock
    }.items():
        ran = CliRunner().invoke(main, ["ledger", "copy", source, "sqlite:///b.db"])
        assert (ran.exit_code, said in ran.output) == (2, True), ran.output
    assert not (tmp_path / "legder.db").exists()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The ledger of an account, with a task in each state."""
    ledger = open_ledger(tmp_path)
    for state in TaskState:
        row_in(ledger, state, f"p {state.value}", estimate=2.0)
    ledger.close()
    settings = {"HOME": str(tmp_path), "UID": UID, "BASE_URL": BASE_URL, "CREDIT_LIMIT": "50"}
    for name, value in settings.items():
        monkeypatch.setenv(f"TOPVIEW_{name}", value)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parsed(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    """By name and the values of the labels, in the order of their names."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):  # type: ignore[no-untyped-call]
        for sample in family.samples:
            labels = tuple(value for _, value in sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def test_the_numbers_of_the_ledger_in_open_metrics(home: Path) -> None:
    ran = CliRunner().invoke(main, ["metrics"])
    assert ran.exit_code == 0, ran.output
    found = parsed(ran.stdout)
    states = {labels[2]: count for labels, count in found["topview_tasks"].items()}
    assert states == {state.value: 1.0 for state in TaskState}
    assert found["topview_attempts_failed_total"] == {("1", "replacedImages"): 1.0}
    assert found["topview_credit_limit"] == {(): 50.0}
    assert found["topview_credits_committed"][()] > 0.0
    assert found["topview_health"]["tasks_unknown", "topview"] == 1.0
    assert found["topview_oldest_pending_seconds"][()] > 0.0

    shown = json.dumps(json.loads((ROOT / "deploy/grafana.json").read_text()))
    assert set(re.findall(r"topview_\w+", shown)) <= found.keys()


@pytest.mark.slow
def test_a_file_is_whole_and_a_port_is_scraped(home: Path) -> None:
    assert CliRunner().invoke(main, ["metrics", "--file", "topview.prom"]).exit_code == 0
    assert "topview_slots 4.0" in Path("topview.prom").read_text()
    command = [sys.executable, "-m", "topview_pipeline", "metrics", "--host", "127.0.0.1"]
    port = str(free_port())
    server: Any = subprocess.Popen([*command, "--port", port], stdout=subprocess.PIPE, text=True)
    try:
        assert f":{port}/metrics" in server.stdout.readline()
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False)
        assert "topview_slots_taken" in answer.text
    finally:
        server.terminate()
        server.wait()


@pytest.mark.slow
def test_what_left_long_ago_goes_and_what_is_shared_or_on_its_way_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_dagster_home(tmp_path / "dagster")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    monkeypatch.chdir(tmp_path)
    with dg.DagsterInstance.get() as instance, sandbox(sigma=0.1) as topview:
        shop = Shop(tmp_path, topview, instance)
        for name, text in shop.settings.items():
            monkeypatch.setenv(name, text)
        shop.add("gone", "stays", "new")
        assert shop.catch_up().success
        shop.add("twin", image=shop.rows["gone"]["image"])  # it shares the cut-out and the scene
        assert shop.catch_up().success
        shop.remove("gone")
        shop.run_job("sync_products")

        def purge(*options: str) -> Result:
            return CliRunner().invoke(main, ["purge", "--retired-for", "180d", *options])

        forget = Retired.forget

        def killed_before(*_: Any, **__: Any) -> None:
            raise Killed

        def killed_after(*given: Any, **named: Any) -> None:
            forget(*given, **named)
            raise Killed

        before = _files(shop.store)
        copies = tmp_path / "home" / "gallery" / "thumbs"
        copies.mkdir(parents=True)
        assert "0 products would" in purge("--dry-run").output, "it left just now"
        shop.alter(catalogue_product, left_at=catalogue_product.c.left_at - 181 * 86_400.0)
        shown = purge("--media", "--dry-run")
        assert (shown.exit_code, "gone: partition, 1 task and" in shown.output) == (0, True)
        assert _files(shop.store) == before
        for killed in (killed_before, killed_after):  # the second finds what the first left
            with monkeypatch.context() as patch:
                patch.setattr(Retired, "forget", killed)
                with pytest.raises(Killed):
                    purge("--media", "--yes")
        assert "0 products would" in purge("--media", "--yes").output, "nothing is left of it"
        assert not copies.exists()
        assert "gone" not in instance.get_dynamic_partitions(PRODUCTS)
        gone = {name for name in before - _files(shop.store) if not name.endswith(".probe")}
        video = {name for name in before if "/gone/" in name and "/finishedVideo/" in name}
        (index,) = gone - video
        assert "/index/" in index
        assert video <= gone
        left = shop.rows_in(TaskState.STORED)
        assert {row.product_id for row in left} == {"gone", "stays", "new", "twin"}
        stages = [row.stage for row in left if row.product_id == "gone"]
        assert sorted(stages) == ["bgRemovedImage", "replacedImages"]

        # It comes back: only what was shared is free.
        charged = topview.counters()["submits"]
        shop.add("gone", image=shop.rows["twin"]["image"])
        assert shop.catch_up().success
        assert sum(topview.counters()["submits"].values()) == sum(charged.values()) + 1
        assert all("gone" in shop.materialized(asset) for asset in ASSETS)

        with shop.ledger() as ledger:
            row_in(ledger, TaskState.PENDING, "new")
        shop.remove("new")
        shop.run_job("sync_products")
        shop.alter(catalogue_product, left_at=catalogue_product.c.left_at - 181 * 86_400.0)
        assert "new: stays, a task of it is on its way" in purge("--media", "--yes").output
        assert "new" in instance.get_dynamic_partitions(PRODUCTS)


@pytest.mark.parametrize("days", ["180", "6d", "-1d", "half a year"])
def test_days_that_cannot_be_meant_are_refused(days: str) -> None:
    ran = CliRunner().invoke(main, ["purge", "--retired-for", days])
    assert (ran.exit_code, "at least 7d" in ran.output) == (2, True)
