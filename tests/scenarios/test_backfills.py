"""Backfills by a real daemon, as UI, GraphQL and `dagster job backfill` launch them; Re-execute."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus

from tests.defs.shop import ASSETS, REFUSED, Shop
from tests.scenarios.conftest import SLOTS, MakeShop
from tests.scenarios.dagster_processes import (
    ROOT,
    assert_paid_once,
    both_slots_make_videos,
    command,
    dagster_dev,
    time_passing,
)
from topview_pipeline.defs.jobs import CATCH_UP, MATERIALIZE_PRODUCTS
from topview_pipeline.ledger import TaskState

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

PRODUCTS = ("mug", "shoe", "bag", "cap", "pen")
_FOR_EVER = 3000.0
_KINDS = ("remove_background", "image_replace", "image2Video")
_CANCEL = """mutation ($id: String!) {
  cancelPartitionBackfill(backfillId: $id) {
    __typename ... on PythonError { message }
  }
}"""


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def shop(make_shop: MakeShop) -> Shop:
    """Five registered products, of which Topview refuses the bag's scene."""
    shop = filled(make_shop(speed=200.0))
    shop.rows["bag"] |= REFUSED
    shop.write()
    return shop


def filled(shop: Shop) -> Shop:
    # A backfill is looked at every half minute: no run may have given up by then.
    shop.settings["TOPVIEW_WAIT_SECONDS"] = "300"
    shop.add(*PRODUCTS)
    shop.write()
    shop.register(shop.instance)
    return shop


def repair_the_bag(shop: Shop) -> None:
    shop.rows["bag"] |= {"template_image": shop.rows["mug"]["template_image"], "avatar_id": ""}
    shop.write()


def test_all_then_the_failed_one_then_a_range_then_by_the_command_line(
    shop: Shop, stack: ExitStack
) -> None:
    """One run for all; the statuses are exact; what exists is free in every later run.

    A catch-up that a shell launches runs where Dagster's runs do, and stays when the shell ends.
    """
    dev = stack.enter_context(dagster_dev(shop))

    whole = dev.backfill()
    assert dev.ended(whole) is BulkActionStatus.COMPLETED_FAILED
    assert len(dev.runs_of(whole)) == 1
    assert shop.materialized("bgRemovedImage") == set(PRODUCTS)
    assert shop.failed("bgRemovedImage") == set()
    for asset in ASSETS[1:]:
        assert shop.materialized(asset) == set(PRODUCTS) - {"bag"}
        assert shop.failed(asset) == {"bag"}

    repair_the_bag(shop)
    failed_only = dev.backfill(["bag"])
    assert dev.ended(failed_only) is BulkActionStatus.COMPLETED_SUCCESS
    charged = shop.control.counters()["charged"]

    ranged = dev.backfill(["shoe", "bag", "cap"])
    assert dev.ended(ranged) is BulkActionStatus.COMPLETED_SUCCESS
    (run,) = dev.runs_of(ranged)
    assert run.tags["dagster/asset_partition_range_start"] == "shoe"
    assert run.tags["dagster/asset_partition_range_end"] == "cap"

    by_command_line = job_backfill(shop, "mug", "pen")
    dev.until(lambda: [run.is_success for run in dev.runs_of(by_command_line)] == [True, True])
    partitions = {run.tags["dagster/partition"] for run in dev.runs_of(by_command_line)}
    assert partitions == {"mug", "pen"}

    launched = command(shop, "topview_pipeline", "run", "--product", "pen", "--launch", dev.url)
    assert launched.returncode == 0, launched.stdout + launched.stderr
    run_id = launched.stdout.split(f"{dev.url}/runs/")[1].strip()
    ours = dg.RunsFilter(run_ids=[run_id], job_name=CATCH_UP)
    dev.until(lambda: [run.is_success for run in shop.instance.get_runs(ours)] == [True])
    assert shop.control.counters()["charged"] == charged
    assert_paid_once(shop)


def job_backfill(shop: Shop, *products: str) -> str:
    """Launch a backfill of the asset job as a shell does; its id."""
    arguments = ["job", "backfill", "-w", str(shop.folder / "workspace.yaml")]
    arguments += ["-j", MATERIALIZE_PRODUCTS, "--noprompt", "--partitions", ",".join(products)]
    done = command(shop, "dagster", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split("Launched backfill job `")[1].split("`")[0]


def test_a_terminated_backfill_sends_nothing_more_and_the_next_one_goes_on(
    make_shop: MakeShop, stack: ExitStack
) -> None:
    shop = filled(make_shop(medians=dict.fromkeys(_KINDS, _FOR_EVER)))
    dev = stack.enter_context(dagster_dev(shop))
    first = dev.backfill()
    dev.until(lambda: len(shop.rows_in(TaskState.PENDING)) == SLOTS)

    answer = dev.graphql(_CANCEL, id=first)["cancelPartitionBackfill"]
    assert answer["__typename"] == "CancelBackfillSuccess", answer
    assert dev.ended(first) is BulkActionStatus.CANCELED

    dev.until(lambda: all(run.is_finished for run in dev.runs_of(first)))
    assert {run.status for run in dev.runs_of(first)} == {dg.DagsterRunStatus.CANCELED}
    assert shop.accepted() == {"remove_background": SLOTS}, "nothing was sent after it"

    second = dev.backfill()
    with time_passing(shop, 2 * _FOR_EVER):
        assert dev.ended(second) is BulkActionStatus.COMPLETED_SUCCESS
    assert_paid_once(shop)


def test_a_backfills_run_that_is_killed_goes_on_by_itself(
    make_shop: MakeShop, stack: ExitStack
) -> None:
    """Dagster's retry makes also what was not submitted yet, and the backfill's end is exact."""
    medians = {"remove_background": 0.05, "image_replace": 0.05, "image2Video": _FOR_EVER}
    shop = filled(make_shop(medians=medians))
    dev = stack.enter_context(dagster_dev(shop))
    backfill = dev.backfill()
    dev.until(lambda: both_slots_make_videos(shop))
    (run,) = dev.runs_of(backfill)

    dev.kill_run(run.run_id)

    with time_passing(shop, 2 * _FOR_EVER):
        assert dev.ended(backfill) is BulkActionStatus.COMPLETED_SUCCESS
    statuses = sorted(run.status.value for run in dev.runs_of(backfill))
    assert statuses == ["FAILURE", "SUCCESS"]
    assert_paid_once(shop)


def test_a_backfill_a_catch_up_and_one_product_at_once_pay_once_and_all_succeed(
    make_shop: MakeShop, stack: ExitStack
) -> None:
    """No task ends before all three runs are at work: they really overlap."""
    shop = filled(make_shop(medians=dict.fromkeys(_KINDS, _FOR_EVER)))
    dev = stack.enter_context(dagster_dev(shop))
    backfills = [dev.backfill(), dev.backfill(["shoe"])]
    caught_up = dev.launch()
    with shop.ledger() as ledger:
        dev.until(lambda: len(ledger.workers.alive()) == 3)

    with time_passing(shop, 2 * _FOR_EVER):
        ended = [dev.ended(backfill) for backfill in backfills]
        dev.until(lambda: dev.run(caught_up).is_finished)

    assert ended == [BulkActionStatus.COMPLETED_SUCCESS] * 2
    assert dev.run(caught_up).status is dg.DagsterRunStatus.SUCCESS
    assert_paid_once(shop)
    counters = shop.control.counters()
    assert set(counters["submits"].values()) == {len(PRODUCTS)}
    assert counters["slots"]["peak"] <= SLOTS


def test_a_run_from_the_command_line_can_be_executed_again_from_the_ui(
    shop: Shop, stack: ExitStack
) -> None:
    """All of it, and from the failed op: neither pays for what exists."""
    ran = command(shop, "topview_pipeline", "run")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    (record,) = shop.instance.get_run_records(dg.RunsFilter(job_name=CATCH_UP))
    run_id = record.dagster_run.run_id
    paid = shop.control.counters()["charged"]
    dev = stack.enter_context(dagster_dev(shop))

    same = dev.execute_again(run_id, "FROM_FAILURE")
    assert same.status is dg.DagsterRunStatus.FAILURE, "the bag is refused still, and not sent"
    assert same.root_run_id == run_id
    assert same.step_keys_to_execute == ["produce"]
    assert shop.control.counters()["charged"] == paid

    repair_the_bag(shop)
    fixed = dev.execute_again(run_id, "ALL_STEPS")
    assert fixed.status is dg.DagsterRunStatus.SUCCESS
    assert_paid_once(shop)


def test_a_users_asset_in_the_same_backfill_is_made_of_every_video_and_of_no_other(
    shop: Shop, stack: ExitStack, tmp_path: Path
) -> None:
    """As docs/downstream.md has it, in a code location of the user's own."""
    guide = (ROOT / "docs" / "downstream.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    (tmp_path / "shop.py").write_text(example, encoding="utf-8")
    dev = stack.enter_context(dagster_dev(shop, f"python_file: {tmp_path}/shop.py"))

    backfill = dev.backfill(assets=[*ASSETS, "shop_page"])

    assert dev.ended(backfill) is BulkActionStatus.COMPLETED_FAILED
    good = set(PRODUCTS) - {"bag"}
    assert shop.materialized("finishedVideo") == shop.materialized("shop_page") == good
    assert shop.control.counters()["duplicates"] == 0
