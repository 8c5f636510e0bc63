"""The progress and the outcome of a run: a live table on a terminal, else the lines of a log.

All of it comes from the plan and the events that the run's resource reports; only which tasks are
at Topview now is asked of the ledger.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final, Literal

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from topview_pipeline.cli.console import SOME_FAILED, SOME_PENDING, in_credits, say, span
from topview_pipeline.defs.events import Planned
from topview_pipeline.defs.failures import Trouble, trouble_of
from topview_pipeline.engine import Failed, Held, Made
from topview_pipeline.ledger import Ledger, LedgerError, Task, TaskState
from topview_pipeline.plan import PlannedStage, forecast_plan
from topview_pipeline.stages import STAGES
from topview_pipeline.text import in_few_lines, one_line

if TYPE_CHECKING:
    from topview_pipeline.defs.resources import TopviewResource

Phase = Literal["done", "running", "queued", "later", "held", "failed"]
"""queued waits for a slot of the account; later waits for the stage before it."""
Phases = dict[str, Counter[Phase]]
"""How many products are in each phase, by stage."""
Key = tuple[str, str]
"""(product, stage)."""

_LOOK_SECONDS: Final = 1.0
_SUMMARY_SECONDS: Final = 60.0
_SUMMARY_ENDED: Final = 25
"""A log has a summary after a minute, or after so many stages that ended."""
_AT_TOPVIEW: Final = (TaskState.RESERVED, TaskState.PENDING, TaskState.SUCCEEDED)
_WORDS: Final[Mapping[Phase, str]] = {
    "done": "done",
    "running": "running",
    "queued": "waiting for a slot",
    "later": "waiting for the stage before",
    "held": "held",
    "failed": "failed",
}


class Progress:
    """Outcome of each stage that a run wants. Knows no terminal, and asks nobody.

    Attributes:
        wanted: every (product, stage) of the plan.
        made: True for what a task of this run made, False for what was reused.
        troubled: what was not made.
        credits: that Topview booked for tasks of this run.
    """

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self.was_planned = False
        self.wanted: list[Key] = []
        self.made: dict[Key, bool] = {}
        self.troubled: dict[Key, Trouble] = {}
        self.credits = 0.0
        self._paid: set[int] = set()
        self._submitted: set[Key] = set()
        self._failed: set[str] = set()

    def add(self, event: object) -> str | None:
        """Take in the plan or an event of the engine; a log's line on it, if it is worth one.

        No event is kept: those of 10,000 products would fill the memory.
        """
        if isinstance(event, Planned):
            self.was_planned = True
            self.wanted = [(product, key) for product, keys in event.wanted.items() for key in keys]
        elif isinstance(event, Made):
            return self._add_made(event.product_id, event.stage, event.task)
        elif isinstance(event, (Failed, Held)):
            trouble = trouble_of(event)
            self.troubled[trouble.product, trouble.stage] = trouble
            # Not of the stages that wait for the one that failed.
            if trouble.outcome == "failed" and trouble.product not in self._failed:
                self._failed.add(trouble.product)
                return one_line(f"{trouble.product} {trouble.stage} failed: {trouble.what}")
        return None

    def _add_made(self, product: str, stage: str, task: Task) -> str:
        is_new = task.run_id == self._run_id
        self.made[product, stage] = is_new
        self.troubled.pop((product, stage), None)
        if is_new and task.id not in self._paid:  # two products may share it
            self._paid.add(task.id)
            self.credits += task.cost_credits or 0.0
        how = "made" if is_new else "reused at no cost"
        if is_new and task.succeeded_at is not None and task.pending_at is not None:
            how += f" in {task.succeeded_at - task.pending_at:.1f} s"
        if is_new and task.cost_credits:
            how += f", {in_credits(task.cost_credits)}"
        return one_line(f"{product} {stage} {how}")

    @property
    def open(self) -> list[Key]:
        """Stages that are neither made nor given up."""
        return [key for key in self.wanted if not (key in self.made or key in self.troubled)]

    def exit_code(self, *, bad_rows: bool) -> int:
        """1 some failed, else 3 some still pending or held, else 0."""
        outcomes = {trouble.outcome for trouble in self.troubled.values()}
        if bad_rows or "failed" in outcomes:
            return SOME_FAILED
        return SOME_PENDING if outcomes or self.open or not self.was_planned else 0

    def phases(self, at_topview: Collection[Key]) -> Phases:
        """Count the products in each phase, with the tasks that are at Topview now."""
        # Once submitted it runs until Dagster has its event, also while that is being stored.
        self._submitted.update(at_topview)
        stages: Phases = {stage.key: Counter() for stage in STAGES}
        waiting: set[str] = set()
        for key in self.wanted:
            phase: Phase = "later" if key[0] in waiting else "queued"
            if key in self.made:
                phase = "done"
            elif key in self.troubled:
                phase = self.troubled[key].outcome
            else:
                waiting.add(key[0])
                phase = "running" if key in self._submitted else phase
            stages[key[1]][phase] += 1
        return {key: counts for key, counts in stages.items() if counts}


def table_of(phases: Phases, caption: str) -> Table:
    """The live table, readable in 80 columns."""
    legend = "queued: waits for a slot; later: waits for the stage before it"
    table = Table(box=None, padding=(0, 1), caption=f"{caption}\n{legend}", caption_justify="left")
    for name in ("stage", "", *_WORDS):
        is_left = name in ("stage", "")
        table.add_column(name, justify="left" if is_left else "right", no_wrap=True)
    for stage, counts in phases.items():
        total, done = counts.total(), counts["done"]
        others = [str(counts[name] or "-") for name in _WORDS if name != "done"]
        bar = ProgressBar(total=total, completed=done, width=10)
        table.add_row(stage, bar, f"{done}/{total}", *others)
    return table


def summary_of(phases: Phases) -> str:
    """All stages together in one line of a log."""
    counts = sum(phases.values(), Counter[Phase]())
    parts = [f"{counts[phase]} {word}" for phase, word in _WORDS.items() if counts[phase]]
    return f"{counts.total()} to make: {', '.join(parts)}"


class Watcher:
    """Shows a run's progress while the block runs; afterwards `progress` has all of it."""

    def __init__(
        self, topview: TopviewResource, ledger: Ledger, run_id: str, console: Console
    ) -> None:
        self.progress = Progress(run_id)
        self._topview = topview
        self._ledger = ledger
        self._console = console
        self._events: deque[object] = deque()
        self._listener = self._events.append
        self._began = self._summarized_at = self._moved_at = time.monotonic()
        self._summarized = 0
        self._ended = threading.Event()
        self._live = Live(console=console, transient=True, auto_refresh=False)
        self._thread = threading.Thread(target=self._watch, name="progress", daemon=True)

    def __enter__(self) -> Watcher:
        self._topview.listeners.append(self._listener)
        if self._console.is_terminal:
            self._live.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._topview.listeners.remove(self._listener)
        if self._console.is_terminal:
            self._live.stop()

    def _watch(self) -> None:
        is_over = False
        while not is_over:
            is_over = self._ended.wait(_LOOK_SECONDS)
            while self._events:
                self._moved_at = time.monotonic()
                line = self.progress.add(self._events.popleft())
                if line is not None and not self._console.is_terminal:
                    say(line, self._console)
            if self.progress.open and not is_over:
                self._show(time.monotonic())

    def _show(self, now: float) -> None:
        ended = len(self.progress.made) + len(self.progress.troubled)
        is_quick = ended - self._summarized >= _SUMMARY_ENDED
        is_due = is_quick or now - self._summarized_at >= _SUMMARY_SECONDS
        if not (self._console.is_terminal or is_due):
            return
        try:
            rows = self._ledger.tasks.in_state(_AT_TOPVIEW)
            cost_and_time = f"{in_credits(self.progress.credits)}, about {self._left(now)} left"
        except LedgerError:  # the run itself says so
            return
        phases = self.progress.phases({(row.product_id, row.stage) for row in rows})
        if self._console.is_terminal:
            caption = f"{cost_and_time}, {span(now - self._began)} so far"
            self._live.update(table_of(phases, caption), refresh=True)
        else:
            self._summarized, self._summarized_at = ended, now
            say(f"{summary_of(phases)}; {cost_and_time}", self._console)

    def _left(self, now: float) -> str:
        """The time that a plan of what is open takes, from the last stage that ended."""
        planned = [PlannedStage(*key, "", None, submits=True) for key in self.progress.open]
        seconds = forecast_plan(self._topview.config, planned, self._ledger).seconds
        return span(max(seconds - (now - self._moved_at), 0.0))


def say_outcome(console: Console, progress: Progress) -> None:
    """Print what was made, what it cost, and every trouble with its way out."""
    if not progress.was_planned:
        return
    if not progress.wanted:
        say("Everything is up to date: nothing was submitted, nothing was paid.", console)
        return
    made = [progress.made[key] for key in progress.wanted if key in progress.made]
    new, reused = sum(made), made.count(False)
    also = f", {reused} reused at no cost" if reused else ""
    say(f"{new} made{also}, {in_credits(progress.credits)}.", console)
    # The first of each product: its later stages wait for that one.
    first: dict[str, Trouble] = {}
    for key in progress.wanted:
        if key in progress.troubled:
            first.setdefault(key[0], progress.troubled[key])
    counts = Counter(trouble.outcome for trouble in first.values())
    if counts:
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
        say(f"Products not finished: {outcomes}.", console)
    for line in in_few_lines(
        first.values(),
        _in_words,
        one=lambda trouble: f"{trouble.product} {trouble.stage} {_in_words(trouble)}",
        many=lambda some: (
            f"{len(some)} {_in_words(some[0])} ({', '.join(one.product for one in some)})"
        ),
    ):
        say(one_line(line), console)


def _in_words(trouble: Trouble) -> str:
    end = "" if trouble.what.endswith((".", "!", "?")) else "."
    fix = f" What to do: {trouble.fix}" if trouble.fix else ""
    return f"{trouble.outcome}: {trouble.what}{end}{fix}"
