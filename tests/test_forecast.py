"""What a plan comes to: every task counted, no unknown price taken for nothing, time by slots."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topview_pipeline.forecast import forecast
from topview_pipeline.planning import PlannedOrder, first_products
from topview_pipeline.stages import BY_KEY, STAGES

SECONDS = {"bgRemovedImage": 5.0, "replacedImages": 60.0, "finishedVideo": 120.0}


def chain(product: str, price: float | None = 4.0) -> list[PlannedOrder]:
    return [
        PlannedOrder(product, "bgRemovedImage", "new", 0.0, True),
        PlannedOrder(product, "replacedImages", "bgRemovedImage is made anew", 1.0, True),
        PlannedOrder(product, "finishedVideo", "replacedImages is made anew", price, True),
    ]


def test_a_price_that_nobody_knows_is_counted_and_not_added() -> None:
    coming = forecast([*chain("a"), *chain("b", None)], typical=SECONDS.__getitem__, slots=4)
    assert (coming.tasks, coming.credits, coming.unpriced) == (6, 6.0, 1)
    assert [stage.stage for stage in coming.stages] == list(BY_KEY)


def test_one_product_takes_as_long_as_its_chain_however_many_slots_there_are() -> None:
    assert forecast(chain("a"), typical=SECONDS.__getitem__, slots=99).seconds == 185.0


def test_many_products_take_as_long_as_they_fill_the_slots() -> None:
    orders = [order for number in range(40) for order in chain(str(number))]
    assert forecast(orders, typical=SECONDS.__getitem__, slots=4).seconds == 185.0 * 10


def test_what_is_in_the_store_or_on_its_way_needs_no_task_and_no_slot() -> None:
    order = PlannedOrder("a", "finishedVideo", "pending at Topview", 0.0)
    coming = forecast([order], typical=SECONDS.__getitem__, slots=4)
    assert (coming.tasks, coming.seconds, coming.stages[0].orders) == (0, 0.0, 1)


def test_nothing_to_do_is_a_forecast_of_nothing() -> None:
    coming = forecast([], typical=SECONDS.__getitem__, slots=4)
    assert (coming.tasks, coming.credits, coming.seconds, coming.stages) == (0, 0, 0.0, ())


@given(
    st.lists(
        st.builds(
            PlannedOrder,
            st.sampled_from("abcd"),
            st.sampled_from([stage.key for stage in STAGES]),
            st.sampled_from(["new", "photo changed"]),
            st.one_of(st.none(), st.floats(0, 9)),
            st.booleans(),
        ),
        max_size=30,
    ),
    st.integers(1, 6),
)
def test_stages_add_up_to_the_whole(orders: list[PlannedOrder], slots: int) -> None:
    coming = forecast(orders, typical=SECONDS.__getitem__, slots=slots)
    assert sum(stage.orders for stage in coming.stages) == len(orders)
    assert sum(sum(stage.reasons.values()) for stage in coming.stages) == len(orders)
    assert coming.tasks == sum(order.submits for order in orders)
    known = [order.credits for order in orders if order.submits and order.credits is not None]
    assert coming.credits == pytest.approx(sum(known))
    alone = sum(SECONDS[order.stage] for order in orders if order.submits)
    assert alone / slots <= coming.seconds + 1e-9 <= alone + 1e-9


@pytest.mark.parametrize(("limit", "products"), [(None, "abc"), (1, "a"), (2, "ab"), (9, "abc")])
def test_a_limit_takes_whole_products(limit: int | None, products: str) -> None:
    orders = [order for product in "abc" for order in chain(product)]
    kept = first_products(orders, limit)
    assert [order.product_id for order in kept] == [p for p in products for _ in range(3)]
