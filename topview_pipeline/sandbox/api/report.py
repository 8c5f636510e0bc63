"""The numbers that a test or a bench reads, for GET /_sandbox/counters.

Everything about tasks is computed from the tasks themselves, so it survives a restart of a sandbox
with a `state_dir`; counts of requests start again with the process.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from topview_pipeline.sandbox.kinds import FACTS

from .state import State, Task

if TYPE_CHECKING:
    from .world import World


@dataclass
class Tally:
    """Counts of requests since the process started or was reset."""

    submits: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    queries: Counter[str] = field(default_factory=Counter)
    downloads: Counter[str] = field(default_factory=Counter)
    uploads: Counter[str] = field(default_factory=Counter)
    notices: Counter[str] = field(default_factory=Counter)
    answers_without_urls: Counter[str] = field(default_factory=Counter)


_COUNTED = ("submits", "refused", "queries", "downloads", "uploads", "notices")


def counters(world: World) -> dict[str, Any]:
    """The whole report. Times are clock seconds."""
    world.settle()
    tasks = list(world.state.tasks.values())
    tally = world.tally
    duplicates, repeats = _second_successes(tasks)
    orphans = [task.id for task in tasks if _is_orphan(task, world.state)]
    return {
        "now": world.clock(),
        **{name: dict(getattr(tally, name)) for name in _COUNTED},
        "accepted": _by_kind(tasks),
        "succeeded": _by_kind(task for task in tasks if task.succeeded),
        "tasks": dict(Counter(world.tasks.status(task) for task in tasks)),
        "duplicates": len(duplicates),
        "duplicate_tasks": duplicates,
        "repeats": len(repeats),
        "orphans": len(orphans),
        "orphan_tasks": orphans,
        "slots": slot_use(tasks, world.clock(), world.tasks.concurrency),
        "lag_seconds": _lags(tasks),
        "faults": dict(world.faults.struck),
        "credits": {account.uid: account.credits for account in world.state.accounts.values()},
        "charged": round(sum(task.cost for task in tasks), 4),
        "cpu_seconds": time.process_time(),
    }


def _by_kind(tasks: Iterable[Task]) -> dict[str, int]:
    return dict(Counter(task.kind.value for task in tasks))


def _second_successes(tasks: Iterable[Task]) -> tuple[list[str], list[str]]:
    """Ids of successful tasks whose content had succeeded before: of paid kinds, of free ones."""
    seen: set[str] = set()
    paid: list[str] = []
    free: list[str] = []
    succeeded = [task for task in tasks if task.succeeded]
    for task in sorted(succeeded, key=lambda task: task.ended_at or 0.0):
        if task.content in seen:
            (paid if task.paid else free).append(task.id)
        seen.add(task.content)
    return paid, free


def _is_orphan(task: Task, state: State) -> bool:
    """True for a successful paid task with a result that was never sent whole."""
    files = (state.files[file_id] for file_id in task.outputs)
    results = [file for file in files if file.role in FACTS[task.kind].results]
    return task.succeeded and task.paid and not all(file.downloaded_whole for file in results)


def slot_use(tasks: Iterable[Task], now: float, concurrency: int) -> dict[str, Any]:
    """The number of busy slots over time: `changes` are [time, busy from then on].

    `busy_seconds` is the integral; divided by concurrency and time it is the share of use.
    """
    steps: defaultdict[float, int] = defaultdict(int)
    busy_seconds = 0.0
    for task in tasks:
        end = now if task.ended_at is None else task.ended_at
        busy_seconds += end - task.accepted_at
        steps[task.accepted_at] += 1
        if task.ended_at is not None:
            steps[task.ended_at] -= 1
    times = sorted(steps)
    busy = list(accumulate(steps[at] for at in times))
    return {
        "concurrency": concurrency,
        "busy": busy[-1] if busy else 0,
        "peak": max(busy, default=0),
        "busy_seconds": busy_seconds,
        "changes": [list(pair) for pair in zip(times, busy, strict=True)],
    }


def _lags(tasks: Iterable[Task]) -> dict[str, dict[str, float]]:
    """Seconds from a task's success to the first query that showed its URLs, by kind."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for task in tasks:
        if task.seen_at is not None and task.ended_at is not None:
            found[task.kind.value].append(task.seen_at - task.ended_at)
    return {
        kind: {"count": len(lags), "total": sum(lags), "max": max(lags)}
        for kind, lags in found.items()
    }
