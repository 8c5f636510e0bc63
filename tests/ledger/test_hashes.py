"""The hashes of files that were read before."""

import pytest

from tests.ledger.conftest import Clock, open_at
from topview_pipeline.ledger import Ledger


def test_the_last_mark_and_hash_of_a_file_are_known_to_all(
    ledger: Ledger, ledger_url: str, clock: Clock
) -> None:
    ledger.hashes.put_many({"/a.png": ("10 1", "aa"), "/b.png": ("20 2", "bb")})
    ledger.hashes.put_many({"/a.png": ("11 3", "cc")})
    ledger.hashes.put_many({})
    other = open_at(ledger_url, clock, uid="another account")
    known = other.hashes.get_many(["/a.png", "/b.png", "/never read.png"])
    assert known == {"/a.png": ("11 3", "cc"), "/b.png": ("20 2", "bb")}
    assert other.hashes.get_many([]) == {}
    other.close()


def test_a_name_of_any_length_and_of_any_bytes_is_known(ledger: Ledger) -> None:
    names = ["/" + "x" * 5_000, "/caf\udce9.png"]
    ledger.hashes.put_many(dict.fromkeys(names, ("1", "aa")))
    assert set(ledger.hashes.get_many(names)) == set(names)


def test_thousands_of_files_are_a_few_statements(ledger: Ledger) -> None:
    hashes = {f"/{number}.png": (str(number), "aa") for number in range(3_000)}
    ledger.hashes.put_many(hashes)
    assert ledger.hashes.get_many(hashes) == hashes


def test_signed_addresses_do_not_fill_the_ledger(
    ledger: Ledger, ledger_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("topview_pipeline.ledger.known_files.MOST_ROWS", 2)
    for day in range(4):
        clock.now += 86_400.0
        nightly = open_at(ledger_url, clock)
        nightly.hashes.put_many({f"url {day}": ("tag", "aa")})
        nightly.close()
    assert sorted(ledger.hashes.get_many([f"url {day}" for day in range(4)])) == ["url 2", "url 3"]


def test_what_was_asked_for_lately_is_known_by_the_ledgers_clock(
    ledger: Ledger, clock: Clock
) -> None:
    ledger.hashes.put_many({"old": ("1", "aa")})
    clock.now += 100.0
    ledger.hashes.put_many({"new": ("1", "bb")})
    assert ledger.hashes.learnt_within(50.0, ["old", "new", "never"]) == {"new"}
