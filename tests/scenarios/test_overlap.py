"""A backfill's run, a catch_up and a run over one product, at once over the same products."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest

from tests.defs.shop import ASSETS, Shop
from tests.scenarios.conftest import MakeShop
from tests.scenarios.dagster_processes import EXECUTE, MATERIALIZE, process_of, time_passing
from topview_pipeline.defs.jobs import CATCH_UP
from topview_pipeline.ledger import OrderState

PRODUCTS = ("mug", "shoe", "bag", "cap")
SLOTS = 2
_A_TASK_LASTS = 600.0
_STARTS_WITHIN_SECONDS = 60.0


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_three_runs_over_the_same_products_pay_once_and_all_succeed(
    make_shop: MakeShop, tmp_path: Path
) -> None:
    """No task ends before all three are at work: they really overlap."""
    medians = dict.fromkeys(("remove_background", "image_replace", "image2Video"), _A_TASK_LASTS)
    shop = make_shop(medians=medians, concurrency=SLOTS)
    shop.add(*PRODUCTS)
    shop.write()
    shop.register()
    with ExitStack() as stack:
        processes = [
            stack.enter_context(process_of(code, tmp_path / f"run{number}.log", *arguments))
            for number, (code, arguments) in enumerate(
                (
                    (MATERIALIZE, (PRODUCTS[0], PRODUCTS[-1])),
                    (EXECUTE, ()),
                    (MATERIALIZE, (PRODUCTS[1], PRODUCTS[1])),
                )
            )
        ]
        _wait_until_all_are_at_work(shop, len(processes))
        with time_passing(shop, 2 * _A_TASK_LASTS):
            codes = [process.wait(100) for process in processes]

    logs = [(tmp_path / f"run{number}.log").read_text() for number in range(len(codes))]
    assert codes == [0, 0, 0], logs
    runs = shop.instance.get_runs()
    assert [run.status for run in runs] == [dg.DagsterRunStatus.SUCCESS] * 3
    assert {run.job_name for run in runs} == {CATCH_UP, "__ASSET_JOB"}
    for asset in ASSETS:
        assert shop.materialized(asset) == set(PRODUCTS)
    counters = shop.counters()
    assert counters["duplicates"] == counters["orphans"] == counters["repeats"] == 0
    assert set(counters["submits"].values()) == {len(PRODUCTS)}
    assert counters["slots"]["peak"] <= SLOTS
    with shop.ledger() as ledger:
        for run in runs:
            states = {order.state for order in ledger.orders.of_run(run.run_id)}
            assert states == {OrderState.DONE}


def _wait_until_all_are_at_work(shop: Shop, count: int) -> None:
    give_up = time.monotonic() + _STARTS_WITHIN_SECONDS
    with shop.ledger() as ledger:
        while True:
            runs = shop.instance.get_runs()
            if len(runs) == count and all(ledger.orders.of_run(run.run_id) for run in runs):
                return
            assert time.monotonic() < give_up, runs
            time.sleep(0.05)
