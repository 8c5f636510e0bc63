"""The `catch_up` job with everything that Dagster does, in a process of its own.

The process is the one of `topview-pipeline run`, without its progress. What it takes once, to start
and to make its first product, is not counted: it would make small numbers of products look dear.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks import processes
from benchmarks.load import INSTANT, SLOTS, counters, environment, sandbox

if TYPE_CHECKING:
    import dagster as dg

_FIRST: Final = 6
"""Steps of the slots' use by the first product: its three tasks begin and end."""


@dataclass(frozen=True)
class Cost:
    """The cost of the producing process.

    Attributes:
        products: how many it made, beside the first.
        cpu_seconds, wall_seconds: per product, without the first.
        first_mib: resident memory at its highest, with the first product made.
        peak_mib: the same at the end.
        busy: share of the slots that was taken, without the first product.
    """

    products: int
    cpu_seconds: float
    wall_seconds: float
    first_mib: float
    peak_mib: float
    busy: float


def measure(
    folder: Path,
    products: int,
    *,
    speed: float = INSTANT,
    dagster_yaml: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Cost:
    """Run it without previews and checks, with an instance, a ledger and a sandbox of its own.

    Args:
        speed: of the sandbox.
        dagster_yaml: of the instance; None: Dagster's defaults.
        environ: beside that of a ledger on SQLite and a store on the disk.
    """
    settings = {"TOPVIEW_PREVIEWS": "false", "TOPVIEW_CHECKS": "false", **(environ or {})}
    with sandbox(speed) as topview:
        whole = environment(folder, products + 1, topview) | settings
        if dagster_yaml is not None:
            Path(whole["DAGSTER_HOME"], "dagster.yaml").write_text(dagster_yaml)
        measured = processes.run("benchmarks.catch_up", {}, environ=whole)
        seen = counters(topview, products=products + 1)
    first = processes.Spent(**measured.result["first"])
    return Cost(
        products=products,
        cpu_seconds=(measured.cpu_seconds - first.cpu_seconds) / products,
        wall_seconds=(measured.wall_seconds - first.wall_seconds) / products,
        first_mib=first.peak_mib,
        peak_mib=measured.peak_mib,
        busy=_busy(seen["slots"]["changes"][_FIRST:]),
    )


def _busy(changes: list[tuple[float, int]]) -> float:
    """The share of the slots that was taken between the first change and the last."""
    taken = sum((after - at) * busy for (at, busy), (after, _) in pairwise(changes))
    return taken / (SLOTS * (changes[-1][0] - changes[0][0]))


def _make(instance: dg.DagsterInstance, **config: Any) -> None:
    from topview_pipeline.definitions import defs
    from topview_pipeline.defs.dagster_private import execute_as_launched
    from topview_pipeline.defs.jobs import CATCH_UP, catch_up_config

    run_id = str(uuid.uuid4())
    ended = execute_as_launched(
        defs.resolve_job_def(CATCH_UP),
        instance,
        module="topview_pipeline.definitions",
        location="topview_pipeline",
        run_config=catch_up_config(**config),
        run_id=run_id,
    )
    if not ended.success:
        raise RuntimeError(f"run {run_id}: {ended.failures}")


def main() -> None:
    """Make one product, then the rest of the catalogue."""
    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        _make(instance, limit=1)
        first = processes.spent()
        _make(instance)
    processes.report(first=asdict(first))


if __name__ == "__main__":
    main()
