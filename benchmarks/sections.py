"""The table's rows: each section runs one bench and says what it should come to.

The goals are of an idle machine with two cores.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import backfill as backfills
from benchmarks import catch_up, processes
from benchmarks import ticks as looks
from benchmarks.location import cpu_seconds
from benchmarks.photos import photos
from benchmarks.processes import import_seconds
from benchmarks.servers import dagster_yaml, servers
from benchmarks.slots import Round, SlotBench
from benchmarks.table import Goal, Row, compared


@dataclass(frozen=True)
class Sizes:
    """Numbers of products, unless a field says otherwise.

    Attributes:
        rounds: of the slot bench; its rows show the round whose ratio is the median.
        slots: of each of its runs.
        speed: the slot bench's tasks and polling are so many times faster.
        backfill: ours.
        textbook: the textbook's backfill.
        growth: of the runs whose costs are compared, the smallest first.
        remote: with PostgreSQL and S3.
        long: simulated, in runs of at most `run_size`.
        run_size: of these.
        unfinished: tasks that the sensor looks at.
        pending: of those, at Topview.
        catalogue: all made, of which nothing is to do.
    """

    rounds: int
    slots: int
    speed: float
    backfill: int
    textbook: int
    growth: tuple[int, ...]
    remote: int
    long: int
    run_size: int
    unfinished: int = 10_000
    pending: int = 200
    catalogue: int = 20_000


BENCH: Final = Sizes(
    rounds=1,
    slots=100,
    speed=2.0,
    backfill=100,
    textbook=6,
    growth=(100, 250),
    remote=60,
    long=400,
    run_size=100,
)
FULL: Final = Sizes(
    rounds=3,
    slots=300,
    speed=1.0,
    backfill=1_000,
    textbook=24,
    growth=(100, 1_000, 10_000),
    remote=300,
    long=20_000,
    run_size=500,
)
SMOKE: Final = Sizes(
    rounds=1,
    slots=12,
    speed=4.0,
    backfill=5,
    textbook=2,
    growth=(5, 10),
    remote=12,
    long=60,
    run_size=30,
    unfinished=300,
    pending=20,
    catalogue=300,
)
"""Says that the benches work, and nothing else."""
_SAME: Final = Goal(least=0.8, most=1.2)
_PEAK: Final = Goal(most=400e6 / 2**20)
_TENTH: Final = 10
_FAR: Final = {"s3_seconds": 0.02, "postgres_seconds": 0.002}

Section = Callable[[Path, Sizes, list[str]], Iterator[Row]]
"""A folder of its own, how large, and where notes go."""


def slots(folder: Path, sizes: Sizes, notes: list[str]) -> Iterator[Row]:
    """The account's slots: against polling as often as possible, and as often as ours."""
    bench = SlotBench(folder, sizes.slots, sizes.speed)
    rounds = []
    for number in range(sizes.rounds):
        _say(f"slots: round {number + 1} of {sizes.rounds}")
        rounds.append(bench.round(ours_first=number % 2 == 1))
    rows: tuple[tuple[str, str, str, str, Goal | None], ...] = (
        ("slots busy; bare script", "busy", "{:.1%}", "bare", Goal(least=0.98)),
        ("queries; bare script", "queries", "{:.0f}", "bare", Goal(most=0.70)),
        ("lag from done to seen; bare script", "lag_seconds", "{:.3f} s", "bare", None),
        ("slots busy; bare, as many queries", "busy", "{:.1%}", "frugal", Goal(least=1.0)),
        ("queries; bare, as many queries", "queries", "{:.0f}", "frugal", None),
        ("lag; bare, as many queries", "lag_seconds", "{:.3f} s", "frugal", Goal(most=0.70)),
        ("CPU a product, no Dagster; bare script", "cpu_seconds", "{:.4f} s", "bare", None),
        ("peak memory, no Dagster; bare script", "peak_mib", "{:.0f} MiB", "bare", None),
    )
    for what, number_of, shown, against, goal in rows:
        pairs = [_pair(one, number_of, against) for one in rounds]
        ours, other = sorted(pairs, key=lambda pair: pair[0] / pair[1])[len(pairs) // 2]
        yield compared(what, ours, other, shown, ratio=goal)
    interval = median(one.interval for one in rounds)
    share = max(use.sandbox_cpu for one in rounds for use in (one.ours, one.bare, one.frugal))
    notes.append(
        f"Slots: {sizes.slots} products, {sizes.rounds} rounds, tasks and polling "
        f"{sizes.speed:g} times faster than in bench-full. The script makes as many queries as "
        f"ours when it polls every {interval:.3f} s. The sandbox took at most {share:.0%} of "
        "a core."
    )


def _pair(one: Round, number: str, against: str) -> tuple[float, float]:
    return getattr(one.ours, number), getattr(getattr(one, against), number)


def backfill(folder: Path, sizes: Sizes, notes: list[str]) -> Iterator[Row]:
    """A backfill through the daemon, all processes counted."""
    shown = "{:.3f} s"
    _say(f"backfill: the textbook's, {sizes.textbook} products")
    textbook = backfills.textbook(folder, sizes.textbook)
    parts = []
    for pictures, extra, goal in ((False, "", 0.25), (True, ", previews and checks", 0.60)):
        _say(f"backfill: ours{extra}, {sizes.backfill} products")
        ours = backfills.ours(folder, sizes.backfill, pictures=pictures)
        parts.append(", ".join(f"{role} {cpu:.3f} s" for role, cpu in ours.cpu_seconds.items()))
        cpu = f"backfill{extra}: CPU a product; textbook"
        most = Goal(most=goal)
        yield compared(cpu, ours.cpu, textbook.cpu, shown, itself=most, times_less=True)
        if not pictures:
            least = Goal(least=40)
            what = "the same, as a ratio"
            yield compared(what, ours.cpu, textbook.cpu, shown, ratio=least, times_less=True)
        wall = f"backfill{extra}: wall time a product; textbook"
        own, other = ours.wall_seconds, textbook.wall_seconds
        quick = None if pictures else Goal(least=15)
        yield compared(wall, own, other, shown, ratio=quick, times_less=True)
    notes.append(
        f"Backfill: ours of {sizes.backfill} products, the textbook's of {sizes.textbook}, tasks "
        "are done at once. CPU of all of Dagster's processes from the launch until the daemon saw "
        "the end, so an idle `dagster dev` is in it; the fewer products, the more that weighs. "
        f"Ours a product: {parts[0]}; with previews and checks: {parts[1]}."
    )


def growth(folder: Path, sizes: Sizes, notes: list[str]) -> Iterator[Row]:
    """Growth of time and memory: in a straight line, or worse."""
    costs = []
    for products in sizes.growth:
        _say(f"growth: {products} products")
        costs.append(catch_up.measure(folder / f"{products}", products))
    first, seconds = costs[0], "{:.3f} s"
    for cost in costs[1:]:
        of = f"{cost.products:,} products; {first.products:,}"
        own, other = cost.cpu_seconds, first.cpu_seconds
        yield compared(f"CPU a product, {of}", own, other, seconds, ratio=_SAME)
        own, other = cost.wall_seconds, first.wall_seconds
        yield compared(f"wall time a product, {of}", own, other, seconds, ratio=_SAME)
        own, other = cost.peak_mib, first.peak_mib
        yield compared(f"peak memory, {of}", own, other, "{:.0f} MiB", itself=_PEAK)
    grown = ", ".join(
        f"{1024 * (more.peak_mib - less.peak_mib) / (more.products - less.products):.1f} KiB "
        f"between {less.products:,} and {more.products:,}"
        for less, more in pairwise(costs)
    )
    notes.append(
        "Growth: `catch_up` in one process without previews and checks, tasks are done at once, "
        f"the first product not counted. Memory of each further product: {grown}; with the first "
        f"product alone it was {first.first_mib:.0f} MiB."
    )


def remote(folder: Path, sizes: Sizes, notes: list[str]) -> Iterator[Row]:
    """PostgreSQL and S3: what they cost, and what it costs that they are far away."""
    count = sizes.remote
    _say("remote: SQLite, and PostgreSQL for Dagster and ledger")
    disk = catch_up.measure(folder / "disk", count)
    with servers() as near:
        own = {name: text for name, text in near.environment.items() if name != "TOPVIEW_STORE"}
        yaml = dagster_yaml(near.database)
        database = catch_up.measure(folder / "pg", count, dagster_yaml=yaml, environ=own)
    what, most = "CPU a product, Dagster and ledger on PostgreSQL; on SQLite", Goal(most=1.3)
    yield compared(what, database.cpu_seconds, disk.cpu_seconds, "{:.3f} s", ratio=most)
    measured = []
    for number, delays in enumerate(({}, _FAR)):
        _say(f"remote: PostgreSQL and S3, {delays or 'near'}")
        with servers(**delays) as found:
            one = catch_up.measure(
                folder / f"remote-{number}",
                count,
                speed=1.0,
                dagster_yaml=dagster_yaml(found.database),
                environ=found.environment,
            )
            measured.append((one, found.requests()["requests"]))
    (near_by, calls), (far, _) = measured
    what = "slots busy, 20 ms from S3 and 2 ms from PostgreSQL; with neither"
    yield compared(what, far.busy, near_by.busy, "{:.1%}", ratio=Goal(least=0.95))
    of_product = sum(calls.values()) / (count + 1), calls["PUT object"] / (count + 1)
    what = "S3 calls a product; of them PUTs"
    yield compared(what, *of_product, "{:.1f}", itself=Goal(most=12))
    notes.append(
        f"Remote: {count} products in one process. A way there and back takes the time that is "
        "named, at a proxy that also passes on what has none. The first run's start is in the "
        "calls."
    )


def long(_folder: Path, sizes: Sizes, notes: list[str]) -> Iterator[Row]:
    """A catalogue of days, in short runs and in one: simulated, each on a core."""
    size = sizes.run_size
    _say(f"long: {sizes.long} products in one run, and in runs of {size}")
    specs = ({"size": sizes.long, "at_once": 1}, {"size": size, "at_once": 2})
    with ThreadPoolExecutor() as threads:
        of = partial(processes.run, "benchmarks.long_catalogue")
        spent = list(threads.map(of, [{"products": sizes.long, **one} for one in specs]))
    endless, ticks = (one.result for one in spent)
    what = f"slots busy, {sizes.long:,} products in runs of {size}; in one"
    yield compared(what, ticks["busy"], endless["busy"], "{:.1%}", ratio=Goal(least=0.97))
    what = "products that runs hold in memory; likewise"
    held = ticks["held"], endless["held"]
    yield compared(what, *held, "{:.0f}", itself=Goal(most=2 * size))
    what = "hours of the longest run; likewise"
    yield compared(what, ticks["longest"] / 3600, endless["longest"] / 3600, "{:.1f}")
    yield compared("peak memory; likewise", spent[1].peak_mib, spent[0].peak_mib, "{:.0f} MiB")
    start, middle, end = ticks["memory_mib"]
    grown = 1024 * (end - middle) / (sizes.long / 2)
    single, short = (one.cpu_seconds / sizes.long for one in spent)
    lost = ticks["lost"] + endless["lost"]
    notes.append(
        f"Long: simulated, {endless['seconds'] / 86_400:.1f} days of 12 slots. Memory of the short "
        f"runs' process, with the sandbox, which forgets nothing: {start:.0f} MiB at the start, "
        f"{middle:.0f} in the middle, {end:.0f} at the end; {grown:.1f} KiB a product. CPU a "
        f"product: {short:.3f} s, in one run {single:.3f} s. Results that were lost to the seven "
        f"days, or paid twice: {lost}."
    )
    if lost:
        raise RuntimeError(notes[-1])


def ticks(folder: Path, sizes: Sizes, notes: list[str]) -> Iterator[Row]:
    """Looks at a large ledger and a large catalogue, beside the same at a tenth of it."""
    _say("ticks: pending_task_sensor")
    few, many = (
        looks.pending_tasks(folder, sizes.unfinished // part, pending=sizes.pending // part)
        for part in (_TENTH, 1)
    )
    _say("ticks: plan, sync, catalogue_sensor")
    small, large = (looks.made(folder, sizes.catalogue // part) for part in (_TENTH, 1))
    of = f"{sizes.catalogue:,} products"
    rows = (
        (f"pending_task_sensor, {sizes.unfinished:,} unfinished tasks; a tenth", many, few, 5.0),
        (f"plan, {of}, nothing to do; a tenth", large[0], small[0], 5.0),
        (f"sync_products, {of}, warm cache; a tenth", large[1], small[1], 10.0),
        (f"catalogue_sensor, {of}, changed; a tenth", large[2], small[2], 20.0),
    )
    for what, look, tenth, most in rows:
        goal = Goal(most=most)
        yield compared(what, look.seconds, tenth.seconds, "{:.2f} s", itself=goal)
    spent = ", ".join(f"{look.cpu_seconds:.2f}" for _, look, _, _ in rows)
    notes.append(
        f"Ticks: the first in its process. CPU seconds of the large ones: {spent}. Of the "
        f"unfinished tasks {sizes.pending:,} are at Topview and the others failed and due again. "
        "The changed catalogue has a quarter more products, and one script in forty is another."
    )


def loading(_folder: Path, _sizes: Sizes, notes: list[str]) -> Iterator[Row]:
    """Time that the code location adds to Dagster's own import."""
    _say("imports")
    dagster, definitions = import_seconds("dagster", "topview_pipeline.definitions")
    beyond = "code location loads beyond dagster; import dagster"
    yield compared(beyond, definitions - dagster, dagster, "{:.2f} s", itself=Goal(most=0.4))
    (one, _), (twenty, ticks), (none, _) = (cpu_seconds(pipelines) for pipelines in (1, 20, 0))
    for what, load, most in (("1 pipeline", one, 0.4), ("20 pipelines", twenty, 1.5)):
        row = f"{what} as YAML load beyond an empty defs folder; that, beyond import dagster"
        yield compared(row, load - none, none, "{:.2f} s", itself=Goal(most=most))
    notes.append(f"Imports: a tick of each sensor of 20 idle pipelines takes {ticks:.2f} s of CPU.")


SECTIONS: Final[dict[str, Section]] = {
    "slots": slots,
    "backfill": backfill,
    "growth": growth,
    "remote": remote,
    "long": long,
    "ticks": ticks,
    "photos": photos,
    "imports": loading,
}


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)
