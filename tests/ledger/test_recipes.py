"""The recipe that a catalogue was last made by is remembered, each catalogue's for itself."""

from __future__ import annotations

from topview_pipeline.ledger import Ledger


def test_the_newest_recipe_counts_and_each_catalogue_has_its_own(ledger: Ledger) -> None:
    assert ledger.recipes.last("shop") is None
    ledger.recipes.remember("shop", {"versions": {"finishedVideo": "1"}})
    ledger.recipes.remember("shop", {"versions": {"finishedVideo": "2"}})
    ledger.recipes.remember("other shop", {"versions": {}})
    assert ledger.recipes.last("shop") == {"versions": {"finishedVideo": "2"}}
    assert ledger.recipes.last("other shop") == {"versions": {}}


def test_a_catalogue_that_just_got_a_name_is_still_made_by_its_recipe(ledger: Ledger) -> None:
    ledger.recipes.remember("/srv/c.csv", {"versions": {"finishedVideo": "1"}})
    assert ledger.recipes.last("spring", "/srv/c.csv") == {"versions": {"finishedVideo": "1"}}
    ledger.recipes.remember("spring", {"versions": {"finishedVideo": "2"}})
    assert ledger.recipes.last("spring", "/srv/c.csv") == {"versions": {"finishedVideo": "2"}}


def test_obeying_a_catalogue_forgets_no_recipe(ledger: Ledger) -> None:
    ledger.recipes.remember("shop", {"versions": {}})
    ledger.catalogues.obey("shop", sha256="1", columns=["product_id"], products=["a"])
    assert ledger.recipes.last("shop") == {"versions": {}}
