"""A long catalogue in short runs: the ticks of the schedule against one run without end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.engine.world import World, product
from topview_pipeline.ledger import TaskState
from topview_pipeline.stages import STAGES

PRODUCTS = [product(f"p{number:03}") for number in range(72)]
SLOTS, RUN_SIZE = 6, 18
"""A run is three minutes of the slots, as one of 500 products is two hours of 12 slots."""
TICK_SECONDS = 80.0
START_SECONDS = 7.0
"""Of a process, until it has planned."""
MEDIANS = {"remove_background": 10.0, "image_replace": 20.0, "image2Video": 32.0}


def made(world: World) -> set[str]:
    rows = world.rows(TaskState.STORED)
    return {row.product_id for row in rows if row.stage == STAGES[-1].key}


async def ticks(world: World, size: int, at_once: int) -> list[float]:
    """Start runs as the schedule does, until all is made; returns how long each lasted."""
    lasted: list[float] = []
    runs: list[asyncio.Task[None]] = []

    async def run() -> None:
        began = world.clock()
        await asyncio.sleep(START_SECONDS)
        finished = made(world)
        left = [one for one in PRODUCTS if one.product_id not in finished]
        await world.run_async(left[:size], occasion="today")
        lasted.append(world.clock() - began)

    while len(made(world)) < len(PRODUCTS):
        if sum(not one.done() for one in runs) < at_once:
            runs.append(asyncio.create_task(run()))
        await asyncio.sleep(TICK_SECONDS)
    await asyncio.gather(*runs)
    return lasted


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ticks_keep_the_slots_as_busy_as_one_run_without_end(tmp_path: Path) -> None:
    """A process that waits for days is in the way of every upgrade; idle slots are lost time."""
    seconds, longest = {}, {}
    for size, at_once in ((len(PRODUCTS), 1), (RUN_SIZE, 2)):
        folder = tmp_path / str(size)
        folder.mkdir()
        world = World(folder, concurrency=SLOTS, medians=MEDIANS, config={"poll_seconds": 3.0})
        try:
            began = world.clock()
            longest[size] = max(world.clock.run(ticks(world, size, at_once)))
            rows = world.rows()
            seconds[size] = max(row.stored_at or 0.0 for row in rows) - began
            assert len(rows) == len(STAGES) * len(PRODUCTS)
            world.assert_nothing_paid_twice()
            world.assert_nothing_lost()
        finally:
            world.close()
    endless, ticked = seconds.values()
    assert endless / ticked >= 0.97, seconds
    assert longest[RUN_SIZE] < longest[len(PRODUCTS)] / 2
