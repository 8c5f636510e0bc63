"""The benches that nothing else runs still come to their end: a table, with each of its numbers."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_looks_at_large_catalogues_are_measured() -> None:
    command = [sys.executable, "-m", "benchmarks", "--smoke", "--only", "ticks"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    for name in ("pending_task_sensor", "plan", "sync_products", "catalogue_sensor"):
        assert f"| {name}, " in ran.stdout
