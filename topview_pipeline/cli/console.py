"""How commands speak: exit codes, errors as one sentence, and text that steers no terminal.

Ids, paths and Topview's words are foreign: rich must not read them as markup, in which `[/]` is an
error and `[red]` is gone, and no terminal may carry out what they hold.
"""

from __future__ import annotations

import getpass
import json
import socket
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import IO, TYPE_CHECKING, Any, Final

import click

from topview_pipeline.errors import PipelineError
from topview_pipeline.text import one_line, printable

if TYPE_CHECKING:
    from rich.console import Console

SOME_FAILED: Final = 1
NOTHING_COULD_START: Final = 2
SOME_PENDING: Final = 3


class CannotStart(PipelineError):
    """The command did nothing: what was asked for cannot be done."""


class OneSentence(click.ClickException):
    """Shows an error on standard error, without a traceback."""

    exit_code = NOTHING_COULD_START

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it."""
        click.echo(f"topview-pipeline: {printable(self.message)}", file=file, err=file is None)


def say(text: str, console: Console | None = None, *, style: str = "") -> None:
    """Print text as it is, in its own lines: none is folded, for a log is searched by line."""
    if console is None:
        click.echo(printable(text))
        return
    from rich.text import Text

    # In a str, rich makes `:red_circle:` a picture even without markup.
    console.print(Text(printable(text), style=style), soft_wrap=True)


def say_json(value: object) -> None:
    """Print one JSON document in one line, for another program to read."""
    click.echo(json.dumps(value, default=str))


def say_rows(
    console: Console,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Collection[str] = (),
) -> None:
    """Print rows under their columns' names: a table on a terminal, else cells between tabs."""
    from rich.table import Table
    from rich.text import Text

    if not console.is_terminal:
        for row in (columns, *rows):
            say("\t".join(map(one_line, row)), console)
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


def span(seconds: float) -> str:
    """A length of time in the unit that a person would take."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} d"


def ask(question: str, *, yes: bool) -> None:
    """Let a person decide; `yes`: the answer was given on the command line.

    Raises:
        CannotStart: there is nobody to ask, or the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise CannotStart(f"{question} There is nobody to ask: add --yes. Nothing was done.")
    if not click.confirm(f"{question} Go on?"):
        raise CannotStart("nothing was done")


def person() -> str:
    """The acting person, for events of the ledger: user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "somebody"
    return f"{user}@{socket.gethostname()}"
