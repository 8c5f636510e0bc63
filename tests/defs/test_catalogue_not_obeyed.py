"""A catalogue that the sensor does not obey: half, empty, overtaken, hanging; or one that moved."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.defs.shop import Shop
from tests.defs.test_catalogue_sensor import tick
from topview_pipeline.catalogue import CatalogueSource
from topview_pipeline.concerns import concerns
from topview_pipeline.defs import watching
from topview_pipeline.defs.resources import CatalogueResource
from topview_pipeline.syncing import accept


@pytest.mark.parametrize("text", ["", "product_id,image\n", "\n\n", "<html>Sign in</html>"])
def test_an_empty_catalogue_is_refused_and_nobody_is_retired(shop: Shop, text: str) -> None:
    shop.add("mug", "shoe")
    shop.write()
    before = tick(shop)
    shop.catalogue.write_text(text)

    after = tick(shop, before.cursor)

    assert str(shop.catalogue) in after.said
    with shop.ledger() as ledger:
        assert ledger.catalogues.seen(str(shop.catalogue)).products == {"mug", "shoe"}
    shop.write()
    assert tick(shop, after.cursor).said.startswith("2 products"), "once it is mended"


def test_half_a_catalogue_is_held(shop: Shop) -> None:
    shop.add("mug", "shoe", "bag", "hat")
    shop.write()
    tick(shop)
    whole = shop.catalogue.read_bytes()
    shop.catalogue.write_bytes(whole[: len(whole) // 2])

    assert "of its 4 products are gone" in tick(shop).said
    assert "--accept-change" in tick(shop).said


class _Hanging:
    """A source that never answers until it is let go."""

    where = "shop database"

    def __init__(self) -> None:
        self.released = threading.Event()

    def version(self) -> str | None:
        self.released.wait(60)
        return None

    def rows(self) -> list[dict[str, object]]:
        return []


@pytest.fixture
def hanging() -> Iterator[_Hanging]:
    source = _Hanging()
    yield source
    source.released.set()


class _HangingCatalogue(CatalogueResource):
    """A catalogue resource with a source of its own, as a user would write it."""

    def open(self) -> CatalogueSource:
        source: CatalogueSource = _SOURCES[0]
        return source

    def version(self, *, seconds: float = 0.05) -> str | None:
        return super().version(seconds=seconds)


_SOURCES: list[_Hanging] = []


def test_a_source_that_hangs_ends_the_tick_with_a_sentence(shop: Shop, hanging: _Hanging) -> None:
    _SOURCES[:] = [hanging]
    first = tick(shop, catalogue=_HangingCatalogue())
    second = tick(shop, catalogue=_HangingCatalogue())

    assert "catalogue _HangingCatalogue: it did not answer within 0.05 s" in first.said
    assert "an earlier look at it still hangs" in second.said, "looks do not pile up"


def test_no_catalogue_and_no_ledger_are_one_sentence(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add("mug")
    shop.write()
    (shop.folder / "file").write_text("no folder")
    monkeypatch.setenv("TOPVIEW_LEDGER_URL", f"sqlite:///{shop.folder}/file/ledger.db")
    assert "ledger" in tick(shop).said
    monkeypatch.delenv("TOPVIEW_CATALOGUE")
    assert tick(shop).said.startswith("TOPVIEW_CATALOGUE: it is not set")


def test_what_is_held_is_not_read_again_each_minute_and_is_a_standing_check(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add("mug", "shoe", "bag", "hat")
    shop.write()
    tick(shop)
    del shop.rows["mug"], shop.rows["shoe"]
    shop.write()

    held = tick(shop)

    with shop.ledger() as ledger:
        concern = concerns(ledger, now=ledger.now())["catalogue_held"]
    assert concern.count == 1
    assert "2 of its 4 products are gone" in concern.sample[0].what
    assert "--accept-change" in concern.way_out
    with monkeypatch.context() as patch:
        patch.setattr(CatalogueResource, "read", lambda *_, **__: pytest.fail("read"))
        assert tick(shop, held.cursor).said == held.said
    monkeypatch.setattr(watching, "LOOK_AGAIN_SECONDS", 0.0)
    with shop.ledger() as ledger:
        accept(ledger, CatalogueResource().read().sha256, who="ann")
    assert "2 left" in tick(shop, held.cursor).said
    with shop.ledger() as ledger:
        assert concerns(ledger, now=ledger.now())["catalogue_held"].is_calm


def test_a_catalogue_that_cannot_be_read_is_a_standing_check_for_a_day(shop: Shop) -> None:
    shop.add("mug")
    shop.write()
    before = tick(shop)
    shop.catalogue.unlink()
    assert "no such file" in tick(shop, before.cursor).said
    with shop.ledger() as ledger:
        now = ledger.now()
        assert concerns(ledger, now=now)["catalogue_held"].count == 1
        later = concerns(ledger, now=now + 90_000)["catalogue_held"]
        assert later.is_calm, "nobody looked since: it may have moved"


def test_a_reading_that_another_one_overtook_is_left_and_looked_at_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add("mug")
    shop.write()
    before = tick(shop)
    shop.add("shoe")
    shop.write()
    old = replace(CatalogueResource().read(), begun=time.monotonic() - 25)
    with shop.ledger() as ledger:
        ledger.catalogues.obey(
            str(shop.catalogue), sha256="newer", columns=[], products=["mug", "shoe", "bag"]
        )
    with monkeypatch.context() as patch:
        patch.setattr(CatalogueResource, "read", lambda *_, **__: old)
        seen = tick(shop, before.cursor)
    assert "another reading of it was obeyed" in seen.said
    assert seen.cursor == before.cursor
    assert "0 left" not in tick(shop, before.cursor).said


def test_a_catalogue_that_moved_is_said_to_be_a_stranger(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add("mug")
    shop.write()
    assert "other catalogues" not in tick(shop).said
    moved = shop.folder / "release 2.csv"
    moved.write_bytes(shop.catalogue.read_bytes())
    monkeypatch.setenv("TOPVIEW_CATALOGUE", str(moved))

    said = tick(shop).said

    assert f"the ledger knows other catalogues of this account: {shop.catalogue}" in said
    assert "TOPVIEW_CATALOGUE_NAME" in said
    monkeypatch.setenv("TOPVIEW_CATALOGUE_NAME", str(shop.catalogue))
    assert "other catalogues" not in tick(shop).said
    with shop.ledger() as ledger:
        assert ledger.catalogues.names() == (str(shop.catalogue),)


def test_a_catalogue_that_is_back_as_it_was_is_well_at_once(shop: Shop) -> None:
    """A file server that was away for a minute must not leave an error standing for ten."""
    shop.add("mug")
    shop.write()
    first = tick(shop)
    away = shop.catalogue.rename(shop.folder / "away.csv")
    gone = tick(shop, first.cursor)
    with shop.ledger() as ledger:
        assert len(ledger.catalogues.held()) == 1
    away.rename(shop.catalogue)

    tick(shop, gone.cursor)

    with shop.ledger() as ledger:
        assert ledger.catalogues.held() == ()
