"""Products of a large catalogue begin one after another, and none waits for another's trouble."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from tests.defs.shop import Shop, made, troubles_of
from topview_pipeline.catalogue import Product
from topview_pipeline.defs.telling import Teller
from topview_pipeline.ledger import Order
from topview_pipeline.producer import ProducerThread, Work


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the products that began, in order."""
    found: list[str] = []
    put = ProducerThread.put

    def noting(thread: ProducerThread, work: Work) -> None:
        found.append(work.product.product_id)
        put(thread, work)

    monkeypatch.setattr(ProducerThread, "put", noting)
    return found


def living() -> int:
    """Products and orders in memory."""
    gc.collect()
    return sum(type(one) in (Product, Order) for one in gc.get_objects())


def test_what_is_stored_is_told_though_all_before_it_wait_for_a_slot(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add(*(f"p{number}" for number in range(44)))
    first, *_, last = shop.rows
    shop.register()
    assert shop.materialize(last, assets=["bgRemovedImage"]).success
    shop.slots(0)
    monkeypatch.setenv("TOPVIEW_WAIT_SECONDS", "2")

    result = shop.materialize(first, last, assets=["bgRemovedImage"])

    assert made(result) == [("bgRemovedImage", last)]
    assert len(troubles_of(result)) == 43


def test_what_runs_already_is_gone_on_with_first(
    shop: Shop, begun: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is paid for, and thousands of others take minutes to begin."""
    shop.add(*(f"p{number}" for number in range(20)))
    monkeypatch.setenv("TOPVIEW_WAIT_SECONDS", "0.5")
    shop.faults(unknown_status=1.0)
    shop.catch_up(products=["p9"], stages=["bgRemovedImage"])
    shop.faults()
    begun.clear()

    shop.catch_up(stages=["bgRemovedImage"])

    assert begun == ["p9", *(name for name in shop.rows if name != "p9")]


def test_a_run_lets_go_of_what_has_begun_and_ended(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 10,000 products the catalogue and the orders were kept until the last one was told."""
    shop.add(*(f"p{number}" for number in range(24)))
    of_other_tests = living()
    alive: dict[str, int] = {}
    put, tell = ProducerThread.put, Teller.tell

    def beginning(thread: ProducerThread, work: Work) -> None:
        if not alive:
            alive["first begun"] = living() - of_other_tests
        put(thread, work)

    def telling(teller: Teller, *given: Any, **options: Any) -> Iterator[Any]:
        yield from tell(teller, *given, **options)
        if teller._report.made == 24:
            alive["last told"] = living() - of_other_tests

    monkeypatch.setattr(ProducerThread, "put", beginning)
    monkeypatch.setattr(Teller, "tell", telling)
    assert shop.catch_up(stages=["bgRemovedImage"]).success

    assert alive["first begun"] >= 48
    assert alive["last told"] < 12


def test_events_share_what_they_have_in_common(shop: Shop) -> None:
    """Dagster keeps all of a step's events until it ends, those of 10,000 products too."""
    shop.add("mug", "shoe")
    result = shop.catch_up(stages=["bgRemovedImage"])
    one, other = (
        event.step_materialization_data.materialization
        for event in result.all_events
        if event.is_step_materialization
    )
    assert one.asset_key is other.asset_key
    for key in ("topview/reused", "topview/attempt", "topview/credits"):
        assert one.metadata[key] == other.metadata[key]
        assert one.metadata[key] is other.metadata[key]
    assert one.metadata["topview/task_id"] != other.metadata["topview/task_id"]
