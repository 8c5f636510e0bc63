"""An account is an origin and a uid, never the key; and the store that it is linked to."""

import pytest

from tests.ledger.conftest import UID, Clock, reserve
from topview_pipeline.ledger import Ledger, account_id

REAL = "https://api.topview.ai"


@pytest.mark.parametrize(
    "same",
    [
        "https://api.topview.ai/",
        "https://api.topview.ai:443",
        "HTTPS://API.Topview.AI",
        " https://api.topview.ai\n",
    ],
)
def test_other_spellings_of_an_origin_are_the_same_account(same: str) -> None:
    assert account_id(same, UID) == account_id(REAL, f"{UID}\n") == account_id(REAL, UID)


@pytest.mark.parametrize(
    ("base_url", "uid"),
    [
        ("http://api.topview.ai", UID),
        ("https://api.topview.ai:8443", UID),
        ("https://topview.ai", UID),
        ("http://127.0.0.1:8777", UID),
        (REAL, UID.lower()),
    ],
)
def test_another_origin_or_uid_is_another_account(base_url: str, uid: str) -> None:
    assert account_id(base_url, uid) != account_id(REAL, UID)


def test_an_account_keeps_its_id_for_ever(ledger: Ledger) -> None:
    """Results in stores lie under it."""
    assert ledger.account == account_id(REAL, UID) == "fd4325cc530625cc"


def test_the_store_is_remembered_for_each_account(ledger: Ledger, other: Ledger) -> None:
    assert ledger.store_id() is None
    ledger.remember_store("store-1", who="run")
    ledger.remember_store("store-1", who="run")
    ledger.remember_store("store-2", who="ann")
    assert (ledger.store_id(), other.store_id()) == ("store-2", None)


def test_a_person_makes_a_known_store_the_pipelines_too(ledger: Ledger, acme: Ledger) -> None:
    """After a loss another pipeline began: the pair is no news, and this pipeline's is lost."""
    assert not acme.knows_pipeline()
    ledger.remember_store("store-1", who="first run")
    assert (ledger.knows_pipeline(), acme.knows_pipeline()) == (True, False)
    acme.remember_store("store-1", who="ann")
    assert acme.knows_pipeline()


def test_an_empty_ledger_says_so(ledger: Ledger, clock: Clock) -> None:
    assert not ledger.has_tasks()
    reserve(ledger)
    assert ledger.has_tasks()
    assert ledger.now() == clock.now
