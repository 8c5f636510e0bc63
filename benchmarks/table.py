"""One table of everything measured, with targets beside the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

_WIDTH = 110


@dataclass(frozen=True)
class Row:
    """One number.

    Attributes:
        what: what was measured.
        found: with its unit.
        target: the same, empty when there is none.
        met: None when there is no target.
    """

    what: str
    found: str
    target: str = ""
    met: bool | None = None


def at_least(what: str, value: float, target: float, shown: str) -> Row:
    """A number that should be large; `shown` is its format, as in "{:.0%}"."""
    return Row(what, shown.format(value), f">= {shown.format(target)}", value >= target)


def at_most(what: str, value: float, target: float, shown: str) -> Row:
    """A number that should be small."""
    return Row(what, shown.format(value), f"<= {shown.format(target)}", value <= target)


def show(rows: Sequence[Row], notes: Sequence[str]) -> None:
    """Print the table, and below it what it does not say by itself."""
    table = Table("measured", "found", "target", "")
    for row in rows:
        verdict = {None: "", True: "met", False: "MISSED"}[row.met]
        table.add_row(row.what, row.found, row.target, verdict)
    console = Console(width=_WIDTH)
    console.print(table)
    for note in notes:
        console.print(note, highlight=False)
