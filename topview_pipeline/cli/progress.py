"""Shows a run's progress while it works: a live table on a terminal, plain lines otherwise.

Read from the ledger. Not here: what the numbers are (`phases`), and how a run ended (`outcome`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from topview_pipeline.cli.phases import Phase, RunProgress, progress_of
from topview_pipeline.cli.telling import in_credits, tell
from topview_pipeline.ledger import Ledger, LedgerError, OrderProgress, OrderState
from topview_pipeline.printable import one_line
from topview_pipeline.stages import BY_KEY

_LOOK_SECONDS: Final = 0.5
_HISTORY_SECONDS: Final = 10.0
"""How long medians of the ledger's history are taken for true."""
_SUMMARY_SECONDS: Final = 60.0
_SUMMARY_ENDED: Final = 25
"""A log says how far the run is after a minute, or after so many orders."""
_COLUMNS: Final[tuple[Phase, ...]] = ("running", "queued", "later", "held", "failed")
_WORDS: Final[dict[Phase, str]] = {
    "done": "done",
    "running": "running",
    "queued": "waiting for a slot",
    "later": "waiting for the stage before",
    "held": "held",
    "failed": "failed",
    "withdrawn": "withdrawn",
}


def table_of(progress: RunProgress, seconds: float) -> Table:
    """The live table, readable in 80 columns; `seconds` is how long the run has worked."""
    table = Table(box=None, padding=(0, 1))
    for name in ("stage", "", "done", *_COLUMNS):
        table.add_column(name, justify="left" if name in ("stage", "") else "right", no_wrap=True)
    for stage in progress.stages:
        done = stage.phases["done"]
        table.add_row(
            stage.stage,
            ProgressBar(total=stage.orders, completed=done, width=10),
            f"{done}/{stage.orders}",
            *(str(stage.phases[name] or "-") for name in _COLUMNS),
        )
    legend = "queued: waits for a slot; later: waits for the stage before it"
    table.caption = f"{_cost_and_time(progress)}, {span(seconds)} so far\n{legend}"
    table.caption_justify = "left"
    return table


def summary_of(progress: RunProgress) -> str:
    """How far a run is, in one line of a log."""
    counts = progress.phases
    parts = [f"{counts[phase]} {word}" for phase, word in _WORDS.items() if counts[phase]]
    return f"{progress.orders} ordered: {', '.join(parts)}; {_cost_and_time(progress)}"


def line_of(order: OrderProgress, run_id: str) -> str:
    """What a log says of an order that ended: one line, whatever its texts hold."""
    return one_line(f"{order.product_id} {order.stage} {_how_it_ended(order, run_id)}")


def _how_it_ended(order: OrderProgress, run_id: str) -> str:
    if order.state is not OrderState.DONE:
        return f"{order.state.value}: {order.detail or ''}"
    if order.task_run_id != run_id:
        return "taken from the store"
    seconds = "" if order.seconds is None else f" in {order.seconds:.1f} s"
    cost = "" if not order.credits else f", {in_credits(order.credits)}"
    return f"made{seconds}{cost}"


def span(seconds: float) -> str:
    """A length of time in the unit that a person would take."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _cost_and_time(progress: RunProgress) -> str:
    cost = in_credits(progress.credits)
    left = progress.seconds_left
    return cost if left is None else f"{cost}, about {span(left)} left"


class LogLines:
    """What a log is told: each order once when it ended, and now and then how far the run is."""

    def __init__(self, run_id: str, *, now: float) -> None:
        self._run_id = run_id
        self._told: set[int] = set()
        self._summarized_at = now
        self._summarized = 0

    def of(
        self, orders: Sequence[OrderProgress], progress: RunProgress, *, now: float
    ) -> Iterator[str]:
        """The lines that are due; `now` in seconds of a clock that never goes back."""
        for order in orders:
            if order.state is not OrderState.OPEN and order.order_id not in self._told:
                self._told.add(order.order_id)
                yield line_of(order, self._run_id)
        is_due = (
            now - self._summarized_at >= _SUMMARY_SECONDS
            or len(self._told) - self._summarized >= _SUMMARY_ENDED
        )
        if is_due and len(self._told) < len(orders):
            self._summarized_at, self._summarized = now, len(self._told)
            yield summary_of(progress)


class Watcher:
    """Shows a run's progress while the block runs.

    Args:
        slots: of the account; the time that is left goes by it.
    """

    def __init__(self, ledger: Ledger, run_id: str, console: Console, *, slots: int) -> None:
        self._ledger = ledger
        self._run_id = run_id
        self._console = console
        self._slots = slots
        self._began = time.monotonic()
        self._lines = LogLines(run_id, now=self._began)
        self._typical: dict[str, float] = {}
        self._typical_until = self._began
        self._ended = threading.Event()
        self._live = Live(console=console, transient=True, auto_refresh=False)
        self._thread = threading.Thread(target=self._watch, name="progress", daemon=True)

    def __enter__(self) -> Watcher:
        if self._console.is_terminal:
            self._live.start()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        if self._console.is_terminal:
            self._live.stop()

    def _watch(self) -> None:
        while True:
            ended = self._ended.wait(_LOOK_SECONDS)
            try:
                self._show(time.monotonic())
            except LedgerError:  # the run itself says so
                return
            if ended:
                return

    def _show(self, now: float) -> None:
        orders = self._ledger.progress.of_run(self._run_id)
        if now >= self._typical_until:
            self._typical, self._typical_until = {}, now + _HISTORY_SECONDS
        progress = progress_of(
            orders,
            self._run_id,
            now=self._ledger.now(),
            typical=self._typical_seconds,
            slots=self._slots,
        )
        if self._console.is_terminal:
            self._live.update(table_of(progress, now - self._began), refresh=True)
            return
        for line in self._lines.of(orders, progress, now=now):
            tell(self._console, line)

    def _typical_seconds(self, stage: str) -> float:
        if stage not in self._typical:
            seen = self._ledger.history.typical_seconds(stage)
            self._typical[stage] = seen or BY_KEY[stage].typical_seconds
        return self._typical[stage]
