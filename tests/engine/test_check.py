"""A check measures once; trouble of the machine must not make a good result a bad one for good."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.world import World, product
from topview_pipeline.engine.check import verdict_of
from topview_pipeline.media import Outcome
from topview_pipeline.media.probe import MediaUnreadError
from topview_pipeline.stages import CUT_OUT
from topview_pipeline.store import StoreError


def _outcome(world: World) -> Outcome:
    (row,) = world.rows()
    return verdict_of(CUT_OUT, row, world.ledger, world.store).outcome


@pytest.fixture
def stored(world: World) -> World:
    world.run([product("a")], stages=["bgRemovedImage"])
    return world


def test_a_result_is_measured_once_and_the_verdict_stays_with_its_row(
    stored: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = _outcome(stored)
    monkeypatch.setattr(type(CUT_OUT), "check", None)
    assert _outcome(stored) is outcome


@pytest.mark.parametrize(
    "trouble",
    [
        MediaUnreadError("cannot be read", "cutout.png"),
        StoreError("it does not answer", "store", "Mount it."),
        PermissionError(13, "Permission denied"),
        MemoryError(),
    ],
)
def test_what_could_not_be_read_today_is_measured_tomorrow(
    stored: World, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    def unreadable(*_: object) -> None:
        raise trouble

    with monkeypatch.context() as patch:
        patch.setattr(type(CUT_OUT), "check", unreadable)
        assert _outcome(stored) is Outcome.UNMEASURED
        assert stored.rows()[0].quality is None
    _outcome(stored)
    assert stored.rows()[0].quality is not None


def test_bytes_that_are_no_picture_fail_and_a_file_that_is_gone_does_not(stored: World) -> None:
    (file,) = Path(stored.store.location).rglob("cutout.png")
    whole = file.read_bytes()
    file.unlink()
    assert _outcome(stored) is Outcome.UNMEASURED
    file.write_bytes(b"no picture" + whole[10:])
    assert _outcome(stored) is Outcome.FAILED
