"""The world that plans are made in."""

from __future__ import annotations

import pytest

from tests.planning.world import World


@pytest.fixture
def world() -> World:
    return World()
