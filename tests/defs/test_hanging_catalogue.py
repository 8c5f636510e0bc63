"""A catalogue that hangs while it is opened: everybody goes on with a sentence, or without it."""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Iterator
from typing import ClassVar

import dagster as dg
import pytest

from tests.defs.shop import Shop
from tests.defs.test_catalogue_sensor import tick
from tests.defs.test_sensors import Daemon, leave_behind, requested
from topview_pipeline.catalogue import CatalogueError
from topview_pipeline.defs import catalogue_sensor, resources, sensors
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


class Slow:
    """Where the rows of a shop are; tests let it hang."""

    where = "shop database"
    hangs_when_made: ClassVar[bool] = False
    released: ClassVar[threading.Event]

    def __init__(self) -> None:
        if self.hangs_when_made:
            self.released.wait(60)

    def version(self) -> None:
        return None

    def rows(self) -> list[dict[str, object]]:
        self.released.wait(60)
        return []


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The setting of a source that tells its name, and hangs when it is read."""
    module = types.ModuleType("slow_shop")
    module.__dict__["Shop"] = Slow
    monkeypatch.setitem(sys.modules, "slow_shop", module)
    monkeypatch.setattr(resources, "_names", {})
    monkeypatch.setattr(Slow, "released", threading.Event(), raising=False)
    yield "python:slow_shop:Shop"
    Slow.released.set()
    for thread in threading.enumerate():
        if thread.name == "topview-catalogue":
            thread.join(30)


def test_rows_that_hang_leave_the_name_to_be_told(slow: str) -> None:
    catalogue = CatalogueResource(source=slow)
    with pytest.raises(CatalogueError, match="did not answer"):
        catalogue.read(seconds=0.05)
    assert catalogue.name() == "shop database"


def test_a_source_that_no_longer_opens_has_the_name_that_it_told_before(
    slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert CatalogueResource(source=slow).name() == "shop database"
    monkeypatch.setattr(Slow, "hangs_when_made", True)
    for _ in range(2):
        assert CatalogueResource(source=slow).name(seconds=0.05) == "shop database"


def test_a_catalogue_that_hangs_is_written_down_as_held(
    shop: Shop, slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shop.ledger() as ledger:
        ledger.catalogues.obey("shop database", sha256="1", columns=[], products=["mug"])
    monkeypatch.setenv("TOPVIEW_CATALOGUE", slow)
    monkeypatch.setattr(catalogue_sensor, "_READ_SECONDS", 0.05)
    assert "did not answer" in tick(shop).said
    with shop.ledger() as ledger:
        (held,) = ledger.catalogues.held()
    assert held.name == "shop database"


def test_a_files_name_is_told_while_the_file_server_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CatalogueResource, "open", lambda _self: pytest.fail("opened"))
    assert CatalogueResource(source="/mnt/shop.csv").name() == "/mnt/shop.csv"


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
