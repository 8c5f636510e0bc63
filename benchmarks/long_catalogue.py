"""A catalogue of days in short runs, or in one: `python -m benchmarks.long_catalogue SPEC`.

Simulated: engine, ledger, store and sandbox are real, and the clock jumps. Each tick of the
schedule starts a run over the first products that are not made, while fewer than two are at work.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks import processes
from tests.engine.world import MEDIANS, World, product
from topview_pipeline.engine import slots as engine_slots
from topview_pipeline.ledger import TaskState
from topview_pipeline.stages import STAGES

_MEDIANS: Final = dict(zip(MEDIANS, (stage.typical_seconds for stage in STAGES), strict=True))
"""Of real tasks, by the sandbox's names."""
_TICK_SECONDS: Final = 300.0
_START_SECONDS: Final = 30.0
"""Of a process, until it has planned."""
_WEEK: Final = 7 * 86_400.0


@dataclass(frozen=True)
class Simulated:
    """One way through the catalogue.

    Attributes:
        seconds: until the last video was stored.
        busy: share of the slots that was taken.
        longest: seconds of the longest run.
        held: the most products that runs held in memory at once.
        lost: results that were not brought home in the seven days, or paid twice.
    """

    seconds: float
    busy: float
    longest: float
    held: int
    lost: int


def simulate(
    folder: Path,
    products: int,
    size: int,
    *,
    slots: int = 12,
    at_once: int = 2,
    tick_seconds: float = _TICK_SECONDS,
    medians: Mapping[str, float] = _MEDIANS,
) -> Simulated:
    """Make a catalogue in runs of at most `size` products, so many at once."""
    catalogue = [product(f"p{number:05}") for number in range(products)]
    config = {"poll_seconds": 10.0}
    world = World(folder, concurrency=slots, medians=medians, credits=1e9, config=config)
    held, most, longest = 0, 0, 0.0
    made: set[str] = set()

    async def run() -> None:
        nonlocal held, most, longest
        began = world.clock()
        await asyncio.sleep(_START_SECONDS)
        left = [one for one in catalogue if one.product_id not in made][:size]
        held += len(left)
        most = max(most, held)
        for event in await world.run_async(left, occasion="today"):
            if event.stage == STAGES[-1].key:
                made.add(event.product_id)
        held -= len(left)
        longest = max(longest, world.clock() - began)

    async def ticks() -> None:
        runs: list[asyncio.Task[None]] = []
        while len(made) < products:
            runs = [one for one in runs if not one.done()]
            if len(runs) < at_once:
                runs.append(asyncio.create_task(run()))
            await asyncio.sleep(tick_seconds)
        await asyncio.gather(*runs)

    try:
        began = world.clock()
        world.clock.run(ticks())
        stored = world.rows(TaskState.STORED)
        seen = world.counters()
        seconds = max(row.stored_at or 0.0 for row in stored) - began
        late = [row for row in stored if (row.stored_at or 0) - (row.succeeded_at or 0) > _WEEK]
        lost = len(STAGES) * products - len(stored) + len(late)
        lost += seen["orphans"] + seen["duplicates"]
        busy = seen["slots"]["busy_seconds"] / (slots * seconds)
        return Simulated(seconds, busy, longest, most, lost)
    finally:
        world.close()


def main(spec: dict[str, Any]) -> None:
    """Simulate what the spec names."""
    engine_slots._LOOK_AGAIN_SECONDS = 10.0  # type: ignore[misc]  # else it is half of the work
    os.fsync = lambda fd: None  # noqa: ARG005 - no power cut is simulated
    with tempfile.TemporaryDirectory() as name:
        found = simulate(Path(name), **spec)
    processes.report(**asdict(found))


if __name__ == "__main__":
    main(processes.spec())
