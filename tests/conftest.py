"""What tests of several rooms share."""

from collections.abc import Iterator

import pytest

from tests.postgres import Postgres, running


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL, started by the first test that asks for it."""
    with running() as server:
        yield server
