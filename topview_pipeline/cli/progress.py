"""Progress of a run, read from the ledger: a live table on a terminal, plain lines otherwise."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from topview_pipeline.ledger import Ledger, LedgerError, OrderProgress, OrderState, TaskState
from topview_pipeline.stages import STAGES

_LOOK_SECONDS = 0.5
_AT_TOPVIEW = frozenset({TaskState.RESERVED, TaskState.PENDING})


def phase(order: OrderProgress) -> str:
    """Where an order stands, in one word: done, failed, held, running or waiting."""
    if order.state is OrderState.DONE:
        return "done"
    if order.state is OrderState.FAILED:
        return "failed"
    if order.held is not None:
        return "held"
    if order.task_state in _AT_TOPVIEW:
        return "running"
    return "waiting"


def credits_spent(orders: Iterable[OrderProgress], run_id: str) -> float:
    """Credits that Topview booked for tasks which this run submitted, shared ones once."""
    booked = {order.task_id: order.credits for order in orders if order.task_run_id == run_id}
    return sum(cost or 0.0 for cost in booked.values())


def table_of(orders: Sequence[OrderProgress], run_id: str, seconds: float) -> Table:
    """The live table, readable in 80 columns."""
    table = Table(box=None, padding=(0, 1))
    for name in ("stage", "", "done", "running", "waiting", "held", "failed"):
        table.add_column(name, justify="left" if name in ("stage", "") else "right")
    for stage in STAGES:
        of_stage = [order for order in orders if order.stage == stage.key]
        if not of_stage:
            continue
        count = Counter(phase(order) for order in of_stage)
        table.add_row(
            stage.key,
            ProgressBar(total=len(of_stage), completed=count["done"], width=20),
            f"{count['done']}/{len(of_stage)}",
            *(str(count[name] or "-") for name in ("running", "waiting", "held", "failed")),
        )
    table.caption = f"{credits_spent(orders, run_id):g} credits, {seconds:.0f} s"
    table.caption_justify = "left"
    return table


class Watcher:
    """Shows a run's progress while the block runs."""

    def __init__(self, ledger: Ledger, run_id: str, console: Console) -> None:
        self._ledger = ledger
        self._run_id = run_id
        self._console = console
        self._began = time.monotonic()
        self._told: set[int] = set()
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
                self._show(self._ledger.progress.of_run(self._run_id))
            except LedgerError:  # the run itself says so
                return
            if ended:
                return

    def _show(self, orders: Sequence[OrderProgress]) -> None:
        if self._console.is_terminal:
            seconds = time.monotonic() - self._began
            self._live.update(table_of(orders, self._run_id, seconds), refresh=True)
            return
        done = sum(order.state is not OrderState.OPEN for order in orders)
        for order in orders:
            if order.state is OrderState.OPEN or order.order_id in self._told:
                continue
            self._told.add(order.order_id)
            self._console.print(line_of(order, self._run_id), highlight=False, soft_wrap=True)
            if len(self._told) % 25 == 0:
                self._console.print(f"{done} of {len(orders)} ended", highlight=False)


def line_of(order: OrderProgress, run_id: str) -> str:
    """What a log says of an order that ended."""
    if order.state is not OrderState.DONE:
        return f"{order.product_id} {order.stage} {order.state.value}: {order.detail or ''}"
    if order.task_run_id != run_id:
        return f"{order.product_id} {order.stage} taken from the store"
    seconds = "" if order.seconds is None else f" in {order.seconds:.1f} s"
    cost = "" if not order.credits else f", {order.credits:g} credits"
    return f"{order.product_id} {order.stage} made{seconds}{cost}"
