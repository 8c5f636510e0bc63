"""Worlds for the engine's tests."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest

from tests.engine.world import World


class MakeWorld(Protocol):
    """Makes a World in the test's own folder; it is closed with the test."""

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
        world.close()


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    be_quick(monkeypatch)


def be_quick(patch: pytest.MonkeyPatch) -> None:
    """Nothing here goes over a network."""
    patch.setattr(httpx, "create_ssl_context", _ssl_context)  # reads the certificates: 30 ms


_ssl_context = functools.cache(httpx.create_ssl_context)
