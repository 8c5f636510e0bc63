"""Real Dagster runs beside a lost ledger or a store that is not mounted: refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from tests.defs.shop import Shop, failure_of
from topview_pipeline.artifacts import ArtifactStore
from topview_pipeline.settings import Settings


def _store() -> Path:
    return Path(Settings.from_environment().artifacts)


def _lose_ledger(shop: Shop) -> None:
    for file in (shop.folder / "home").glob("ledger.db*"):
        file.unlink()


def _refused(result: dg.ExecuteInProcessResult) -> str:
    assert not result.success
    said = failure_of(result)
    assert "Traceback" not in said
    return said


@pytest.fixture
def finished(shop: Shop) -> Shop:
    """A shop whose one product is finished."""
    shop.add("mug")
    assert shop.catch_up().success
    return shop


def test_a_lost_ledger_stops_every_kind_of_run_before_anything_is_sent(finished: Shop) -> None:
    accepted = finished.accepted()
    _lose_ledger(finished)
    for result in (finished.catch_up(), finished.materialize("mug")):
        assert "3 results of this account" in _refused(result)
    assert finished.accepted() == accepted
    with finished.ledger() as ledger:
        assert ledger.tasks.all() == []
        assert ledger.orders.open_orders() == []


def test_an_unmounted_store_stops_every_kind_of_run_and_nothing_is_written_there(
    finished: Shop,
) -> None:
    accepted, mount = finished.accepted(), _store()
    mount.rename(mount.with_name("the disk"))
    mount.mkdir()
    with finished.ledger() as ledger:
        rows = ledger.tasks.all()
    finished.rows["mug"]["script"] = "Something else."
    for result in (finished.catch_up(), finished.materialize("mug")):
        assert "Is it mounted" in _refused(result)
    assert list(mount.iterdir()) == []
    assert finished.accepted() == accepted
    with finished.ledger() as ledger:
        assert ledger.tasks.all() == rows
    mount.rmdir()
    mount.with_name("the disk").rename(mount)
    assert finished.catch_up().success


def test_every_run_knows_its_store_by_the_marker(finished: Shop) -> None:
    with finished.ledger() as ledger:
        remembered = ledger.store_link.remembered()
    assert remembered is not None
    assert ArtifactStore(str(_store())).marker.read() == remembered
