"""What tests of several rooms share."""

import signal
from collections.abc import Iterator

import pytest

from tests.postgres import Postgres, running

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job, as some CI runners start theirs: commands that tests start would
    # inherit it and end at no Ctrl-C, and Dagster would ignore SIGTERM, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL, started by the first test that asks for it."""
    with running() as server:
        yield server
