"""The sensor that follows the catalogue: cheap when nothing changed, patient, and never obedient
to half a file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar, Final

import dagster as dg
import pytest

from tests.defs.shop import Shop
from topview_pipeline.defs import catalogue_sensor as module
from topview_pipeline.defs import watching
from topview_pipeline.defs.catalogue_sensor import catalogue_sensor
from topview_pipeline.defs.jobs import SYNC_PRODUCTS
from topview_pipeline.defs.resources import CatalogueResource, LedgerResource


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
        return Tick(result.skip_message or "", [], context.cursor)
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


class _Photo(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        body = _PHOTO
        self.send_response(200)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the test output clean."""


_PHOTO: Final = b"a photo of another mug"


@pytest.fixture
def photo_server() -> Iterator[str]:
    _Photo.asked.clear()
    with HTTPServer(("127.0.0.1", 0), _Photo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_sensor_asks_no_server_for_a_photo(shop: Shop, photo_server: str) -> None:
    shop.add("mug")
    shop.catch_up()
    shop.rows["mug"]["image"] = f"{photo_server}/photo.png"
    shop.write()

    seen = tick(shop)

    assert seen.observed == [], "it is not known, so its last version stays"
    assert "1 products not observed: " in seen.said
    assert _Photo.asked == []
    shop.run_job(SYNC_PRODUCTS)
    assert _Photo.asked == ["/photo.png"], "there was something to ask"


def test_products_that_cannot_be_observed_are_counted_and_the_first_is_named(shop: Shop) -> None:
    shop.add("mug", "shoe")
    shop.catch_up()
    (shop.folder / "photo1.png").unlink()
    (shop.folder / "photo2.png").unlink()
    said = tick(shop).said
    assert "2 products not observed: " in said
    assert "photo1.png: no such file" in said


def test_hashes_that_cannot_be_remembered_keep_no_product_from_its_turn(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add("a", "b", "c")
    shop.catch_up()
    for row in shop.rows.values():
        row["script"] = "New words."
    shop.write()
    (shop.folder / "home" / "hashes.db").unlink()
    (shop.folder / "home" / "hashes.db").mkdir()
    observed: list[str | None] = []
    cursor = None
    for _ in range(5):
        # Time for two of the nine pairs of stage and product in each tick.
        looks = iter([False, False])
        monkeypatch.setattr(
            module,
            "_is_over",
            lambda _ends, looks=looks: next(looks, True),
        )
        seen = tick(shop, cursor)
        cursor = seen.cursor
        observed += [product for _, product in seen.observed]
    assert observed == ["a", "b", "c"]
    assert "more in the next tick" not in seen.said
