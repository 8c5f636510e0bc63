"""A shop for each test: its own sandbox in a thread, ledger, store, catalogue and instance."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import pytest

from tests.defs.shop import Shop
from topview_pipeline.testing import sandbox


@pytest.fixture
def shop() -> Iterator[Shop]:
    with (
        TemporaryDirectory() as folder,
        dg.DagsterInstance.ephemeral() as instance,
        sandbox(sigma=0.1, forget_after=3600.0) as topview,
    ):
        yield Shop(Path(folder), topview, instance)
