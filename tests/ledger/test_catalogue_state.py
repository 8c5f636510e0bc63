"""A pipeline's catalogue: what it had, what left it, why it is held."""

from __future__ import annotations

import pytest

from tests.ledger.conftest import Clock, open_at
from topview_pipeline.ledger import LIVING_SECONDS, Ledger, NameTaken


def test_what_a_catalogue_no_longer_has_is_retired_until_it_comes_back(ledger: Ledger) -> None:
    catalogue = ledger.catalogue
    assert catalogue.accept(products=["a", "b"]) == set()
    assert catalogue.accept(products=["b", "c"]) == {"a"}
    assert (catalogue.products(), catalogue.retired()) == ({"b", "c"}, {"a"})
    assert catalogue.accept(products=["b", "c"]) == set(), "it left once"
    catalogue.accept(products=["a"])
    assert (catalogue.products(), catalogue.retired()) == ({"a"}, {"b", "c"})


def test_a_row_that_cannot_be_used_keeps_its_product(ledger: Ledger) -> None:
    ledger.catalogue.accept(products=["a", "b"])
    assert ledger.catalogue.accept(products=["b"], kept=["a", "never seen"]) == set()
    assert ledger.catalogue.products() == {"a", "b"}
    assert ledger.catalogue.accept(products=["b"]) == {"a"}


def test_a_catalogue_is_held_until_it_is_accepted(ledger: Ledger, clock: Clock) -> None:
    ledger.catalogue.hold("it is empty")
    assert ledger.catalogue.held() == ("it is empty", clock.now)
    ledger.catalogue.accept(products=["a"])
    assert ledger.catalogue.held() is None
    clock.now += 60.0
    ledger.catalogue.hold("half of it is gone")
    assert ledger.catalogue.held() == ("half of it is gone", clock.now)
    assert ledger.catalogue.products() == {"a"}


def test_pipelines_and_accounts_have_catalogues_of_their_own(
    ledger: Ledger, other: Ledger, acme: Ledger
) -> None:
    ledger.catalogue.accept(products=["a"])
    for of in (acme, other):
        assert of.catalogue.products() == set()
        of.catalogue.accept(products=["b"])
        of.catalogue.hold("it is empty")
    assert (ledger.catalogue.products(), ledger.catalogue.held()) == ({"a"}, None)


def test_a_name_is_the_catalogues_that_a_living_sensor_follows(
    ledger: Ledger, ledger_url: str, clock: Clock
) -> None:
    """A second code location, or a second Dagster, took the name: each would retire the other's."""
    ours, theirs = "s3://shop/acme.csv", "https://ann:secret@shop/zeta.csv?X-Amz-Signature=1"
    second = open_at(ledger_url, clock)
    other_name = open_at(ledger_url, clock, pipeline="zeta")
    ledger.catalogue.check_source(ours)
    ledger.catalogue.tick(theirs)
    for of in (ledger, second):
        of.catalogue.tick(theirs.replace("=1", "=2"))
        of.catalogue.tick(None)
        of.catalogue.tick(theirs)
        for refuse in (of.catalogue.check_source, of.catalogue.tick):
            with pytest.raises(NameTaken) as caught:
                refuse(ours)
        assert "https://shop/zeta.csv" in str(caught.value)
        assert "secret" not in str(caught.value)
    other_name.catalogue.tick(ours)
    clock.now += LIVING_SECONDS + 1.0
    ledger.catalogue.tick(ours)
    with pytest.raises(NameTaken):
        second.catalogue.check_source(theirs)
    assert (ledger.catalogue.held(), ledger.catalogue.products()) == (None, set())
    second.close()
    other_name.close()
