"""A catalogue that hangs while it is opened: everybody goes on with a sentence, or without it."""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Iterator

import dagster as dg
import pytest

from tests.defs.shop import Shop
from tests.defs.test_sensors import Daemon, leave_behind, requested
from topview_pipeline.catalogue import CatalogueError
from topview_pipeline.defs import sensors
from topview_pipeline.defs.resources import CatalogueResource

SETTING = "python:hanging_shop:Shop"


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The setting of a source that connects when it is made, and never gets an answer."""
    released = threading.Event()

    class Hanging:
        where = "shop database"

        def __init__(self) -> None:
            released.wait(60)

        def version(self) -> str:
            return "1"

        def rows(self) -> list[dict[str, object]]:
            return []

    module = types.ModuleType("hanging_shop")
    module.__dict__["Shop"] = Hanging
    monkeypatch.setitem(sys.modules, "hanging_shop", module)
    yield SETTING
    released.set()
    for thread in threading.enumerate():
        if thread.name == "topview-catalogue":
            thread.join(30)


@pytest.mark.parametrize("look", ["version", "read", "name"])
def test_a_source_that_hangs_when_it_is_made_is_limited_in_time(hanging: str, look: str) -> None:
    catalogue = CatalogueResource(source=hanging)
    with pytest.raises(CatalogueError, match=r"did not answer within 0\.05 s") as caught:
        getattr(catalogue, look)(seconds=0.05)
    assert caught.value.where == hanging


def test_a_catalogue_that_hangs_keeps_no_paid_result_from_being_fetched(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, hanging: str
) -> None:
    shop.add("mug")
    leave_behind(shop, monkeypatch)
    monkeypatch.setenv("TOPVIEW_CATALOGUE", hanging)
    monkeypatch.setattr(sensors, "_NAME_SECONDS", 0.05)
    assert isinstance(requested(Daemon(shop).tick()), dg.RunRequest)


def test_a_name_that_was_given_needs_no_source(
    hanging: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPVIEW_CATALOGUE_NAME", "spring")
    assert CatalogueResource(source=hanging).name(seconds=0.05) == "spring"
    assert CatalogueResource(source=hanging, known_as="autumn").name(seconds=0.05) == "autumn"
