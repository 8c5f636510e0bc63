"""`python -m benchmarks`: measure everything and print one table. Under ten minutes on two cores.

The tasks of the slot bench are faster than those it stands for, and so is the polling. `--only
slots --speed 1` takes them as they are, and seventeen minutes. It wants an idle machine.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from benchmarks import imports
from benchmarks.cost import CostBench
from benchmarks.load import MEDIAN_SECONDS, POLL_SECONDS, SLOTS, Load
from benchmarks.slots import SlotBench, Use, compare
from benchmarks.table import Row, at_least, at_most, show

_LEAST_BUSY = 0.97
_MOST_QUERIES = 0.75
_CPU_SECONDS = 0.30
_PEAK_MIB = 300 * 1e6 / 2**20
_IMPORT_SECONDS = 0.4


def main() -> None:
    """Run the benches that are asked for; exit 1 when a target is missed."""
    asked = _arguments()
    began = time.monotonic()
    rows: list[Row] = []
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="topview-bench-") as folder:
        if "slots" in asked.only:
            load = Load(speed=asked.speed)
            bench = SlotBench(Path(folder, "slots"), load, products=asked.products)
            rows += _slots(bench, asked, notes)
        if "cost" in asked.only:
            cost = CostBench(Path(folder, "cost"), Load(instant=True), products=asked.products)
            rows += _cost(cost)
        if "imports" in asked.only:
            rows += _imports()
    notes.append(f"{asked.products} products; {time.monotonic() - began:.0f} s in all.")
    show(rows, notes)
    sys.exit(any(row.met is False for row in rows))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parts = ("slots", "cost", "imports")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    parser.add_argument("--products", type=int, default=200)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--speed", type=float, default=2.5)
    parser.add_argument("--warm", action="store_true", help="one more run, durations known")
    return parser.parse_args()


def _slots(bench: SlotBench, asked: argparse.Namespace, notes: list[str]) -> Iterator[Row]:
    pairs: list[tuple[Use, Use]] = []
    for number in range(asked.pairs):
        _say(f"slots: pair {number + 1} of {asked.pairs}")
        # Every other pair the other way round: a machine that slows down meanwhile favours nobody.
        if number % 2:
            ours = bench.cold()
            pairs.append((bench.bare(), ours))
        else:
            bare = bench.bare()
            pairs.append((bare, bench.cold()))
    found = compare(pairs)
    yield Row("slots busy, bare script", f"{median(bare.busy for bare, _ in pairs):.1%}")
    yield Row("slots busy, ours", f"{median(ours.busy for _, ours in pairs):.1%}")
    yield at_least("slots busy, ours / bare", found.busy, _LEAST_BUSY, "{:.1%}")
    yield at_most("queries, ours / bare", found.queries, _MOST_QUERIES, "{:.1%}")
    yield Row("lag between done and seen, ours / bare", f"{found.lag:.2f}")
    own_cpu = median(ours.cpu_seconds for _, ours in pairs) / asked.products
    yield at_most("CPU seconds per product, producer alone", own_cpu, _CPU_SECONDS, "{:.3f} s")
    own_peak = max(ours.peak_mib for _, ours in pairs)
    yield at_most("peak memory, producer alone", own_peak, _PEAK_MIB, "{:.0f} MiB")
    if asked.warm:
        _say("slots: with a ledger that knows durations")
        pairs.append((pairs[-1][0], bench.warm()))
        knowing = compare(pairs[-1:])
        yield Row("durations known: busy, ours / bare", f"{knowing.busy:.1%}")
        yield Row("durations known: queries, ours / bare", f"{knowing.queries:.1%}")
        yield Row("durations known: lag, ours / bare", f"{knowing.lag:.2f}")
    notes.append(_about_slots(pairs, asked.speed))


def _about_slots(pairs: Sequence[tuple[Use, Use]], speed: float) -> str:
    uses = [use for pair in pairs for use in pair]
    tasks = ", ".join(f"{seconds:g}" for seconds in MEDIAN_SECONDS.values())
    load, cores = max(use.machine_load for use in uses), os.cpu_count() or 1
    lines = [
        f"Slots: {SLOTS}; tasks of {tasks} s median and polling every {POLL_SECONDS:g} s, all "
        f"divided by {speed:g}.",
        "What does not shrink with the tasks, a submit or a transaction, weighs as much more. That "
        "is against ours, which does more of it: met here is met with the tasks as they are.",
        f"Share of one core, median: bare {median(bare.client_cpu for bare, _ in pairs):.0%}, "
        f"ours {median(ours.client_cpu for _, ours in pairs):.0%}, "
        f"sandbox {median(use.sandbox_cpu for use in uses):.0%}.",
    ]
    if load > cores:
        lines.append(
            f"OTHERS USED THE MACHINE: its load average was {load:.1f} on {cores} cores. A process "
            "that waits for a core queries and submits late, so busy and lag say little."
        )
    return "\n".join(lines)


def _cost(bench: CostBench) -> Iterator[Row]:
    for what, previews in (("catch_up", False), ("catch_up with previews", True)):
        _say(f"cost: {what}")
        cost = bench.catch_up(previews=previews)
        seconds = f"CPU seconds per product, {what}"
        yield at_most(seconds, cost.cpu_seconds, _CPU_SECONDS, "{:.3f} s")
        yield at_most(f"peak memory, {what}", cost.peak_mib, _PEAK_MIB, "{:.0f} MiB")


def _imports() -> Iterator[Row]:
    _say("imports")
    times = imports.measure()
    yield Row("import dagster", f"{times.dagster:.2f} s")
    yield at_most(
        "import topview_pipeline.definitions beyond it", times.beyond, _IMPORT_SECONDS, "{:.2f} s"
    )


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
