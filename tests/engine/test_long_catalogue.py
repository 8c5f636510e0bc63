"""A long catalogue in short runs: the ticks of the schedule against one run without end."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.long_catalogue import simulate

PRODUCTS, RUN_SIZE = 72, 18
MEDIANS = {"remove_background": 10.0, "image_replace": 20.0, "image2Video": 32.0}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_short_runs_keep_the_slots_busy(tmp_path: Path) -> None:
    """A process that waits for days is in the way of every upgrade; idle slots are lost time."""
    found = []
    for size, at_once in ((PRODUCTS, 1), (RUN_SIZE, 2)):
        folder = tmp_path / str(size)
        folder.mkdir()
        pace = {"tick_seconds": 20.0, "start_seconds": 2.0, "poll_seconds": 3.0}
        found.append(
            simulate(folder, PRODUCTS, size, slots=6, at_once=at_once, medians=MEDIANS, **pace)
        )
    endless, ticks = found
    assert endless.lost == ticks.lost == 0, "lost, or paid twice"
    assert endless.seconds / ticks.seconds >= 0.97, found
    assert ticks.longest < endless.longest * 0.6
