"""The catalogue in Dagster: what is taken in, what changed, and what the sensor remembers."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.defs.shop import CUT_OUT, FIVE, OUTLINE, PRODUCTS, Patch, Shop
from topview_pipeline.catalogue import Catalogue
from topview_pipeline.defs import catalogue_sync
from topview_pipeline.defs.catalogue_sync import (
    InputChanges,
    accept_catalogue,
    changed_inputs,
    register,
)
from topview_pipeline.defs.sensors import _LOOK_AGAIN_SECONDS, LastLook, read_cursor, written


def read(shop: Shop) -> Catalogue:
    shop.write()
    return shop.topview().catalogue()


# Taking in. What is refused, and how it is accepted, is tested with the jobs.


def test_new_products_become_partitions_in_order(shop: Shop, monkeypatch: Patch) -> None:
    monkeypatch.setattr(catalogue_sync, "_BATCH", 2)
    assert register(shop.instance, OUTLINE, FIVE) == FIVE
    assert shop.instance.get_dynamic_partitions(PRODUCTS) == list(FIVE)
    assert register(shop.instance, OUTLINE, [*FIVE, "hat"]) == ("hat",)


def test_products_that_left_are_retired_once_and_keep_their_partition(shop: Shop) -> None:
    shop.add(*FIVE)
    with shop.ledger() as ledger:
        accept_catalogue(shop.instance, OUTLINE, read(shop), ledger)
        shop.remove("mug")
        shop.rows["bag"]["location"] = "[[2, 2]]"  # a bad row has not left

        assert accept_catalogue(shop.instance, OUTLINE, read(shop), ledger)[1] == ("mug",)
        assert accept_catalogue(shop.instance, OUTLINE, read(shop), ledger)[1] == ()

        shop.rows[""] = shop.rows.pop("cap")  # a row that lost its id may be of anybody
        assert accept_catalogue(shop.instance, OUTLINE, read(shop), ledger)[1] == ()

        assert ledger.catalogue.retired() == {"mug"}
    assert "mug" in shop.instance.get_dynamic_partitions(PRODUCTS)


# Looking for changes.


def look(shop: Shop, **options: Any) -> InputChanges:
    with shop.ledger() as ledger:
        return changed_inputs(shop.instance, shop.topview(), read(shop), ledger, **options)


def test_a_look_finds_what_changed_of_what_was_made_and_names_what_cannot_be_read(
    shop: Shop,
) -> None:
    """A photo that cannot be read keeps its last version; in short time no server is asked."""
    shop.add("mug", "cap", "pen", "shoe")
    shop.catch_up(products=["mug", "cap", "pen"], stages=CUT_OUT)
    for name in ("mug", "shoe"):
        shop.rows[name]["script"] = "Another one."
        shop.rows[name]["image"] = shop.picture(f"new {name}.png", (9, 9, len(name)))
    (shop.folder / "photo2.png").unlink()
    shop.rows["pen"]["image"] = "http://127.0.0.1:1/photo.png"
    asked, not_asked = look(shop), look(shop, is_over=lambda: False)
    for looked in (asked, not_asked):
        assert [pair[:2] for pair in looked.changed] == [("productImage", "mug")]
        assert set(looked.unreadable) == {"cap", "pen"}
        assert "photo2.png: no such file" in looked.unreadable["cap"]
    assert "connect" in asked.unreadable["pen"].lower()
    assert "connect" not in not_asked.unreadable["pen"].lower()
    assert "bgRemovedImage" not in shop.stale("cap")


def test_a_look_that_was_cut_short_goes_on_where_it_stopped(shop: Shop) -> None:
    """Else ticks that are too short for all files would never come to the last."""
    shop.add("mug", "bag")
    shop.catch_up()
    for row in shop.rows.values():
        row["script"] = "Another one."
    found: list[str] = []
    looked = InputChanges(is_whole=False)
    while not looked.is_whole:
        times = iter([False, False])  # enough for two pairs of stage and product
        looked = look(shop, start=looked.place, is_over=lambda times=times: next(times, True))
        found += [product for _, product, _ in looked.changed]
    assert sorted(found) == ["bag", "mug"]


# The sensor's cursor.


@settings(max_examples=30)
@example('{"version": "1", "at": "x", "is_more": false}')
@given(st.none() | st.text(max_size=40))
def test_no_cursor_at_all_breaks_a_sensor(cursor: str | None) -> None:
    found = read_cursor(LastLook, cursor)
    assert found is None or isinstance(found.at, float)


@settings(max_examples=30)
@given(
    st.builds(
        LastLook,
        st.none() | st.text(max_size=5),
        st.floats(0, 1e9),
        st.booleans(),
        st.integers(0, 1000),
        st.none() | st.text(max_size=5),
    )
)
def test_a_cursor_comes_back_and_knows_when_to_look_again(cursor: LastLook) -> None:
    version, at = cursor.version, cursor.at
    assert read_cursor(LastLook, written(cursor)) == cursor
    assert cursor.is_enough(version, now=at) is not cursor.is_more
    assert not cursor.is_enough(f"{version}+", now=at)
    assert not cursor.is_enough(version, now=at + _LOOK_AGAIN_SECONDS + 1)
    assert not cursor.is_enough(version, now=at - 1 - at * 1e-9), "the clock was set back"
    assert cursor.place_in(version) == (cursor.place if cursor.is_more else 0)
    assert cursor.place_in(f"{version}+") == 0


def test_a_look_that_failed_is_made_up_for_though_the_version_is_the_known_one() -> None:
    cursor = LastLook("1", 7.0, is_more=False, place=3).interrupted("no answer")
    assert not cursor.is_enough("1", now=8.0)
    assert (cursor.place_in("1"), cursor.trouble) == (0, "no answer")
    assert LastLook("1", 7.0, is_more=True, place=3).interrupted("no answer").place_in("1") == 3
