"""Ledger and store: a lost ledger, a store that is not mounted, another one, a new one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.store.conftest import path_of
from topview_pipeline.store import LostLedger, OtherStore, Store, check_identity
from topview_pipeline.store.store import MARKER_NAME


def _never() -> bool:
    raise AssertionError("this decides nothing here, and takes a listing")


def _yes() -> bool:
    return True


_no = bool
KNOWN, NEW = False, True


@pytest.mark.parametrize(
    ("remembered", "found", "is_empty", "is_known", "has_results", "has_made", "expected"),
    [
        pytest.param("a", "a", False, True, _never, _never, KNOWN, id="they know each other"),
        pytest.param("a", "a", True, True, _never, _never, KNOWN, id="a lost ledger was adopted"),
        pytest.param("a", "a", False, False, _never, _no, KNOWN, id="a new pipeline"),
        pytest.param("a", "a", False, False, _never, _yes, LostLedger, id="lost, and begun again"),
        pytest.param("a", "a", True, False, _never, _yes, LostLedger, id="lost, and another began"),
        pytest.param(None, None, True, False, _no, _no, NEW, id="a first run"),
        pytest.param(None, "a", True, False, _no, _no, NEW, id="a second account in a store"),
        pytest.param(
            "a", "b", True, False, _no, _no, NEW, id="another store before the first task"
        ),
        pytest.param(None, "a", True, False, _yes, _never, LostLedger, id="the ledger is lost"),
        pytest.param(
            None, None, True, False, _yes, _never, LostLedger, id="and the marker with it"
        ),
        pytest.param(
            None, None, True, False, _no, _yes, LostLedger, id="ledger and store are lost"
        ),
        pytest.param(
            "a", "b", True, False, _yes, _never, LostLedger, id="a full store, and no task"
        ),
        pytest.param("a", None, False, True, _never, _never, OtherStore, id="not mounted"),
        pytest.param("a", "b", False, True, _never, _never, OtherStore, id="another store"),
        pytest.param(None, "b", False, True, _never, _never, OtherStore, id="tasks from nowhere"),
        pytest.param(None, None, False, True, _never, _never, OtherStore, id="and no marker"),
    ],
)
def test_only_a_ledger_and_a_store_that_belong_together_go_on(
    remembered: str | None,
    found: str | None,
    is_empty: bool,
    is_known: bool,
    has_results: Any,
    has_made: Any,
    expected: bool | type[Exception],
) -> None:
    def check() -> bool:
        return check_identity(
            remembered=remembered,
            found=found,
            ledger_is_empty=is_empty,
            knows_pipeline=is_known,
            has_results=has_results,
            has_materializations=has_made,
            store="/srv/store",
            ledger="sqlite:///ledger.db",
        )

    if isinstance(expected, bool):
        assert check() is expected
        return
    with pytest.raises(expected) as caught:
        check()
    for words in ("/srv/store", "sqlite:///ledger.db", "`topview-pipeline ledger adopt`"):
        assert words in str(caught.value)


def test_an_identity_is_made_once_and_found_again(store: Store) -> None:
    made = store.identity(create=True)
    assert made is not None
    assert len(made) == 32
    assert store.identity(create=True) == made
    assert Store(store.location).identity() == made


def test_looking_at_a_store_that_is_not_mounted_leaves_nothing_there(local: Store) -> None:
    assert local.identity() is None
    assert not local.has_results("acc")
    assert not Path(local.location).exists()


def test_of_two_processes_that_mark_a_store_at_once_one_counts_for_both(
    local: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Store(local.location)
    theirs: list[str | None] = []
    link = os.link

    def link_and_be_late(*given: Any) -> None:
        if not theirs:
            theirs.append(None)
            theirs[:] = [other.identity(create=True)]
        link(*given)

    monkeypatch.setattr(os, "link", link_and_be_late)
    assert [local.identity(create=True)] == theirs


@pytest.mark.parametrize("text", ["", "{", "[]", '{"store_id": 7}', '{"store_id": ""}'])
def test_a_damaged_marker_is_no_marker_and_is_replaced(local: Store, text: str) -> None:
    local.identity(create=True)
    path_of(local, MARKER_NAME).write_text(text)
    fresh = Store(local.location)
    assert fresh.identity() is None
    made = fresh.identity(create=True)
    assert made is not None
    assert fresh.identity() == made
