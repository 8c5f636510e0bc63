"""The table's rows: each section runs one bench and says what it should come to.

The goals are of an idle machine with two cores.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median

from benchmarks import imports
from benchmarks.backfill import BackfillBench
from benchmarks.growth import GrowthBench, grown_mib
from benchmarks.limits import limits
from benchmarks.load import Load
from benchmarks.sizes import Sizes
from benchmarks.slots import Round, SlotBench, Use
from benchmarks.table import Goal, Row, compared
from benchmarks.ticks import TickBench

_SAME = Goal(least=0.8, most=1.2)
_PEAK_MIB = 400e6 / 2**20
_TENTH = 10

Section = Callable[[Path, Sizes, list[str]], Iterator[Row]]
"""A folder of its own, how large, and where notes go."""


def slots(folder: Path, sizes: Sizes, notes: list[str]) -> Iterator[Row]:
    """The account's slots: against polling as often as possible, and as often as ours."""
    bench = SlotBench(folder, Load(speed=sizes.speed), products=sizes.slots)
    rounds = []
    for number in range(sizes.rounds):
        _say(f"slots: round {number + 1} of {sizes.rounds}")
        rounds.append(bench.round(ours_first=number % 2 == 1))
    yield _of(rounds, "slots busy; bare script", "{:.1%}", _busy, _bare, Goal(least=0.98))
    yield _of(rounds, "queries; bare script", "{:.0f}", _queries, _bare, Goal(most=0.70))
    yield _of(rounds, "lag from done to seen; bare script", "{:.3f} s", _lag, _bare, None)
    yield _of(
        rounds, "slots busy; bare, as many queries", "{:.1%}", _busy, _frugal, Goal(least=1.0)
    )
    yield _of(rounds, "queries; bare, as many queries", "{:.0f}", _queries, _frugal, None)
    yield _of(rounds, "lag; bare, as many queries", "{:.3f} s", _lag, _frugal, Goal(most=0.70))
    yield _of(
        rounds, "CPU a product, no Dagster; bare script", "{:.4f} s", _cpu(sizes), _bare, None
    )
    yield _of(rounds, "peak memory, no Dagster; bare script", "{:.0f} MiB", _peak, _bare, None)
    interval = median(one.interval for one in rounds)
    share = max(use.sandbox_cpu for one in rounds for use in (one.ours, one.bare, one.frugal))
    notes.append(
        f"Slots: {sizes.slots} products, {sizes.rounds} rounds, tasks and polling "
        f"{sizes.speed:g} times faster than in bench-full. The script makes as many queries as "
        f"ours when it polls every {interval:.3f} s. The sandbox took at most {share:.0%} of "
        "a core."
    )


def backfill(folder: Path, sizes: Sizes, notes: list[str]) -> Iterator[Row]:
    """A backfill through the daemon, all processes counted."""
    bench = BackfillBench(folder)
    _say(f"backfill: the textbook's, {sizes.textbook} products")
    textbook = bench.textbook(sizes.textbook)
    for pictures, extra, goal in ((False, "", 0.25), (True, ", previews and checks", 0.60)):
        _say(f"backfill: ours{extra}, {sizes.backfill} products")
        ours = bench.ours(sizes.backfill, pictures=pictures)
        cpu = f"backfill{extra}: CPU a product; textbook"
        wall = f"backfill{extra}: wall time a product; textbook"
        own, other = ours.cpu_seconds, textbook.cpu_seconds
        yield compared(cpu, own, other, "{:.3f} s", itself=Goal(most=goal), times_less=True)
        if not pictures:
            times = "the same, as a ratio"
            yield compared(times, own, other, "{:.3f} s", ratio=Goal(least=40), times_less=True)
        least = None if pictures else Goal(least=15)
        own, other = ours.wall_seconds, textbook.wall_seconds
        yield compared(wall, own, other, "{:.3f} s", ratio=least, times_less=True)
    notes.append(
        f"Backfill: ours of {sizes.backfill} products, the textbook's of {sizes.textbook}, tasks "
        "are done at once. CPU of web server, daemon, code server and run workers from the launch "
        "until the daemon saw the end, so an idle `dagster dev` is in it; the fewer products, the "
        "more that weighs."
    )


def growth(folder: Path, sizes: Sizes, notes: list[str]) -> Iterator[Row]:
    """Whether time and memory grow in a straight line."""
    bench = GrowthBench(folder)
    costs = []
    for products in sizes.growth:
        _say(f"growth: {products} products")
        costs.append(bench.catch_up(products))
    first = costs[0]
    for cost in costs[1:]:
        of = f"{cost.products:,} products; {first.products:,}"
        seconds = "{:.3f} s"
        own, other = cost.cpu_seconds, first.cpu_seconds
        yield compared(f"CPU a product, {of}", own, other, seconds, ratio=_SAME)
        own, other = cost.wall_seconds, first.wall_seconds
        yield compared(f"wall time a product, {of}", own, other, seconds, ratio=_SAME)
        own, other = cost.peak_mib, first.peak_mib
        yield compared(f"peak memory, {of}", own, other, "{:.0f} MiB", itself=Goal(most=_PEAK_MIB))
    grown = ", ".join(
        f"{grown_mib(less, more) * 1024:.1f} KiB between {less.products:,} and {more.products:,}"
        for less, more in pairwise(costs)
    )
    notes.append(
        "Growth: `catch_up` in one process without previews and checks, tasks are done at once, "
        f"the first product not counted. Memory of each further product: {grown}; with the first "
        f"product alone it was {first.first_mib:.0f} MiB."
    )


def ticks(folder: Path, sizes: Sizes, notes: list[str]) -> Iterator[Row]:
    """Looks at a large ledger and a large catalogue."""
    bench = TickBench(folder)
    _say("ticks: pending_task_sensor")
    few = bench.pending_tasks(sizes.orders // _TENTH, pending=sizes.pending // _TENTH)
    many = bench.pending_tasks(sizes.orders, pending=sizes.pending)
    _say("ticks: plan, sync, catalogue_sensor")
    small = bench.made(sizes.catalogue // _TENTH)
    large = bench.made(sizes.catalogue)
    of = f"{sizes.catalogue:,} products"
    looks = (
        (f"pending_task_sensor, {sizes.orders:,} open orders; a tenth", many, few, 5.0),
        (f"plan, {of}, nothing to do; a tenth", large.plan, small.plan, 5.0),
        (f"sync_products, {of}, warm cache; a tenth", large.sync, small.sync, 10.0),
        (f"catalogue_sensor, {of}, changed; a tenth", large.tick, small.tick, 20.0),
    )
    for what, look, tenth, most in looks:
        goal = Goal(most=most)
        yield compared(what, look.seconds, tenth.seconds, "{:.2f} s", itself=goal)
    spent = ", ".join(f"{look.cpu_seconds:.2f}" for _, look, _, _ in looks)
    notes.append(
        f"Ticks: the first in its process. CPU seconds of the large ones: {spent}. The changed "
        "catalogue has a quarter more products, and one script in forty is another."
    )


def loading(_folder: Path, _sizes: Sizes, _notes: list[str]) -> Iterator[Row]:
    """What the code location adds to Dagster's own import."""
    _say("imports")
    times = imports.measure()
    beyond = "code location loads beyond dagster; import dagster"
    goal = Goal(most=0.4)
    yield compared(beyond, times.beyond, times.dagster, "{:.2f} s", itself=goal)


def asking(_folder: Path, _sizes: Sizes, notes: list[str]) -> Iterator[Row]:
    """What can be had of the slots' lag at all: computed, not run."""
    _say("limits")
    found = limits()
    fixed = found.fixed.lag
    what = "lag when all is known; fixed interval, as many queries"
    yield compared(what, found.ours.lag, fixed, "{:.4f} s")
    what = "the best times of asking there are; the same"
    yield compared(what, found.best.lag, fixed, "{:.4f} s")
    notes.append(
        f"Limits: of the slots' tasks at the shortest interval, {found.ours.queries:.1f} queries a "
        "product, when it is known how long tasks take on average and how widely that varies, and "
        "a query takes no time."
    )


SECTIONS: dict[str, Section] = {
    "slots": slots,
    "limits": asking,
    "backfill": backfill,
    "growth": growth,
    "ticks": ticks,
    "imports": loading,
}


def _of(
    rounds: list[Round],
    what: str,
    shown: str,
    number: Callable[[Use], float],
    against: Callable[[Round], Use],
    goal: Goal | None,
) -> Row:
    """One number of the round whose ratio is the median."""

    def ratio(one: Round) -> float:
        return number(one.ours) / number(against(one))

    middle = sorted(rounds, key=ratio)[len(rounds) // 2]
    return compared(what, number(middle.ours), number(against(middle)), shown, ratio=goal)


def _bare(one: Round) -> Use:
    return one.bare


def _frugal(one: Round) -> Use:
    return one.frugal


def _busy(use: Use) -> float:
    return use.busy


def _queries(use: Use) -> float:
    return use.queries


def _lag(use: Use) -> float:
    return use.lag_seconds


def _peak(use: Use) -> float:
    return use.peak_mib


def _cpu(sizes: Sizes) -> Callable[[Use], float]:
    return lambda use: use.cpu_seconds / sizes.slots


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)
