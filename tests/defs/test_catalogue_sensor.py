"""The sensor that follows the catalogue: cheap when nothing changed, patient, and never obedient
to half a file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.defs.shop import Shop
from topview_pipeline.catalogue import CatalogueSource
from topview_pipeline.defs import catalogue_sensor as module
from topview_pipeline.defs import watching
from topview_pipeline.defs.catalogue_sensor import catalogue_sensor
from topview_pipeline.defs.resources import CatalogueResource, LedgerResource
from topview_pipeline.defs.watching import LOOK_AGAIN_SECONDS, Memory


@dataclass
class Tick:
    """What one tick said, observed and remembers."""

    said: str
    observed: list[tuple[str, str | None]]
    cursor: str | None


def tick(
    shop: Shop, cursor: str | None = None, *, catalogue: CatalogueResource | None = None
) -> Tick:
    """One tick, and what the daemon does with what it returns."""
    resources = {"catalogue": catalogue or CatalogueResource(), "ledger": LedgerResource()}
    context = dg.build_sensor_context(shop.instance, cursor=cursor, resources=resources)
    result = catalogue_sensor(context)
    if isinstance(result, dg.SkipReason):
        return Tick(result.skip_message or "", [], cursor)
    assert isinstance(result, dg.SensorResult)
    assert isinstance(result.skip_reason, dg.SkipReason)
    observed = []
    for event in result.asset_events:
        assert isinstance(event, dg.AssetObservation)
        shop.instance.report_runless_asset_event(event)
        observed.append((event.asset_key.to_user_string(), event.partition))
    return Tick(result.skip_reason.skip_message or "", observed, result.cursor)


def test_a_new_product_becomes_a_partition_and_an_unchanged_catalogue_is_not_read(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add("mug", "shoe")
    shop.write()

    first = tick(shop)
    assert shop.instance.get_dynamic_partitions("products") == ["mug", "shoe"]
    assert first.said.startswith("2 products, 0 problems in rows; 2 new")

    monkeypatch.setattr(CatalogueResource, "read", lambda *_, **__: pytest.fail("read"))
    again = tick(shop, first.cursor)
    assert again.said == "the catalogue is the one that was last looked at"


@pytest.mark.parametrize(
    ("column", "asset"),
    [
        ("image", "bgRemovedImage"),
        ("image_edit_prompt", "replacedImages"),
        ("script", "finishedVideo"),
    ],
)
def test_a_change_makes_stale_what_it_shapes_and_only_of_what_was_made(
    shop: Shop, column: str, asset: str
) -> None:
    shop.add("mug", "shoe")
    shop.catch_up(products=["mug"])
    new = shop.picture("new.png", (9, 9, 9)) if column == "image" else "another one"
    shop.rows["mug"][column] = shop.rows["shoe"][column] = new
    shop.write()

    seen = tick(shop)

    assert [product for _, product in seen.observed] == ["mug"]
    assert list(shop.stale("mug")) == [asset]
    assert shop.stale("mug")[asset] == ["has a new dependency data version"]
    assert tick(shop).observed == []


def test_a_photo_that_changes_alone_is_seen_at_the_next_look(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add("mug")
    shop.catch_up()
    first = tick(shop)
    shop.picture("photo1.png", (9, 9, 9))
    assert tick(shop, first.cursor).observed == []

    monkeypatch.setattr(watching, "LOOK_AGAIN_SECONDS", 0.0)
    assert tick(shop, first.cursor).observed == [("productImage", "mug")]


def test_what_is_too_much_for_one_tick_is_observed_by_the_next(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MOST_OBSERVATIONS", 2)
    shop.add("a", "b", "c")
    shop.catch_up()
    for row in shop.rows.values():
        row["script"] = "New words."
    shop.write()

    first = tick(shop)
    second = tick(shop, first.cursor)
    third = tick(shop, second.cursor)

    assert [len(one.observed) for one in (first, second, third)] == [2, 1, 0]
    assert "more in the next tick" in first.said
    assert all(list(shop.stale(product)) == ["finishedVideo"] for product in "abc")


def test_files_that_take_long_to_read_are_gone_on_with_by_the_next_tick(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add("mug")
    shop.catch_up()
    shop.rows["mug"]["script"] = "New words."
    shop.write()
    monkeypatch.setattr(module, "_HASH_SECONDS", -1.0)
    first = tick(shop)
    monkeypatch.undo()
    for name, value in shop.environment().items():
        monkeypatch.setenv(name, value)

    assert "more in the next tick" in first.said
    assert tick(shop, first.cursor).observed == [("productScript", "mug")]


def test_products_that_left_are_retired_and_without_an_account_only_registered(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add("mug", "shoe", "bag", "hat", "pen")
    shop.write()
    tick(shop)
    del shop.rows["mug"]
    shop.add("new")
    shop.write()

    monkeypatch.delenv("TOPVIEW_UID")
    without = tick(shop)
    assert "1 new, 0 left" in without.said
    assert "TOPVIEW_UID is not set, so no product is retired" in without.said

    monkeypatch.setenv("TOPVIEW_UID", shop.sandbox.uid)
    assert "0 new, 1 left" in tick(shop).said
    assert "mug" in shop.instance.get_dynamic_partitions("products")


@pytest.mark.parametrize("text", ["", "product_id,image\n", "\n\n", "<html>Sign in</html>"])
def test_an_empty_catalogue_is_refused_and_nobody_is_retired(shop: Shop, text: str) -> None:
    shop.add("mug", "shoe")
    shop.write()
    before = tick(shop)
    shop.catalogue.write_text(text)

    after = tick(shop, before.cursor)

    assert str(shop.catalogue) in after.said
    assert after.cursor == before.cursor, "the next tick looks again"
    with shop.ledger() as ledger:
        assert ledger.catalogues.seen(str(shop.catalogue)).products == {"mug", "shoe"}


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

    assert "catalogue shop database: it did not answer within 0.05 s" in first.said
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


def test_the_sensor_asks_no_server_for_a_photo(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.add("mug")
    shop.catch_up()
    shop.rows["mug"]["image"] = "http://127.0.0.1:9/photo.png"
    shop.write()

    assert tick(shop).observed == [], "it is not known, so its last version stays"


@given(st.text(max_size=40))
def test_no_cursor_at_all_breaks_the_sensor(cursor: str) -> None:
    memory = Memory.from_cursor(cursor)
    assert memory is None or isinstance(memory.at, float)


@given(st.none() | st.text(max_size=5), st.floats(0, 1e9), st.booleans())
def test_a_memory_comes_back_from_the_cursor(version: str | None, at: float, more: bool) -> None:
    memory = Memory(version, at, more)
    assert Memory.from_cursor(memory.to_cursor()) == memory
    assert memory.is_enough(version, now=at) is not more
    assert not memory.is_enough(f"{version}+", now=at)
    assert not memory.is_enough(version, now=at + LOOK_AGAIN_SECONDS + 1)
    assert not memory.is_enough(version, now=at - 1 - at * 1e-9), "the clock was set back"
