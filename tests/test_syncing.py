"""When a catalogue is obeyed and when a person is asked first."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topview_pipeline import syncing
from topview_pipeline.catalogue import (
    Catalogue,
    CatalogueHeld,
    CatalogueOvertaken,
    RowProblem,
    parse_catalogue,
)
from topview_pipeline.catalogue.product import Product
from topview_pipeline.ledger import Ledger, Retired, Seen, Wanted
from topview_pipeline.settings import CatalogueDefaults


def product(product_id: str) -> Product:
    cells = dict.fromkeys(Product.__dataclass_fields__)
    return Product(**{**cells, "product_id": product_id, "mode": "lite"})  # type: ignore[arg-type]  # only its id matters


def catalogue(
    products: Iterable[str],
    *,
    bad: Iterable[str | None] = (),
    columns: tuple[str, ...] = ("product_id",),
    unknown: tuple[str, ...] = (),
) -> Catalogue:
    ids = list(products)
    problems = tuple(RowProblem(1, None, product_id, "bad") for product_id in bad)
    return Catalogue(
        source="shop",
        products={product_id: product(product_id) for product_id in ids},
        problems=problems,
        warnings=(),
        columns=columns,
        unknown_columns=unknown,
        sha256=f"{ids}{problems}{columns}{unknown}",
    )


def seen(products: Iterable[str], *columns: str) -> Seen:
    return Seen(frozenset(products), frozenset(columns or ("product_id",)), "before")


@given(before=st.sets(st.integers(0, 40), min_size=1), gone=st.floats(0, 1))
def test_more_than_a_fifth_that_left_needs_a_person(before: set[int], gone: float) -> None:
    ids = sorted(f"p{number}" for number in before)
    left = ids[: round(gone * len(ids))]
    now = catalogue([*ids[len(left) :], "new"])
    is_held = syncing.doubt_of(seen(ids), now) is not None
    assert is_held == (len(left) * 5 > len(ids))


def test_nothing_is_doubted_that_was_never_seen_or_did_not_change() -> None:
    now = catalogue(["a"])
    assert syncing.doubt_of(Seen(frozenset(), frozenset(), None), now) is None
    assert syncing.doubt_of(Seen(frozenset("abc"), frozenset(), now.sha256), now) is None


def test_growing_by_any_number_is_no_doubt() -> None:
    assert syncing.doubt_of(seen("ab"), catalogue(map(str, range(50_000)), bad="ab")) is None


def test_rows_that_went_bad_have_not_left() -> None:
    assert syncing.doubt_of(seen("abcd"), catalogue("a", bad="bcd")) is None


@pytest.mark.parametrize(
    ("columns", "unknown", "is_held"),
    [
        (("product_id",), ("modus",), True),
        (("product_id",), (), False),
        (("product_id", "mode"), ("modus",), False),
        (("product_id", "mode", "script"), (), False),
    ],
)
def test_a_column_lost_while_an_unknown_one_is_there_was_renamed(
    columns: tuple[str, ...], unknown: tuple[str, ...], is_held: bool
) -> None:
    now = catalogue("a", columns=columns, unknown=unknown)
    assert (syncing.doubt_of(seen("a", "product_id", "mode"), now) is not None) is is_held


def test_a_strange_column_that_was_always_there_is_no_new_name_of_a_lost_one() -> None:
    before = replace(seen("a", "product_id", "mode"), unknown_columns=frozenset({"note"}))
    assert syncing.doubt_of(before, catalogue("a", unknown=("note",))) is None
    renamed = syncing.doubt_of(before, catalogue("a", unknown=("note", "modus")))
    assert renamed is not None
    assert "modus is not known" in renamed


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", base_url="https://topview", uid="u")
    yield ledger
    ledger.close()


def order(ledger: Ledger, product_id: str) -> None:
    wanted = [Wanted(product_id, "bgRemovedImage", "new")]
    ledger.orders.place(wanted, run_id="r", root_run_id="r", owner="o")


def test_products_that_a_default_made_good_are_known_and_missed_when_they_leave(
    ledger: Ledger,
) -> None:
    """The rows, and so their hash, are the same before and after the default voice was set."""
    rows = [f"p{number},/{number}.png,a,Hi" for number in range(10)]
    data = "\n".join(["product_id,image,avatar_id,script", *rows, ""]).encode()
    without = parse_catalogue(data, "/c.csv", CatalogueDefaults())
    with_voice = parse_catalogue(data, "/c.csv", CatalogueDefaults(voice_id="v"))
    assert without.sha256 == with_voice.sha256
    syncing.obey(ledger, without)

    syncing.obey(ledger, with_voice)

    assert len(ledger.catalogues.seen("/c.csv").products) == 10
    half = b"\n".join(data.split(b"\n")[:6]) + b"\n"
    with pytest.raises(CatalogueHeld, match="5 of its 10 products are gone"):
        syncing.obey(ledger, parse_catalogue(half, "/c.csv", CatalogueDefaults(voice_id="v")))


def test_a_reading_that_a_newer_one_overtook_retires_nobody(ledger: Ledger) -> None:
    """A sensor read for long; meanwhile a run read the new file, obeyed it, and ordered."""
    syncing.obey(ledger, catalogue("abcdef"))
    old = replace(catalogue("abcdef", columns=("product_id", "image")), begun=time.monotonic() - 25)
    syncing.obey(ledger, catalogue("abcdefn"))
    order(ledger, "n")

    with pytest.raises(CatalogueOvertaken, match="another reading of it was obeyed"):
        syncing.obey(ledger, old)

    assert ledger.catalogues.seen("shop").products == frozenset("abcdefn")
    assert len(ledger.orders.open_orders()) == 1
    again = replace(old, begun=time.monotonic())
    assert syncing.obey(ledger, again) == Retired(("n",), 1), "the next look is the newer one"


def test_half_a_file_that_was_overtaken_is_not_held(ledger: Ledger) -> None:
    syncing.obey(ledger, catalogue("abcd"))
    half = replace(catalogue("a"), begun=time.monotonic() - 25)
    with pytest.raises(CatalogueOvertaken):
        syncing.obey(ledger, half)
    assert ledger.catalogues.held() == ()


def test_the_same_reading_twice_at_once_is_no_quarrel(ledger: Ledger) -> None:
    both = replace(catalogue("abc"), begun=time.monotonic() - 25)
    syncing.obey(ledger, both)
    assert syncing.obey(ledger, both) == Retired((), 0)


def test_what_is_held_is_written_down_until_it_is_obeyed(ledger: Ledger) -> None:
    syncing.obey(ledger, catalogue("abcd"))
    with pytest.raises(CatalogueHeld):
        syncing.obey(ledger, catalogue("a"))
    (held,) = ledger.catalogues.held()
    assert (held.name, "3 of its 4 products are gone" in held.why) == ("shop", True)

    syncing.obey(ledger, catalogue("abcd"))

    assert ledger.catalogues.held() == (), "it is as it was"


def test_a_catalogue_under_another_name_is_a_stranger_once(ledger: Ledger) -> None:
    first, moved = catalogue("abcd"), replace(catalogue("abcd"), source="elsewhere")
    assert syncing.strangers(ledger, first) == ()
    syncing.obey(ledger, first)
    assert syncing.strangers(ledger, first) == ()
    assert syncing.strangers(ledger, moved) == ("shop",)
    syncing.obey(ledger, moved)
    assert syncing.strangers(ledger, moved) == ()


def test_a_catalogue_that_gets_a_name_is_still_the_one_at_its_place(ledger: Ledger) -> None:
    at = replace(catalogue("abcd"), source="/srv/1/c.csv", location_name="/srv/1/c.csv")
    syncing.obey(ledger, at)
    ledger.recipes.remember(at.source, {"versions": {}})
    named = replace(catalogue("ab"), source="spring", location_name="/srv/1/c.csv")
    with pytest.raises(CatalogueHeld, match="2 of its 4"):
        syncing.check(ledger, named)

    syncing.obey(ledger, replace(at, source="spring"))

    assert ledger.catalogues.names() == ("spring",)
    assert ledger.recipes.last("spring") == {"versions": {}}
    moved = replace(catalogue("ab"), source="spring", location_name="/srv/2/c.csv")
    with pytest.raises(CatalogueHeld, match="2 of its 4"):
        syncing.obey(ledger, moved)


def test_a_catalogue_that_gets_its_old_name_back_leaves_none_behind(ledger: Ledger) -> None:
    """It moved, was taken for another one, and then somebody read the sentence that says so."""
    syncing.obey(ledger, replace(catalogue("abcd"), source="/1", location_name="/1"))
    syncing.obey(ledger, replace(catalogue("abcd"), source="/2", location_name="/2"))

    syncing.obey(ledger, replace(catalogue("abcd"), source="/1", location_name="/2"))

    assert ledger.catalogues.names() == ("/1",)
    order(ledger, "a")
    without = replace(catalogue("bcdefghi"), source="/1", location_name="/2")
    ledger.catalogues.accept(without.sha256, who="ann")
    assert syncing.obey(ledger, without) == Retired(("a",), 1), "no other catalogue keeps it"


def test_a_named_catalogue_leaves_alone_what_comes_to_its_place_later(ledger: Ledger) -> None:
    """Two containers, each with a file of its own at one path, and one has a name."""
    place = "/data/c.csv"
    unnamed = replace(catalogue("abcd"), source=place, location_name=place)
    named = replace(catalogue("abcde"), source="spring", location_name=place)
    syncing.obey(ledger, unnamed)
    syncing.obey(ledger, named)
    assert ledger.catalogues.names() == ("spring",), "the first that is met there is its own past"
    for ids in ("abcde", "abcdef"):
        syncing.obey(ledger, unnamed)
        syncing.obey(ledger, replace(catalogue(ids), source="spring", location_name=place))
        assert ledger.catalogues.names() == (place, "spring")
    assert ledger.catalogues.seen(place).products == frozenset("abcd")


def test_what_is_held_changes_nothing_until_it_is_accepted(ledger: Ledger) -> None:
    syncing.obey(ledger, catalogue("abcd"))
    half = catalogue("ab")
    with pytest.raises(CatalogueHeld, match="2 of its 4 products are gone, such as c, d"):
        syncing.obey(ledger, half)
    assert ledger.catalogues.seen("shop").products == frozenset("abcd")

    syncing.accept(ledger, half.sha256, who="ann")

    assert syncing.obey(ledger, half).products == ("c", "d")
    assert syncing.obey(ledger, half).products == (), "obeyed once"
    with pytest.raises(CatalogueHeld):
        syncing.obey(ledger, catalogue("a"))


def test_while_a_row_cannot_be_told_from_another_nobody_is_retired(ledger: Ledger) -> None:
    syncing.obey(ledger, catalogue("abcdef"))
    assert syncing.obey(ledger, catalogue("abcde", bad=[None])).products == ()
    assert syncing.obey(ledger, catalogue("abcde")).products == ("f",)
