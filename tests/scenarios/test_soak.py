"""300 products on a very bad day: every fault at once, and two `kill -9` on the way."""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.producer.test_faults import ALL_FAULTS
from tests.producer.world import ALL_STAGES, HOUR, product
from tests.scenarios.conftest import Workshop
from tests.scenarios.life import NOT_TOPVIEW, Living, born
from topview_pipeline.catalogue import Product
from topview_pipeline.defs.pending import take_up
from topview_pipeline.ledger import Ledger, Order, OrderState, Task, TaskState
from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.sandbox.serve import running

PRODUCTS = 300
SLOTS = 16
_KILLED_AT = (200, 400)
"""Stored rows, of 900, at which a process is killed."""
_OFTEN = dict(zip(ALL_FAULTS, (0.02, 0.03, 0.04, 0.05) * 3, strict=True))
_MEDIANS = dict.fromkeys(("remove_background", "image_replace", "image2Video"), 0.05)
_DEADLINES = dict.fromkeys(("remove_background", "image_replace", "image2video"), 4.0)
"""Seconds. A lost answer holds its slot so long."""
_MOST_LIVES = 14
_MODERATED = "6001"


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    """One with a sandbox whose CPU time is its own, and with every fault on."""
    config = SandboxConfig(
        media="tiny",
        media_workers=0,
        medians=_MEDIANS,
        concurrency=SLOTS,
        credits=1e6,
        faults=_OFTEN,
        slow_seconds=0.3,
        grace_seconds=0.3,
        retry_after_seconds=0,
    )
    quick = {
        "slots": SLOTS,
        "poll_seconds": 0.05,
        "wait_seconds": 6.0,
        "deadline_seconds": _DEADLINES,
        "retry_seconds": 0.2,
        "busy_seconds": 0.2,
        "network_seconds": 0.05,
        "account_exclusive": True,
    }
    with running(config, where="process") as sandbox:
        yield Workshop(tmp_path, sandbox, quick)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_product_is_finished_or_named_with_a_reason_of_its_own(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    products = tuple(product(f"p{number:03}") for number in range(PRODUCTS))

    lives = _until_nothing_is_left_to_do(workshop, products)

    seconds = time.monotonic() - began
    with workshop.ledger() as ledger:
        reasons = _reasons(workshop, ledger, products)
        unknown = ledger.tasks.in_state((TaskState.UNKNOWN,))
    counters = workshop.counters()
    with capsys.disabled():
        sys.stdout.write(f"\n{_numbers(reasons, counters, lives, seconds)}\n")
    assert set(counters["faults"]) == set(ALL_FAULTS)
    assert counters["duplicate_tasks"] == []
    assert counters["slots"]["peak"] <= SLOTS
    assert len(counters["orphan_tasks"]) <= len(unknown)
    assert reasons["finished"] > PRODUCTS / 2
    assert sum(reasons.values()) == PRODUCTS


def _until_nothing_is_left_to_do(workshop: Workshop, products: Sequence[Product]) -> int:
    """Lives that a person asked for until the first kill, then those of the sensor; how many."""
    kills = list(_KILLED_AT)
    for number in range(_MOST_LIVES):
        is_ordered = len(kills) < len(_KILLED_AT)
        if not kills and not _is_work_left(workshop) and not _is_work_left(workshop, later=HOUR):
            return number
        with born(workshop.life(*products, explicit=not is_ordered)) as living:
            if kills and _stores(workshop, kills[0], living):
                living.kill()
                kills.pop(0)
            exit_code, _ = living.end(120.0)
        assert exit_code in (0, NOT_TOPVIEW, -signal.SIGKILL)
        if not kills:
            workshop.later(2 * HOUR)
    raise AssertionError(f"after {_MOST_LIVES} lives there was still work")


def _is_work_left(workshop: Workshop, *, later: float = 0.0) -> bool:
    """Whether the sensor would start a run, now or some seconds later."""
    with workshop.ledger() as ledger:
        left = take_up(
            ledger.orders.open_orders(),
            ledger.tasks.on_their_way(),
            now=ledger.now() + later,
            is_alive=ledger.producers.is_alive,
        )
    return not left.is_empty


def _stores(workshop: Workshop, rows: int, living: Living) -> bool:
    """Wait until so many rows are stored; False when the process ends before."""
    with workshop.ledger() as ledger:
        while len(ledger.tasks.in_state((TaskState.STORED,))) < rows:
            if not living.is_alive:
                return False
            time.sleep(0.05)
    return True


def _reasons(workshop: Workshop, ledger: Ledger, products: Sequence[Product]) -> Counter[str]:
    """How many products ended how; each reason is proven to be the product's own."""
    with workshop.control() as control:
        at_topview = {task["id"]: task["status"] for task in control.tasks()}
    told = set(workshop.told())
    rows = ledger.tasks.all()
    orders = [
        order
        for number in range(1, workshop.lives + 1)
        for order in ledger.orders.of_run(f"run-{number}")
    ]
    reasons: Counter[str] = Counter()
    for one in products:
        name = one.product_id
        mine = [row for row in rows if row.product_id == name]
        stored = {row.stage for row in mine if row.state is TaskState.STORED}
        assert {(name, stage) for stage in stored} <= told
        if stored == set(ALL_STAGES):
            reasons["finished"] += 1
            continue
        stage = next(stage for stage in ALL_STAGES if stage not in stored)
        of_stage = [row for row in mine if row.stage == stage]
        last = [order for order in orders if (order.product_id, order.stage) == (name, stage)][-1]
        reasons[f"{stage}: {_reason(last, of_stage, at_topview)}"] += 1
    return reasons


def _reason(order: Order, rows: Sequence[Task], at_topview: Mapping[str, str]) -> str:
    """Why a stage is not made, from its own order and rows alone."""
    assert rows, f"{order} is not made, and no row says why"
    row = rows[-1]
    if row.state is TaskState.UNKNOWN:
        assert order.state is OrderState.OPEN
        assert order.held_detail
        return "answer lost"
    assert row.state is TaskState.FAILED, row
    assert order.state is OrderState.FAILED
    if row.error_code == _MODERATED:
        return "rejected"
    assert at_topview[str(row.topview_task_id)] == "fail"
    assert [one.state for one in rows].count(TaskState.FAILED) == 3
    return "failed three times"


def _numbers(
    reasons: Mapping[str, int], counters: Mapping[str, Any], lives: int, seconds: float
) -> str:
    ends = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    sums = {name: sum(counters[name].values()) for name in ("submits", "queries", "faults")}
    return (
        f"soak: {PRODUCTS} products: {ends}; {sums['submits']} submits, {sums['queries']} queries, "
        f"{sums['faults']} faults struck; {counters['duplicates']} duplicates, "
        f"{counters['orphans']} orphans among the lost answers, {counters['repeats']} repeats of "
        f"the free kind; {len(_KILLED_AT)} kills, {lives} lives, {seconds:.0f} s"
    )
