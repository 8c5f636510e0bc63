"""Products on a very bad day: every fault at once, and two `kill -9` on the way."""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from tests.engine.world import ALL_STAGES, HOUR, product
from tests.length import LONG
from tests.scenarios.conftest import Workshop
from tests.scenarios.life import NOT_TOPVIEW, Fates, born, ended
from topview_pipeline.catalogue import Product
from topview_pipeline.engine import Timing
from topview_pipeline.ledger import ATTEMPTS_BY_ITSELF, Ledger, Task, TaskState
from topview_pipeline.sandbox.api.faults import FAULTS, RUINS
from topview_pipeline.testing import sandbox

PRODUCTS = 300 if LONG else 150
SLOTS = 16
_KILLED_AT = (PRODUCTS * 2 // 3, PRODUCTS * 4 // 3)
"""Stored rows, of three a product, at which a process is killed."""
_OFTEN = dict(
    zip(
        [name for name in FAULTS if name not in {*chain(*RUINS.values())}],
        (0.02, 0.03, 0.04, 0.05) * 3,
        strict=True,
    )
)
"""All but ruined pictures, which the gate holds without a row: see tests/engine/test_review.py."""
_MEDIANS = dict.fromkeys(("remove_background", "image_replace", "image2Video"), 0.05)
_DEADLINES = dict.fromkeys(("remove_background", "image_replace", "image2video"), 4.0)
"""Seconds. A lost answer holds its slot so long."""
_MOST_LIVES = 20
_MODERATED = "6001"


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    """One with a sandbox whose CPU time is its own, and with every fault on."""
    faulty = sandbox(
        where="process",
        speed=1.0,
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
        "account_exclusive": True,
    }
    with faulty as topview:
        yield Workshop(tmp_path, topview, quick, Timing(retry=0.2, busy=0.2, network=0.05))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_product_is_finished_or_named_with_a_reason_of_its_own(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    products = tuple(product(f"p{number:03}") for number in range(PRODUCTS))

    ends = _until_nothing_is_left_to_do(workshop, products)

    seconds = time.monotonic() - began
    with workshop.ledger() as ledger:
        reasons = _reasons(workshop, ledger, products, ends)
        unknown = ledger.unknowns.rows()
    counters = workshop.sandbox.counters()
    with capsys.disabled():
        sys.stdout.write(f"\n{_numbers(reasons, counters, workshop.lives, seconds)}\n")
    assert set(counters["faults"]) == set(_OFTEN)
    assert counters["duplicate_tasks"] == []
    assert counters["slots"]["peak"] <= SLOTS
    assert len(counters["orphan_tasks"]) <= len(unknown)
    assert reasons["finished"] > PRODUCTS / 2
    assert sum(reasons.values()) == PRODUCTS


def _until_nothing_is_left_to_do(workshop: Workshop, products: Sequence[Product]) -> Fates:
    """The same run, again and again as Dagster retries it, and the sensor's runs between.

    Returns:
        The last run's outcome of each product's stage.
    """
    kills = list(_KILLED_AT)
    ends: Fates = {}
    for number in range(_MOST_LIVES):
        is_sensors = not kills and number % 2 == 0
        if is_sensors and not _is_work_left(workshop):
            continue
        life = workshop.life(*products, explicit=not is_sensors, root_run_id="run-1")
        with born(life) as process:
            if kills and _stores(workshop, kills[0], process):
                process.kill()
                kills.pop(0)
            exit_code, said = ended(life, process, 120.0)
        assert exit_code in (0, NOT_TOPVIEW, -signal.SIGKILL)
        # An hour is over, and an overdue task is asked about; a killed worker counts as dead.
        workshop.later(2 * HOUR) if not kills else workshop.later()
        if exit_code == 0 and not is_sensors and not kills:
            if said == ends and not _is_work_left(workshop):
                return said
            ends = said
    raise AssertionError(f"after {_MOST_LIVES} lives there was still work")


def _is_work_left(workshop: Workshop) -> bool:
    """The sensor would start a run."""
    with workshop.ledger() as ledger:
        return bool(ledger.orphans.all() or ledger.orphans.retries_due())


def _stores(workshop: Workshop, rows: int, process: BaseProcess) -> bool:
    """Wait until so many rows are stored; False when the process ends before."""
    with workshop.ledger() as ledger:
        while len(ledger.tasks.in_state((TaskState.STORED,))) < rows:
            if not process.is_alive():
                return False
            time.sleep(0.05)
    return True


def _reasons(
    workshop: Workshop, ledger: Ledger, products: Sequence[Product], ends: Fates
) -> Counter[str]:
    """Numbers of products by how they ended; each reason is proven to be the product's own."""
    at_topview = {task["id"]: task["status"] for task in workshop.sandbox.tasks()}
    events = set(workshop.events())
    rows = ledger.tasks.in_state(tuple(TaskState))
    reasons: Counter[str] = Counter()
    for one in products:
        name = one.product_id
        mine = [row for row in rows if row.product_id == name]
        stored = {row.stage for row in mine if row.state is TaskState.STORED}
        assert {(name, stage) for stage in stored} <= events
        assert {stage for stage in ALL_STAGES if ends[name, stage] == "made"} == stored
        if stored == set(ALL_STAGES):
            reasons["finished"] += 1
            continue
        stage = next(stage for stage in ALL_STAGES if stage not in stored)
        of_stage = [row for row in mine if row.stage == stage]
        reasons[f"{stage}: {_reason(ends[name, stage], of_stage, at_topview)}"] += 1
    return reasons


def _reason(end: str, rows: Sequence[Task], at_topview: Mapping[str, str]) -> str:
    """Why a stage is not made, from its own end and rows alone."""
    assert rows, f"{end}, and no row says why"
    row = rows[-1]
    if row.state is TaskState.UNKNOWN:
        assert end == "held"
        assert row.error_message
        return "answer lost"
    assert row.state is TaskState.FAILED, row
    assert end == "failed"
    if row.error_code == _MODERATED:
        return "rejected"
    assert at_topview[str(row.topview_task_id)] == "fail"
    assert [one.state for one in rows].count(TaskState.FAILED) >= ATTEMPTS_BY_ITSELF
    return "failed too often"


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
