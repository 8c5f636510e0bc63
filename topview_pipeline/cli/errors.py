"""Exit codes, and a user's mistakes as sentences instead of tracebacks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click

from topview_pipeline.printable import printable

SOME_FAILED: Final = 1
NOTHING_COULD_START: Final = 2
SOME_PENDING: Final = 3


class CannotStart(click.ClickException):
    """Nothing could start: configuration, no usable catalogue, no answer from Topview."""

    exit_code = NOTHING_COULD_START

    def show(self, file: object = None) -> None:  # noqa: ARG002 - click's signature
        """Say it on standard error."""
        click.echo(f"topview-pipeline: {printable(self.format_message())}", err=True)


@contextmanager
def starting() -> Iterator[None]:
    """Whatever keeps a command from starting becomes one sentence and exit code 2."""
    from topview_pipeline.mistakes import users_mistakes

    mistakes = users_mistakes()
    try:
        yield
    except mistakes as error:
        raise CannotStart(str(error)) from error
