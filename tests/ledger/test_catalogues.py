"""What the ledger knows of catalogues: who left loses its orders, and nobody else does."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.ledger.conftest import Clock, ask, open_at, order
from topview_pipeline.ledger import Ledger, OrderState, Overtaken, Reserved, Retired, TaskState
from topview_pipeline.ledger.schema import task_event


def obey(ledger: Ledger, *products: str, source: str = "shop", sha256: str = "1") -> Retired:
    return ledger.catalogues.obey(source, sha256=sha256, columns=["product_id"], products=products)


def open_products(ledger: Ledger) -> set[str]:
    return {one.product_id for one in ledger.orders.open_orders()}


def test_a_catalogue_is_remembered_as_it_was_last_obeyed(ledger: Ledger) -> None:
    assert ledger.catalogues.seen("shop").sha256 is None
    obey(ledger, "a", "b")
    obey(ledger, "b", "c", sha256="2")
    seen = ledger.catalogues.seen("shop")
    assert sorted(seen.products) == ["b", "c"]
    assert list(seen.columns) == ["product_id"]
    assert seen.sha256 == "2"
    assert ledger.catalogues.seen("other").products == frozenset()


def test_the_open_orders_of_what_left_are_withdrawn_whoever_asks(ledger: Ledger) -> None:
    obey(ledger, "a", "b")
    order(ledger, "a", run="one")
    order(ledger, "a", run="two")
    order(ledger, "a", run="two", stage="finishedVideo")
    order(ledger, "b", run="one")

    assert obey(ledger, "b") == Retired(("a",), 2)
    assert open_products(ledger) == {"b"}
    with ledger._database.read() as connection:
        told = [row for row in connection.execute(task_event.select()) if row.what == "withdrawn"]
    assert [(row.who, row.detail) for row in told] == [
        ("catalogue", {"why": "the product left the catalogue shop"})
    ] * 2


def test_what_was_submitted_stays_and_ends_as_any_other(ledger: Ledger) -> None:
    obey(ledger, "a")
    reserved = ask(ledger, order(ledger, "a"))
    assert isinstance(reserved, Reserved)
    ledger.tasks.accepted(reserved.task.id, "t1", who="me")

    obey(ledger)

    assert ledger.tasks.get(reserved.task.id).state is TaskState.PENDING
    ledger.tasks.succeeded(reserved.task.id, result={}, cost_credits=1.0, who="me")
    ledger.tasks.stored(reserved.task.id, artifacts=[], who="me")
    assert ledger.tasks.last_stored("a", "replacedImages") is not None


def test_an_order_withdrawn_before_the_slot_came_is_never_sent(ledger: Ledger) -> None:
    obey(ledger, "a")
    mine = order(ledger, "a")
    obey(ledger)
    assert not isinstance(ask(ledger, mine), Reserved)


def test_a_bad_row_keeps_its_product_and_a_doubt_keeps_all(ledger: Ledger) -> None:
    obey(ledger, "a", "b")
    order(ledger, "a")
    kept = ledger.catalogues.obey("shop", sha256="2", columns=[], products=["b"], kept=["a"])
    doubt = ledger.catalogues.obey("shop", sha256="3", columns=[], products=["b"], nobody_left=True)
    assert kept == doubt == Retired((), 0)
    assert open_products(ledger) == {"a"}
    assert obey(ledger, "b").products == ("a",)


def test_another_catalogue_of_the_account_keeps_what_it_has(ledger: Ledger) -> None:
    obey(ledger, "a", "b", source="shop one")
    obey(ledger, "a", source="shop two")
    order(ledger, "a")
    order(ledger, "b")

    assert obey(ledger, source="shop one") == Retired(("a", "b"), 1)
    assert open_products(ledger) == {"a"}


def test_thousands_that_leave_at_once_are_one_act(ledger: Ledger) -> None:
    products = [f"p{number}" for number in range(3000)]
    obey(ledger, *products)
    for product in products[:3]:
        order(ledger, product)
    assert obey(ledger).orders == 3
    assert obey(ledger) == Retired((), 0)


def test_an_accepted_change_is_remembered_by_its_hash(ledger: Ledger) -> None:
    assert not ledger.catalogues.is_accepted("1")
    ledger.catalogues.accept("1", who="ann")
    ledger.catalogues.accept("1", who="bob")
    assert ledger.catalogues.is_accepted("1")
    assert not ledger.catalogues.is_accepted("2")


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None
)
@given(steps=st.lists(st.frozensets(st.sampled_from("abcde")), max_size=6))
def test_open_orders_are_always_of_products_in_the_catalogue(
    ledger: Ledger, steps: list[frozenset[str]]
) -> None:
    for wanted in steps:
        obey(ledger, *wanted)
        for product in wanted:
            order(ledger, product)
        assert open_products(ledger) == wanted
        states = {one.state for one in ledger.orders.open_orders()}
        assert states <= {OrderState.OPEN}


def test_what_only_another_catalogue_has_is_another_deployments(ledger: Ledger) -> None:
    obey(ledger, "a", "b", source="theirs")
    obey(ledger, "b", "c")
    assert ledger.catalogues.of_others("shop", ["a", "b", "c", "d"]) == {"a"}
    assert ledger.catalogues.of_others("theirs", ["a", "b", "c", "d"]) == {"c"}
    assert ledger.catalogues.of_others("shop", []) == set()


def test_of_two_readings_the_one_that_began_before_the_others_end_is_refused(
    ledger_url: str, clock: Clock
) -> None:
    ledger = open_at(ledger_url, clock)

    def read(sha256: str, *, seconds_ago: float) -> None:
        ledger.catalogues.obey(
            "shop", sha256=sha256, columns=[], products=["a"], read_seconds_ago=seconds_ago
        )

    read("1", seconds_ago=0.0)
    clock.now += 10.0
    with pytest.raises(Overtaken, match="another reading"):
        read("2", seconds_ago=10.5)
    read("1", seconds_ago=10.5)
    clock.now += 10.0
    read("2", seconds_ago=9.5)
    clock.now -= 3600.0
    read("3", seconds_ago=1.0)
    seen = ledger.catalogues.seen("shop")
    assert (seen.sha256, seen.seconds_ago) == ("3", 0.0), "a clock set back keeps nobody waiting"
    ledger.close()


def test_only_a_catalogue_that_was_once_obeyed_is_held(ledger: Ledger) -> None:
    ledger.catalogues.hold("shop", "it is empty")
    assert ledger.catalogues.held() == ()
    obey(ledger, "a")
    ledger.catalogues.hold("shop", "it is empty")
    (held,) = ledger.catalogues.held()
    assert (held.name, held.why) == ("shop", "it is empty")
    assert ledger.catalogues.seen("shop").held == "it is empty"
    obey(ledger, "a")
    assert ledger.catalogues.held() == ()
