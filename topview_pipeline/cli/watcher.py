"""The watcher of a run prints lines, above a live table on a terminal, or JSON lines."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Final

from rich.console import Console
from rich.live import Live

from topview_pipeline.cli.console import SILENT_SECONDS, in_credits, say, say_json, sign, span
from topview_pipeline.cli.progress import AT_TOPVIEW, Phase, Phases, Progress, summary_of, table_of
from topview_pipeline.defs.events import Planned
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.ledger import Ledger, LedgerError
from topview_pipeline.plan import PlannedStage, forecast_plan

_LOOK_SECONDS: Final = 1.0
_SUMMARY_SECONDS: Final = 60.0
_SUMMARY_ENDED: Final = 25
"""A log has a summary after so many silent seconds, a minute, or so many stages that ended."""


class Watcher:
    """Shows a run's progress while the block runs; afterwards `progress` has all of it.

    On a terminal a line for each stage that ends, above a live table; elsewhere lines alone, or
    JSON lines. Something is printed at least every ten seconds.

    Attributes:
        ledger: says which tasks are at Topview, once it is open.
    """

    def __init__(
        self,
        topview: TopviewResource,
        run_id: str,
        console: Console,
        *,
        as_json: bool,
        quiet: bool = False,
        plain: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.progress = Progress(run_id)
        self.ledger: Ledger | None = None
        self._topview, self._console, self._clock = topview, console, clock
        self._as_json, self._quiet = as_json, quiet
        self._events: deque[object] = deque()
        self._listener = self._events.append
        now = clock()
        self._began = self._summarized_at = self._moved_at = now
        self._printed_at = sign.spoke_at or now
        self._summarized = 0
        self._stopping = False
        self._ended = threading.Event()
        self._live: Live | None = None
        if console.is_interactive and not plain:
            is_ours = sys.stderr.isatty()
            self._live = Live(
                console=console, transient=True, auto_refresh=False, redirect_stderr=is_ours
            )
        self._thread = threading.Thread(target=self._watch, name="progress", daemon=True)

    def __enter__(self) -> Watcher:
        sign.end()
        self._topview.listeners.append(self._listener)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take in the last events, and wipe the table away."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._thread.join()
        self._topview.listeners.remove(self._listener)
        if self._live is not None:
            self._live.stop()

    def stopping(self) -> None:
        """A person stopped the run: only what is being sent is waited for."""
        self._stopping = True
        sign.now("Stopping")
        self._say("Stopping: nothing more is sent. Ctrl-C again ends at once.")

    def _say(self, text: str) -> None:
        if not (self._as_json or self._quiet):
            self._printed_at = self._clock()
            say(text, self._console)

    def _watch(self) -> None:
        is_over = False
        while not is_over:
            is_over = self._ended.wait(_LOOK_SECONDS)
            while self._events:
                self._take(self._events.popleft())
            if not is_over:
                self._show(self._clock())

    def _take(self, event: object) -> None:
        self._moved_at = self._clock()
        if isinstance(event, Planned):
            sign.now("Storing what was made")
        line, document = self.progress.add(event)
        if self._as_json and document is not None:
            self._printed_at = self._clock()
            say_json(document)
        elif line is not None:
            self._say(line)

    def _show(self, now: float) -> None:
        ended = len(self.progress.made) + len(self.progress.troubled)
        is_due = (
            now - self._printed_at >= SILENT_SECONDS
            or now - self._summarized_at >= _SUMMARY_SECONDS
            or ended - self._summarized >= _SUMMARY_ENDED
        )
        so_far = f"{span(now - self._began)} so far"
        if self.ledger is None or not self.progress.open or self._stopping:
            if is_due:
                self._summarize(f"{sign.doing}: {so_far}", {})
            return
        if not is_due and self._live is None:
            return
        try:
            phases, cost_and_time = self._look(self.ledger, now)
        except LedgerError:  # the run itself says why
            if is_due:
                self._summarize("Waiting for the ledger", {})
            return
        if self._live is None:
            self._summarized = ended
            counts = sum(phases.values(), Counter[Phase]())
            self._summarize(f"{summary_of(phases)}; {cost_and_time}", counts)
            return
        if not self._live.is_started:
            self._live.start()
            # A process that is killed could not show it again.
            self._console.show_cursor(True)
        table = table_of(phases, f"{cost_and_time}, {so_far}", self._console.width)
        self._live.update(table, refresh=True)

    def _look(self, ledger: Ledger, now: float) -> tuple[Phases, str]:
        """The products in each phase; the credits and the time left in words."""
        rows = ledger.tasks.in_state(AT_TOPVIEW)
        phases = self.progress.phases({(row.product_id, row.stage) for row in rows})
        # The time that a plan of what is open takes, from the last stage that ended.
        planned = [PlannedStage(*key, "", None, submits=True) for key in self.progress.open]
        seconds = forecast_plan(self._topview.config, planned, ledger).seconds
        left = seconds - (now - self._moved_at)
        # What takes longer than planned has no end that could be foretold.
        also = f", about {span(left)} left" if left >= 1.0 else ""
        return phases, f"{in_credits(self.progress.credits)}{also}"

    def _summarize(self, line: str, counts: Mapping[Phase, int]) -> None:
        self._printed_at = self._summarized_at = self._clock()
        if self._as_json:
            known: dict[str, object] = {"doing": sign.doing, "credits": self.progress.credits}
            known |= {str(phase): count for phase, count in counts.items()}
            say_json({"event": "progress"} | known)
        else:
            self._say(line)
