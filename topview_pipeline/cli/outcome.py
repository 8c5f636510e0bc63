"""What a run says at its end: what was made, what it cost, and every trouble with its way out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console

from topview_pipeline.cli.phases import credits_spent
from topview_pipeline.cli.telling import in_credits, tell, tell_rows
from topview_pipeline.grouping import TOLD_ONE_BY_ONE, alike
from topview_pipeline.ledger import OrderProgress, OrderState
from topview_pipeline.printable import one_line

_SHOWN = 30
_COLUMNS = ("product", "stage", "outcome", "why, and what to do")


def tell_outcome(console: Console, orders: Sequence[OrderProgress], run_id: str) -> None:
    """Print the outcome of a run's orders."""
    if not orders:
        console.print("Everything is up to date: nothing was submitted, nothing was paid.")
        return
    done = [order for order in orders if order.state is OrderState.DONE]
    fresh = sum(order.task_run_id == run_id for order in done)
    reused = len(done) - fresh
    spent = credits_spent(orders, run_id)
    parts = [f"{fresh} made", in_credits(spent)]
    if reused:
        parts.insert(1, f"{reused} taken from the store at no cost")
    console.print(", ".join(parts) + ".", highlight=False)
    troubled = [order for order in orders if order.state is not OrderState.DONE]
    if troubled:
        _tell_troubles(console, troubled)


def outcome_of(order: OrderProgress) -> str:
    """failed, withdrawn, held or pending."""
    if order.state is OrderState.OPEN:
        return "held" if order.held is not None else "pending"
    return str(order.state.value)


def _tell_troubles(console: Console, troubled: Sequence[OrderProgress]) -> None:
    counts = Counter(outcome_of(order) for order in troubled)
    console.print(
        ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) + ":",
        highlight=False,
    )
    single: list[OrderProgress] = []
    for group in alike(troubled, lambda order: f"{outcome_of(order)}: {_detail(order)}"):
        if len(group) <= TOLD_ONE_BY_ONE:
            single += group
        else:
            tell(console, one_line(_line_of_all(group, is_terminal=console.is_terminal)))
    shown = single[:_SHOWN] if console.is_terminal else single
    if console.is_terminal and shown:
        tell_rows(console, _COLUMNS, map(_row, shown))
    elif not console.is_terminal:
        for order in shown:
            tell(console, one_line("{} {} {}: {}".format(*_row(order))))
    if len(single) > len(shown):
        console.print(f"... and {len(single) - len(shown)} more: see the run in the Dagster UI")


def _line_of_all(group: Sequence[OrderProgress], *, is_terminal: bool) -> str:
    """A log names all of them; on a terminal the reason must not be lost among the names."""
    products = list(dict.fromkeys(order.product_id for order in group))
    shown = products[:TOLD_ONE_BY_ONE] if is_terminal else products
    names = ", ".join(shown) + (" and others" if len(shown) < len(products) else "")
    return f"{len(group)} {outcome_of(group[0])}: {_detail(group[0])} ({names})"


def _row(order: OrderProgress) -> tuple[str, str, str, str]:
    return order.product_id, order.stage, outcome_of(order), _detail(order)


def _detail(order: OrderProgress) -> str:
    if order.state is OrderState.WITHDRAWN:
        return "it was stopped before it was sent; run again to have it made"
    detail = order.detail or "not there yet; the pending_task_sensor or the next run goes on"
    return f"{detail}. What to do: {order.mend}" if order.mend else detail
