"""A shop for each test: its own sandbox in a thread, ledger, store, catalogue and instance."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from tests.defs.shop import Shop
from topview_pipeline.environment import VARIABLES
from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.sandbox.serve import Running, running


@pytest.fixture
def sandbox() -> Iterator[Running]:
    with running(SandboxConfig(media="tiny", speed=200.0, sigma=0.1)) as sandbox:
        yield sandbox


@pytest.fixture
def shop(tmp_path: Path, sandbox: Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with dg.DagsterInstance.ephemeral() as instance:
        shop = Shop(tmp_path, sandbox, instance)
        for variable in VARIABLES:
            monkeypatch.delenv(variable.name, raising=False)
        for name, value in shop.environment().items():
            monkeypatch.setenv(name, value)
        yield shop
