"""A catalogue of days in short runs, or in one: `python -m benchmarks.long_catalogue SPEC`.

Simulated: engine, ledger, store and sandbox are real, and the clock jumps. Each tick of the
schedule starts a run over the first products that are neither made nor another run's, while fewer
than two are at work.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from benchmarks import processes
from tests.engine.world import MEDIANS, World, product
from topview_pipeline.engine import slots as engine_slots
from topview_pipeline.ledger import TaskState
from topview_pipeline.ledger.schema import task
from topview_pipeline.stages import STAGES

_MEDIANS: Final = dict(zip(MEDIANS, (stage.typical_seconds for stage in STAGES), strict=True))
"""Of real tasks, by the sandbox's names."""
_WEEK: Final = 7 * 86_400.0
_MADE: Final = sa.select(task.c.product_id).where(
    task.c.stage == STAGES[-1].key, task.c.state == TaskState.STORED
)


@dataclass(frozen=True)
class Simulated:
    """One way through the catalogue.

    Attributes:
        seconds: until the last video was stored.
        busy: share of the slots that was taken.
        longest: seconds of the longest run.
        held: the most products that runs held in memory at once.
        lost: results that were not stored within the seven days, or paid twice.
        memory_mib: of the process, the sandbox included: at the start, in the middle, at the end.
    """

    seconds: float
    busy: float
    longest: float
    held: int
    lost: int
    memory_mib: tuple[float, float, float]


def simulate(
    folder: Path,
    products: int,
    size: int,
    *,
    slots: int = 12,
    at_once: int = 2,
    tick_seconds: float = 300.0,
    start_seconds: float = 30.0,
    poll_seconds: float = 10.0,
    medians: Mapping[str, float] = _MEDIANS,
) -> Simulated:
    """Make a catalogue in runs of at most `size` products, so many at once.

    Args:
        start_seconds: of a process, until it has planned.
    """
    catalogue = [product(f"p{number:05}") for number in range(products)]
    config = {"poll_seconds": poll_seconds}
    world = World(folder, concurrency=slots, medians=medians, credits=1e9, config=config)
    _without_fsync(world.ledger._database.engine)
    held, most, longest = 0, 0, 0.0
    made: set[str] = set()
    taken: set[str] = set()
    memory: list[float] = []

    async def run() -> None:
        nonlocal held, most, longest
        began = world.clock()
        await asyncio.sleep(start_seconds)
        made.update(row.product_id for row in world.ledger._database.rows(_MADE))
        left = [one for one in catalogue if one.product_id not in made | taken][:size]
        mine = {one.product_id for one in left}
        taken.update(mine)
        held += len(left)
        most = max(most, held)
        await world.run_async(left, occasion="today")
        held -= len(left)
        longest = max(longest, world.clock() - began)
        taken.difference_update(mine)
        made.update(mine)

    async def ticks() -> None:
        runs: list[asyncio.Task[None]] = []
        while len(made) < products:
            runs = [one for one in runs if not one.done()]
            if len(runs) < at_once:
                runs.append(asyncio.create_task(run()))
            memory.append(processes.resident_mib())
            world.gateway.calls.clear()
            await asyncio.sleep(tick_seconds)
        await asyncio.gather(*runs)

    try:
        began = world.clock()
        world.clock.run(ticks())
        stored = world.rows(TaskState.STORED)
        seen = world.counters()
        seconds = max(row.stored_at or 0.0 for row in stored) - began
        late = [row for row in stored if (row.stored_at or 0) - (row.succeeded_at or 0) > _WEEK]
        lost = abs(len(STAGES) * products - len(stored)) + len(late)
        lost += seen["orphans"] + seen["duplicates"]
        busy = seen["slots"]["busy_seconds"] / (slots * seconds)
        at = memory[0], memory[len(memory) // 2], memory[-1]
        return Simulated(seconds, busy, longest, most, lost, at)
    finally:
        world.close()


def _without_fsync(engine: sa.Engine) -> None:
    """Leave files to the system's cache: no power cut is simulated."""
    sa.event.listen(engine, "connect", lambda own, _: own.execute("PRAGMA synchronous=OFF"))
    engine.dispose()


def main(spec: dict[str, Any]) -> None:
    """Simulate what the spec names."""
    engine_slots._LOOK_AGAIN_SECONDS = 10.0  # type: ignore[misc]  # else it is half of the work
    os.fsync = lambda fd: None  # noqa: ARG005
    with tempfile.TemporaryDirectory() as name:
        found = simulate(Path(name), **spec)
    processes.report(**asdict(found))


if __name__ == "__main__":
    main(processes.spec())
