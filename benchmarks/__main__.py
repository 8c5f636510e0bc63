"""`python -m benchmarks`: measure everything and print one table. It wants an idle machine.

`make bench` takes some 15 minutes on two cores; `make bench-full` (`--full`) takes hours.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.sections import BENCH, FULL, SECTIONS, SMOKE
from benchmarks.table import Row, show


def main() -> None:
    """Run the benches that are asked for; exit 1 when a target is missed."""
    asked = _arguments()
    sizes = FULL if asked.full else SMOKE if asked.smoke else BENCH
    began = time.monotonic()
    rows: list[Row] = []
    notes: list[str] = []
    loads = [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory(prefix="topview-bench-") as folder:
        for name in asked.only:
            rows += SECTIONS[name](Path(folder, name), sizes, notes)
            loads.append(os.getloadavg()[0])
    cores = os.cpu_count() or 1
    notes.append(
        f"{time.monotonic() - began:.0f} s in all, {cores} cores, load average {loads[0]:.1f} "
        f"before and up to {max(loads[1:]):.1f} at a section's end."
    )
    if loads[0] > cores / 2:
        notes.append(
            "OTHERS USED THE MACHINE. A process that waits for a core queries and submits late: "
            "CPU seconds can be compared, times of a clock, busy and lag say little."
        )
    show(rows, notes)
    sys.exit(any(row.met is False for row in rows))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--full", action="store_true", help="the sizes of the targets; hours")
    size.add_argument("--smoke", action="store_true", help="as small as can be: does it work?")
    return parser.parse_args()


if __name__ == "__main__":
    main()
