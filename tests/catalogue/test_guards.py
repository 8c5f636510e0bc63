"""Half a file, and a slip in the settings that would make everything again."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topview_pipeline.catalogue import (
    CatalogueError,
    ChangeNotAccepted,
    check_gone,
    check_made_again,
)

IDS = [f"p{number:02}" for number in range(40)]


@given(known=st.integers(0, 40), gone=st.integers(0, 40))
def test_five_or_more_products_gone_and_over_a_fifth_need_a_person(known: int, gone: int) -> None:
    gone = min(gone, known)
    now = [*IDS[gone:known], "new"]
    check_gone(IDS[:known], now, accept_change=True, where="/c.csv")
    is_large = gone >= 5 and gone * 5 > known
    with pytest.raises(ChangeNotAccepted) if is_large else nullcontext():
        check_gone(IDS[:known], now, accept_change=False, where="/c.csv")


@given(made=st.integers(0, 40), again=st.integers(0, 40))
def test_five_or_more_made_again_and_over_a_fifth_need_a_person(made: int, again: int) -> None:
    again = min(again, made)
    is_large = again >= 5 and again * 5 > made
    with pytest.raises(ChangeNotAccepted) if is_large else nullcontext():
        check_made_again(made, IDS[:again], where="/c.csv")


def test_the_refusal_says_how_many_which_and_how_to_go_on() -> None:
    with pytest.raises(CatalogueError) as caught:
        check_gone(IDS, IDS[10:], accept_change=False, where="/c.csv")
    assert str(caught.value) == (
        "catalogue /c.csv: 10 of its 40 products are gone, such as p00, p01, p02. Restore them, or "
        "if the change is intended, run once with accept_change "
        "(`topview-pipeline run --accept-change`)."
    )
    with pytest.raises(CatalogueError) as caught:
        check_made_again(20, IDS[:10], where="/c.csv")
    assert str(caught.value).startswith(
        "catalogue /c.csv: 10 of its 20 products with results would be remade, such as p00, "
        "p01, p02. Undo the change"
    )
    assert caught.value.fix.endswith("(`topview-pipeline run --accept-change`).")
