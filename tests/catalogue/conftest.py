"""A web server for the files of a catalogue."""

from collections.abc import Iterator

import pytest

from tests.catalogue.server import FileServer, serving


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving(FileServer()) as server:
        yield server
