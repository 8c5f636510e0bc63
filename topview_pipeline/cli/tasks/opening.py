"""What the commands on tasks begin with: the settings, the ledger, the row, the person's word."""

from __future__ import annotations

import getpass
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from topview_pipeline.cli.errors import CannotStart, starting
from topview_pipeline.printable import printable

if TYPE_CHECKING:
    from topview_pipeline.ledger import Ledger, Task
    from topview_pipeline.settings import Settings

LOOK_SECONDS = 120.0
"""How long a person waits for the credit log."""


@dataclass(frozen=True)
class Opened:
    """Settings and ledger of one command."""

    settings: Settings
    ledger: Ledger

    def row(self, number: int) -> Task:
        """The account's row of this number.

        Raises:
            CannotStart: there is none.
        """
        row = self.ledger.browsing.find(number)
        if row is None:
            raise CannotStart(
                f"the account {self.settings.uid} at {self.settings.base_url} has no task row "
                f"{number}; see topview-pipeline tasks list"
            )
        return row


@contextmanager
def opened(*, key: bool = False) -> Iterator[Opened]:
    """The ledger of the environment's account; a user's mistakes in the block end with code 2.

    Args:
        key: Topview will be called, so the API key must be there.
    """
    from topview_pipeline.ledger import Ledger
    from topview_pipeline.settings import Settings, SettingsError

    with starting():
        settings = Settings.from_environment()
        unset = {"TOPVIEW_UID": settings.uid is None, "TOPVIEW_API_KEY": settings.api_key is None}
        for name in ("TOPVIEW_UID", "TOPVIEW_API_KEY") if key else ("TOPVIEW_UID",):
            if unset[name]:
                raise SettingsError(name, "it is not set", "Copy it from Topview's API page.")
        ledger = Ledger(settings.ledger_url, base_url=settings.base_url, uid=settings.uid or "")
        try:
            yield Opened(settings, ledger)
        finally:
            ledger.close()


def say(text: str) -> None:
    """Print text, in which nothing commands the terminal: it may hold Topview's words."""
    click.echo(printable(text))


def ask(question: str, *, yes: bool) -> None:
    """Let a person decide.

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
    """Who acts, for the row's events: user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "somebody"
    return f"{user}@{socket.gethostname()}"
