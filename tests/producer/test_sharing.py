"""Two runs on one account: the slots are full, never over-full, and each run has its share."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.producer.world import World, product
from topview_pipeline.ledger import Task


def slot_seconds(rows: list[Task], run_id: str, until: float) -> float:
    """Slot time of a run's tasks up to a moment."""
    return sum(
        min(row.succeeded_at or until, until) - row.reserved_at
        for row in rows
        if row.run_id == run_id and row.reserved_at < until
    )


@pytest.mark.slow
def test_a_large_run_leaves_a_later_one_its_share_and_no_slot_stands_empty(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    large = [product(f"large {number}") for number in range(40)]
    small = [product(f"small {number}") for number in range(20)]
    began = world.machine()
    world.run_together((large, {"run_id": "large"}), (small, {"run_id": "small"}))
    rows = world.rows()
    ended = {
        run: max(row.succeeded_at or 0.0 for row in rows if row.run_id == run)
        for run in ("large", "small")
    }
    together = min(ended.values())
    used = {run: slot_seconds(rows, run, together) for run in ended}
    assert min(used.values()) >= sum(used.values()) / 3
    assert sum(used.values()) >= 0.9 * world.settings.concurrency * (together - began)
    world.assert_nothing_paid_twice()
    world.assert_nothing_lost()
    world.close()


def test_one_slot_goes_to_and_fro(tmp_path: Path) -> None:
    world = World(tmp_path, concurrency=1)
    runs = [[product(f"{run} {number}") for number in range(3)] for run in ("a", "b")]
    world.run_together((runs[0], {"run_id": "a"}), (runs[1], {"run_id": "b"}))
    order = [row.run_id for row in world.rows()]
    assert order.index("b") < 3
    assert sum(one != other for one, other in itertools.pairwise(order)) >= 4
    world.assert_nothing_paid_twice()
    world.close()
