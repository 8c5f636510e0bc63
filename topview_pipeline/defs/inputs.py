"""The files of the catalogue, with the memory of their hashes in TOPVIEW_HOME."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from topview_pipeline.inputs import HashCache, InputFiles
from topview_pipeline.settings import Settings

HASHES: Final = "hashes.db"
"""May be deleted at any time: then files are read again."""


def open_inputs(*, offline: bool = False) -> InputFiles:
    """The files, to be closed by the caller; `offline`: no server is asked."""
    return InputFiles(HashCache(Settings.from_environment().home / HASHES), offline=offline)


@contextmanager
def opened_inputs(*, offline: bool = False) -> Iterator[InputFiles]:
    """The files, closed at the end."""
    inputs = open_inputs(offline=offline)
    try:
        yield inputs
    finally:
        inputs.close()
