"""An account that Topview refuses: nothing fails, it is said once, and it ends by itself."""

from __future__ import annotations

from typing import Any

import dagster as dg

from tests.defs.shop import ASSETS, Shop
from tests.defs.test_sensors import Daemon, requested
from topview_pipeline.ledger import HeldReason


def paused_marks(shop: Shop) -> list[tuple[str, Any]]:
    """The observations of a pause, on the assets themselves."""
    found = []
    for asset in ASSETS:
        records = shop.instance.fetch_observations(dg.AssetKey(asset), limit=100).records
        found += [
            (asset, record.asset_observation)
            for record in records
            if record.asset_observation is not None
            and "topview/paused_since" in record.asset_observation.metadata
        ]
    return found


def description_of(result: dg.ExecuteInProcessResult) -> str:
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    told = failed.step_failure_data.user_failure_data
    assert told is not None
    return str(told.description)


def test_an_account_without_credits_fails_no_product_and_is_said_once(shop: Shop) -> None:
    shop.add(*(f"p{number}" for number in range(12)))
    shop.credits(0.0)

    first = shop.catch_up()

    text = description_of(first)
    assert "failed" not in text.splitlines()[0]
    assert sum("Credit not enough" in line for line in text.splitlines()) == 1
    assert all(shop.failed(asset) == set() for asset in ASSETS)
    assert sorted(asset for asset, _ in paused_marks(shop)) == sorted(ASSETS)
    (_, mark), *_ = paused_marks(shop)
    assert "Credit not enough" in mark.description

    shop.catch_up()
    assert len(paused_marks(shop)) == len(ASSETS)


def test_it_goes_on_by_itself_when_the_account_has_credits_again(shop: Shop) -> None:
    shop.add("mug", "bag")
    shop.credits(0.0)
    shop.catch_up()
    daemon = Daemon(shop)
    assert isinstance(daemon.tick(), str)

    shop.credits(500.0)
    with shop.ledger() as ledger:
        assert ledger.accounts.end_pause(who="a person")
        reasons = {order.held_reason for order in ledger.orders.open_orders()}
    assert HeldReason.PAUSE not in reasons
    daemon.execute(requested(daemon.tick()))

    assert shop.materialized("finishedVideo") == {"mug", "bag"}
