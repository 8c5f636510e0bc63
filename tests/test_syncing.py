"""When a catalogue is obeyed and when a person is asked first."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topview_pipeline import syncing
from topview_pipeline.catalogue import Catalogue, CatalogueHeld, RowProblem
from topview_pipeline.catalogue.product import Product
from topview_pipeline.ledger import Ledger, Seen


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


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", base_url="https://topview", uid="u")


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
    ledger.close()


def test_while_a_row_cannot_be_told_from_another_nobody_is_retired(ledger: Ledger) -> None:
    syncing.obey(ledger, catalogue("abcdef"))
    assert syncing.obey(ledger, catalogue("abcde", bad=[None])).products == ()
    assert syncing.obey(ledger, catalogue("abcde")).products == ("f",)
    ledger.close()
