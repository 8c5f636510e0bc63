"""How commands print amounts, and what they did not write themselves: ids, paths, Topview's words.

What is foreign is never read as rich's markup, in which `[/]` is an error and `[red]` is gone, and
never obeyed by a terminal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from topview_pipeline.printable import one_line, printable

if TYPE_CHECKING:
    from rich.console import Console


def tell(console: Console, text: str, *, style: str = "") -> None:
    """Print text as it is, in its own lines: none is folded, for a log is searched by line."""
    from rich.text import Text

    # Of a str, rich makes `:red_circle:` a picture even without markup.
    console.print(Text(printable(text), style=style), soft_wrap=True)


def tell_rows(
    console: Console,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Collection[str] = (),
) -> None:
    """Print rows under their columns' names: a table on a terminal.

    Elsewhere each row is one line, however long.

    Args:
        right: the columns that are aligned to the right.
    """
    from rich.table import Table
    from rich.text import Text

    if not console.is_terminal:
        for row in (columns, *rows):
            tell(console, "  ".join(map(one_line, row)))
        return
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold", justify="right" if name in right else "left")
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    console.print(table)


def in_credits(amount: float) -> str:
    """An amount of credits in words."""
    return f"{amount:g} credit{'' if amount == 1 else 's'}"
