"""The words of commands: exit codes, errors as one sentence, and text that steers no terminal.

An output that cannot be written ends no command: a run that pays goes on behind `| head`.

Ids, paths and Topview's words are foreign: rich must not read them as markup, in which `[/]` is an
error and `[red]` is gone, and no terminal may carry out what they hold.
"""

from __future__ import annotations

import contextlib
import getpass
import io
import json
import math
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any, Final, Literal

import click

from topview_pipeline.errors import PipelineError
from topview_pipeline.text import counted, one_line, printable

if TYPE_CHECKING:
    from rich.console import Console

PROGRAM: Final = "topview-pipeline"
DEMO_PROGRAM: Final = f"{PROGRAM} --demo"
SOME_FAILED: Final = 1
NOTHING_COULD_START: Final = 2
SOME_PENDING: Final = 3
WORDS: Final = "topview.words"
"""Key of `Outline.worded` in the context of a command."""
SILENT_SECONDS: Final = 9.0
"""A command prints something at least every ten seconds."""
_FIRST_SECONDS: Final = 0.8
_LOOK_SECONDS: Final = 0.1


class CannotStart(PipelineError):
    """The command did nothing: what was asked for cannot be done."""


class OneSentence(click.ClickException):
    """Shows an error on standard error, without a traceback."""

    exit_code = NOTHING_COULD_START

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it."""
        click.echo(f"{PROGRAM}: {printable(self.message)}", file=file or sys.stderr)


class SignOfLife:
    """Says on standard error what is waited for: after a second, then every ten.

    Attributes:
        doing: what the command does now.
        spoke_at: when something was printed last, until `end`.
    """

    def __init__(self) -> None:
        self.spoke_at: float | None = None
        self.doing, self._due = "Loading", 0.0
        self._ended = threading.Event()

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """While the block runs, or until `end`."""
        began, ended = time.monotonic(), threading.Event()
        self.doing, self._due, self._ended = "Loading", began + _FIRST_SECONDS, ended

        def show() -> None:
            while not ended.wait(_LOOK_SECONDS):
                now = time.monotonic()
                if now >= self._due:
                    so_far = span(now - began)
                    self.spoken()
                    click.echo(f"{printable(self.doing)} ... ({so_far})", err=True)

        thread = threading.Thread(target=show, name="sign of life", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.end()
            thread.join()

    def now(self, doing: str) -> None:
        """From now on the command does this."""
        self.doing, self._due = doing, min(self._due, time.monotonic() + _FIRST_SECONDS)

    def spoken(self, *, wait: bool = False) -> None:
        """Something was printed just now; `wait`: and a person has the word."""
        self.spoke_at = time.monotonic()
        self._due = math.inf if wait else self.spoke_at + SILENT_SECONDS

    def end(self) -> None:
        """Something else tells from now on."""
        self.spoke_at = None
        self._ended.set()


sign: Final = SignOfLife()
"""Of the command of this process."""


class _Descriptor(io.RawIOBase):
    """A standard stream's file descriptor. Once it cannot be written, the rest is dropped.

    A closed pipe is no trouble: its reader has seen enough. All else is said on standard error.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._is_lost = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)

    def write(self, data: Any, /) -> int:
        with contextlib.suppress(OSError):
            if not self._is_lost:
                try:
                    while True:
                        try:
                            return os.write(self._number, data)
                        except BlockingIOError:  # as the pipes of some CI runners: it is full
                            select.select([], [self._number], [])
                except OSError as error:
                    self._is_lost = True
                    if not isinstance(error, BrokenPipeError):
                        why = f"the output cannot be written: {error.strerror}"
                        os.write(2, f"{PROGRAM}: {why}\n".encode())
        return len(data)


def keep_output_going() -> None:
    """Let no output end the process: neither one that fails, nor one that lacks a character."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
            continue
        stream.flush()
        descriptor = io.BufferedWriter(_Descriptor(stream.fileno()))
        kept = io.TextIOWrapper(
            descriptor, stream.encoding, errors="replace", line_buffering=True, newline="\n"
        )
        setattr(sys, name, kept)


def given(option: Literal["defs", "pipeline"]) -> str | None:
    """The value of `--defs` or `--pipeline`, wherever it stands on the command line."""
    context = click.get_current_context(silent=True)
    return None if context is None else context.meta.get(f"topview.{option}")


def is_demo() -> bool:
    """True for a command that works on what the demo made."""
    context = click.get_current_context(silent=True)
    if context is None:
        return False
    root = context.find_root()
    return root.invoked_subcommand == "demo" or bool(root.params.get("demo"))


def program() -> str:
    """The words before a subcommand, to go on with what this command works on."""
    context = click.get_current_context(silent=True)
    if context is not None and context.find_root().params.get("demo", False):
        return DEMO_PROGRAM
    options = (("--defs", given("defs")), ("--pipeline", given("pipeline")))
    return " ".join([PROGRAM, *(f"{name} {value}" for name, value in options if value)])


def worded(text: str) -> str:
    """A message as the pipeline has it that this command works on, once that is known."""
    context = click.get_current_context(silent=True)
    words: Callable[[str], str] = str if context is None else context.meta.get(WORDS, str)
    return words(text)


def say(text: str, console: Console | None = None, *, style: str = "") -> None:
    """Print text as it is, in its own lines: none is folded, for a log is searched by line."""
    if console is None:
        click.echo(printable(worded(text)), file=sys.stdout)
        return
    from rich.text import Text

    # In a str, rich makes `:red_circle:` a picture even without markup.
    console.print(Text(printable(worded(text)), style=style), soft_wrap=True)


def say_json(value: object) -> None:
    """Print one JSON document in one line, for another program to read."""
    click.echo(worded(json.dumps(value, default=str)), file=sys.stdout)


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
            click.echo("\t".join(map(one_line, row)), file=console.file)  # rich expands tabs
        return
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold", justify="right" if name in right else "left")
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    console.print(table)


def in_credits(amount: float) -> str:
    """An amount of credits in words."""
    return counted(amount, "credit")


def span(seconds: float) -> str:
    """A length of time in the unit that a person would take."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} d"


def ask(question: str, *, yes: bool) -> None:
    """Let a person decide; `yes`: the answer was given. Raises CannotStart for a no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CannotStart(f"{question} Nobody can answer here: add --yes. Nothing was done.")
    sign.spoken(wait=True)
    if not click.confirm(f"{question} Go on?"):
        raise CannotStart("nothing was done")
    sign.spoken()


def person() -> str:
    """The acting person, for events of the ledger: user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "somebody"
    return f"{user}@{socket.gethostname()}"
