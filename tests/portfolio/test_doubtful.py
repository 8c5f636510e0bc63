"""A product whose row cannot be used has not left."""

from __future__ import annotations

from dataclasses import replace

from tests.portfolio.shelf import (
    catalogue_of,
    look,
)
from tests.producer.world import World, product
from topview_pipeline import syncing
from topview_pipeline.artifacts.addresses import at
from topview_pipeline.catalogue import RowProblem
from topview_pipeline.gallery import card_of
from topview_pipeline.portfolio import read_portfolio


def test_a_product_in_a_bad_row_keeps_all_that_was_made_of_it(world: World) -> None:
    mug, shoe = product("mug"), product("shoe")
    world.run([mug, shoe])
    before = look(world, mug)
    slip = RowProblem(3, "mode", "mug", "no such mode")

    good, bad = read_portfolio(catalogue_of(shoe, problems=[slip]), world.ledger)

    assert (good.product_id, good.row_problem) == ("shoe", None)
    assert bad == replace(before, product=None, row_problem=str(slip))
    card = card_of(bad, at("media"), None)
    assert (card.product_id, card.outcome) == ("mug", "failed")
    assert card.video is not None
    assert [(note.head, "no such mode" in note.what) for note in card.notes] == [
        ("Row cannot be used", True)
    ]
    assert "row cannot be used" in card.search.casefold()


def test_while_a_row_cannot_be_told_nobody_who_is_missing_has_left(world: World) -> None:
    shoe = product("shoe")
    both = catalogue_of(product("mug"), shoe)
    syncing.obey(world.ledger, replace(both, sha256="before"))
    nameless = RowProblem(2, "product_id", None, "it is empty")

    found = read_portfolio(catalogue_of(shoe, problems=[nameless]), world.ledger)

    assert [(one.product_id, one.row_problem is None) for one in found] == [
        ("shoe", True),
        ("mug", False),
    ]
    assert str(nameless) in str(found[1].row_problem)


def test_a_product_that_left_is_shown_no_more(world: World) -> None:
    shoe = product("shoe")
    syncing.obey(world.ledger, catalogue_of(product("mug"), shoe))
    found = read_portfolio(catalogue_of(shoe), world.ledger)
    assert [one.product_id for one in found] == ["shoe"]
