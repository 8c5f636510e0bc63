"""The seconds on a materialization are plotted: what is not known is left out, not made up."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from tests.defs.shop import Shop


def plotted(shop: Shop) -> dict[str, Any]:
    """The times of the newest cut-out."""
    event = shop.instance.get_latest_materialization_event(dg.AssetKey("bgRemovedImage"))
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    names = ("queued", "running", "storing")
    found = {name: metadata.get(f"topview/seconds_{name}") for name in names}
    return {name: value.value for name, value in found.items() if value is not None}


def test_a_task_that_was_watched_tells_how_long_it_waited_ran_and_was_stored(shop: Shop) -> None:
    shop.add("mug")
    shop.catch_up(stages=["bgRemovedImage"])
    times = plotted(shop)
    assert set(times) == {"queued", "running", "storing"}
    with shop.ledger() as ledger:
        (row,) = ledger.tasks.all()
    assert times["queued"] == pytest.approx(row.reserved_at - row.queued_at, abs=1e-3)


def test_a_task_that_another_run_brought_home_does_not_tell_how_long_it_ran(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Submitted in the evening by a run that did not wait: it would plot the night."""
    shop.add("mug")
    monkeypatch.setenv("TOPVIEW_WAIT_SECONDS", "0")
    shop.faults(unknown_status=1.0)  # it cannot be seen to end within this run
    shop.catch_up(stages=["bgRemovedImage"])
    shop.faults()
    assert shop.materialized("bgRemovedImage") == set()
    monkeypatch.setenv("TOPVIEW_WAIT_SECONDS", "20")

    assert shop.catch_up(stages=["bgRemovedImage"]).success

    assert set(plotted(shop)) == {"queued"}
