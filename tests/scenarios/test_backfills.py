"""Backfills by a real daemon, as UI, GraphQL and `dagster job backfill` launch them; Re-execute."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus

from tests.defs.shop import ASSETS, NO_SUCH_ID, Shop
from tests.scenarios.conftest import MakeShop
from tests.scenarios.dagster_processes import ROOT, DagsterDev, dagster_dev, time_passing
from topview_pipeline.cli.instance import DAGSTER_YAML
from topview_pipeline.defs.jobs import CATCH_UP, MATERIALIZE_PRODUCTS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

PRODUCTS = ("mug", "shoe", "bag", "cap", "pen")
SLOTS = 2
_FOR_EVER = 3000.0
_BACKFILL = """mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
  }
}"""
_CANCEL = """mutation ($id: String!) {
  cancelPartitionBackfill(backfillId: $id) {
    __typename ... on PythonError { message }
  }
}"""
_REEXECUTE = """mutation ($params: ReexecutionParams!) {
  launchRunReexecution(reexecutionParams: $params) {
    ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  }
}"""


class Daemon:
    """A `dagster dev` of a shop, and what a person does in its UI."""

    def __init__(self, shop: Shop, dev: DagsterDev) -> None:
        self.shop = shop
        self.dev = dev

    def backfill(
        self, products: Sequence[str] | None = None, *, assets: Sequence[str] = ASSETS
    ) -> str:
        """Launch one over these assets, and over all products where none are named."""
        params: dict[str, Any] = {"assetSelection": [{"path": [asset]} for asset in assets]}
        params |= {"allPartitions": True} if products is None else {"partitionNames": products}
        answer = self.dev.graphql(_BACKFILL, params=params)["launchPartitionBackfill"]
        return str(answer["backfillId"])

    def ended(self, backfill_id: str) -> BulkActionStatus:
        """Its status once the daemon has nothing more to do for it."""
        self.dev.until(lambda: self._backfill(backfill_id).status not in _UNFINISHED, 200)
        status: BulkActionStatus = self._backfill(backfill_id).status
        return status

    def cancel(self, backfill_id: str) -> None:
        """Press Terminate on the backfill."""
        answer = self.dev.graphql(_CANCEL, id=backfill_id)["cancelPartitionBackfill"]
        assert answer["__typename"] == "CancelBackfillSuccess", answer

    def execute_again(self, run_id: str, strategy: str) -> dg.DagsterRun:
        """Press Re-execute on a run; the new run, once it ended."""
        params = {"parentRunId": run_id, "strategy": strategy}
        answer = self.dev.graphql(_REEXECUTE, params=params)["launchRunReexecution"]
        again = str(answer["run"]["runId"])
        self.dev.until(lambda: self._run(again).is_finished)
        return self._run(again)

    def runs_of(self, backfill_id: str) -> list[dg.DagsterRun]:
        tags = {"dagster/backfill": backfill_id}
        return list(self.shop.instance.get_runs(filters=dg.RunsFilter(tags=tags)))

    def _backfill(self, backfill_id: str) -> Any:
        found = self.shop.instance.get_backfill(backfill_id)
        assert found is not None
        return found

    def _run(self, run_id: str) -> dg.DagsterRun:
        found = self.shop.instance.get_run_by_id(run_id)
        assert found is not None
        return found


_UNFINISHED = (BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING, BulkActionStatus.FAILING)


@pytest.fixture
def make_daemon(
    make_shop: MakeShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """A daemon on a shop with five registered products, with the dagster.yaml that we write."""
    with_block: list[Any] = []

    def make(*, workspace: Path = ROOT / "workspace.yaml", **sandbox: Any) -> Daemon:
        shop = make_shop(concurrency=SLOTS, **sandbox)
        # A backfill is looked at every half minute: no run may have given up by then.
        monkeypatch.setenv("TOPVIEW_WAIT_SECONDS", "300")
        shop.add(*PRODUCTS)
        shop.write()
        shop.register()
        (tmp_path / "dagster" / "dagster.yaml").write_text(DAGSTER_YAML, encoding="utf-8")
        block = dagster_dev(shop, tmp_path / "dev.log", workspace)
        with_block.append(block)
        return Daemon(shop, block.__enter__())

    yield make
    for block in with_block:
        block.__exit__(None, None, None)


def assert_paid_once(shop: Shop) -> None:
    counters = shop.counters()
    assert counters["duplicates"] == counters["orphans"] == 0
    assert set(counters["accepted"].values()) == {len(PRODUCTS)}
    for asset in ASSETS:
        assert shop.materialized(asset) == set(PRODUCTS)
        assert shop.failed(asset) == set()


def test_all_then_the_failed_one_then_a_range_then_by_the_command_line(make_daemon: Any) -> None:
    """One run for all; the statuses are exact; what exists is free in every later backfill."""
    daemon = make_daemon(speed=200.0)
    shop = daemon.shop
    good = shop.rows["bag"]
    shop.rows["bag"] = {**good, "template_image": "", "avatar_id": NO_SUCH_ID}
    shop.write()
    daemon.dev.start()

    whole = daemon.backfill()
    assert daemon.ended(whole) is BulkActionStatus.COMPLETED_FAILED
    assert len(daemon.runs_of(whole)) == 1
    assert shop.materialized("bgRemovedImage") == set(PRODUCTS)
    assert shop.failed("bgRemovedImage") == set()
    for asset in ASSETS[1:]:
        assert shop.materialized(asset) == set(PRODUCTS) - {"bag"}
        assert shop.failed(asset) == {"bag"}

    shop.rows["bag"] = good
    shop.write()
    failed_only = daemon.backfill(["bag"])
    assert daemon.ended(failed_only) is BulkActionStatus.COMPLETED_SUCCESS
    assert_paid_once(shop)

    charged = shop.counters()["charged"]
    ranged = daemon.backfill(["shoe", "bag", "cap"])
    assert daemon.ended(ranged) is BulkActionStatus.COMPLETED_SUCCESS
    (run,) = daemon.runs_of(ranged)
    assert run.tags["dagster/asset_partition_range_start"] == "shoe"
    assert run.tags["dagster/asset_partition_range_end"] == "cap"

    by_command_line = dagster_job_backfill("mug", "pen")
    daemon.dev.until(
        lambda: [run.is_success for run in daemon.runs_of(by_command_line)] == [True, True]
    )
    assert {run.tags["dagster/partition"] for run in daemon.runs_of(by_command_line)} == {
        "mug",
        "pen",
    }
    assert shop.counters()["charged"] == charged
    assert_paid_once(shop)


def test_a_terminated_backfill_takes_back_what_was_not_sent_and_the_next_one_goes_on(
    make_daemon: Any,
) -> None:
    medians = dict.fromkeys(("remove_background", "image_replace", "image2Video"), _FOR_EVER)
    daemon = make_daemon(medians=medians)
    shop = daemon.shop
    daemon.dev.start()
    first = daemon.backfill()
    daemon.dev.until(lambda: sum(shop.accepted().values()) == SLOTS)

    daemon.cancel(first)
    assert daemon.ended(first) is BulkActionStatus.CANCELED

    with shop.ledger() as ledger:
        daemon.dev.until(lambda: ledger.orders.open_orders() == [])
    assert {run.status for run in daemon.runs_of(first)} == {dg.DagsterRunStatus.CANCELED}
    assert shop.accepted() == {"remove_background": SLOTS}, "nothing was sent after it"

    second = daemon.backfill()
    with time_passing(shop, 2 * _FOR_EVER):
        assert daemon.ended(second) is BulkActionStatus.COMPLETED_SUCCESS
    assert_paid_once(shop)


def test_a_run_from_the_command_line_can_be_executed_again_from_the_ui(make_daemon: Any) -> None:
    """All of it, and from the failed op: neither pays for what exists."""
    daemon = make_daemon(speed=200.0)
    shop = daemon.shop
    good = shop.rows["bag"]
    shop.rows["bag"] = {**good, "template_image": "", "avatar_id": NO_SUCH_ID}
    shop.write()
    ran = topview_pipeline("run")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    (run,) = shop.instance.get_runs(filters=dg.RunsFilter(job_name=CATCH_UP))
    paid = shop.counters()["charged"]
    daemon.dev.start()

    same = daemon.execute_again(run.run_id, "FROM_FAILURE")
    assert same.status is dg.DagsterRunStatus.FAILURE, "the bag is refused still, and not sent"
    assert same.root_run_id == run.run_id
    assert same.step_keys_to_execute == ["produce"]
    assert shop.counters()["charged"] == paid

    shop.rows["bag"] = good
    shop.write()
    mended = daemon.execute_again(run.run_id, "ALL_STEPS")
    assert mended.status is dg.DagsterRunStatus.SUCCESS
    assert_paid_once(shop)


def test_a_users_asset_in_the_same_backfill_is_made_of_every_video_and_of_no_other(
    make_daemon: Any, tmp_path: Path
) -> None:
    """As docs/downstream.md has it, in a code location of the user's own."""
    guide = (ROOT / "docs" / "downstream.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    (tmp_path / "shop.py").write_text(example, encoding="utf-8")
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text(f"load_from:\n  - python_file: {tmp_path}/shop.py\n", encoding="utf-8")
    daemon = make_daemon(workspace=workspace, speed=200.0)
    shop = daemon.shop
    shop.rows["bag"] |= {"template_image": "", "avatar_id": NO_SUCH_ID}
    shop.write()
    daemon.dev.start()

    backfill = daemon.backfill(assets=[*ASSETS, "shop_page"])

    assert daemon.ended(backfill) is BulkActionStatus.COMPLETED_FAILED
    good = set(PRODUCTS) - {"bag"}
    assert shop.materialized("finishedVideo") == shop.materialized("shop_page") == good
    assert shop.counters()["duplicates"] == 0


def dagster_job_backfill(*products: str) -> str:
    """Launch a backfill of the asset job as a shell does; its id."""
    command = ["job", "backfill", "-w", "workspace.yaml", "-j", MATERIALIZE_PRODUCTS]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "dagster",
            *command,
            "--noprompt",
            "--partitions",
            ",".join(products),
        ],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split("Launched backfill job `")[1].split("`")[0]


def topview_pipeline(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "topview_pipeline.cli", *arguments],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
