"""What loading the code location costs beyond Dagster itself."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

_ROOT = Path(__file__).parent.parent
_TIMED = (
    "import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"
)


@dataclass(frozen=True)
class ImportTimes:
    """Seconds, medians of several interpreters."""

    dagster: float
    definitions: float

    @property
    def beyond(self) -> float:
        """What `topview_pipeline.definitions` adds to `dagster`."""
        return self.definitions - self.dagster


def measure(runs: int = 7) -> ImportTimes:
    """Import both, in turn, in fresh interpreters; one more of each fills the file caches."""
    dagster, definitions = [], []
    for _ in range(runs + 1):
        dagster.append(_seconds("dagster"))
        definitions.append(_seconds("topview_pipeline.definitions"))
    return ImportTimes(median(dagster[1:]), median(definitions[1:]))


def _seconds(module: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _TIMED.format(module=module)],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)
