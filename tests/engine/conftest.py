"""Worlds for the engine's tests."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.engine.world import World


class MakeWorld(Protocol):
    """Makes a World in the test's own folder; at its end nothing in it was paid twice."""

    def __call__(self, **settings: Any) -> World: ...


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[MakeWorld]:
    worlds: list[World] = []

    def make(**settings: Any) -> World:
        folder = tmp_path / f"world-{len(worlds)}"
        folder.mkdir()
        worlds.append(World(folder, **settings))
        return worlds[-1]

    yield make
    for world in worlds:
        try:
            world.assert_paid_once()
        finally:
            world.close()


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world()
