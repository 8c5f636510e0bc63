"""What tests of several rooms share."""

import signal
from collections.abc import Iterator

import pytest

from tests.postgres import Postgres, running

# A shell's background job, or nohup, as some CI runners start theirs: commands that tests start
# would inherit what is ignored and end at no Ctrl-C, and Dagster would ignore SIGTERM, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL, started by the first test that asks for it."""
    with running() as server:
        yield server
