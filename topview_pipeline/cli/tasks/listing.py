"""`topview-pipeline tasks list`: the newest rows, and what comes next for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from topview_pipeline.cli.errors import CannotStart
from topview_pipeline.cli.tasks.opening import opened
from topview_pipeline.cli.telling import tell, tell_rows

if TYPE_CHECKING:
    from rich.console import Console

    from topview_pipeline.ledger import Task

_COLUMNS = ("row", "product", "stage", "state", "age", "credits", "what next")


@click.command("list")
@click.option("--state", "states", multiple=True, metavar="STATE", help="Only rows in this state.")
@click.option("--product", metavar="ID", help="Only this product's.")
@click.option("--stage", metavar="ASSET_KEY", help="Only this stage's.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most.")
def list_rows(states: tuple[str, ...], product: str | None, stage: str | None, limit: int) -> None:
    """List the newest task rows: what was submitted, where it stands, what it cost."""
    from rich.console import Console

    from topview_pipeline.ledger import TaskState
    from topview_pipeline.stages import stages_named

    with opened() as here:
        if stage is not None:
            stages_named([stage])
        known = [state.value for state in TaskState]
        for state in states:
            if state not in known:
                raise CannotStart(f"there is no state {state!r}; there are {', '.join(known)}")
        page = here.ledger.browsing.page(
            states=[TaskState(state) for state in states],
            product_id=product,
            stage=stage,
            limit=limit,
        )
        console = Console()
        _tell(console, page.rows, here.ledger.now())
        if page.total > len(page.rows):
            more = page.total - len(page.rows)
            tell(console, f"... and {more} older ones; --limit shows more")
        elif not page.rows:
            tell(console, "no such task row")


def _tell(console: Console, rows: tuple[Task, ...], now: float) -> None:
    from topview_pipeline.cli.tasks.wording import age, credits_of, next_of

    lines = [
        (
            str(row.id),
            row.product_id,
            row.stage,
            row.state.value,
            age(now - row.reserved_at),
            credits_of(row),
            next_of(row),
        )
        for row in rows
    ]
    if lines:
        tell_rows(console, _COLUMNS, lines, right=["credits"])
