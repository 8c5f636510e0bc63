"""`purge`: products that left the catalogue, their faces and videos."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from tests.defs.shop import ASSETS, PRODUCTS, Shop
from tests.ledger.conftest import row_in
from topview_pipeline.cli import main
from topview_pipeline.defs.instance import DAGSTER_YAML
from topview_pipeline.ledger import TaskState
from topview_pipeline.ledger.schema import catalogue_product
from topview_pipeline.testing import sandbox


@pytest.mark.slow
def test_what_left_long_ago_goes_and_what_is_shared_or_on_its_way_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text(DAGSTER_YAML)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
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

        def files() -> set[str]:
            store = shop.store
            return {str(path.relative_to(store)) for path in store.rglob("*") if path.is_file()}

        def purge(*options: str) -> Result:
            return CliRunner().invoke(main, ["purge", "--retired-for", "180d", *options])

        before = files()
        assert "0 products would" in purge("--dry-run").output, "it left just now"
        shop.alter(catalogue_product, left_at=catalogue_product.c.left_at - 181 * 86_400.0)
        shown = purge("--media", "--dry-run")
        assert (shown.exit_code, "gone: partition, 1 task and" in shown.output) == (0, True)
        assert files() == before
        done = purge("--media", "--yes")
        assert done.exit_code == 0, done.output
        assert "gone" not in instance.get_dynamic_partitions(PRODUCTS)
        gone = {name for name in before - files() if not name.endswith(".probe")}
        assert gone == {
            name for name in before if "/gone/" in name and "/finishedVideo/" in name
        } | {name for name in gone if "/index/" in name}
        assert len([name for name in gone if "/index/" in name]) == 1
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
