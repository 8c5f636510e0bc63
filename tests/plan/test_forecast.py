"""The sums of a plan: every task counted, no unknown price taken for nothing, time by slots."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topview_pipeline.plan import Forecast, PlannedStage
from topview_pipeline.plan.forecast import forecast
from topview_pipeline.stages import BY_KEY

SECONDS = {"bgRemovedImage": 5.0, "replacedImages": 60.0, "finishedVideo": 120.0}


def chain(product: str, price: float | None = 4.0) -> list[PlannedStage]:
    credits_of = {"bgRemovedImage": 0.0, "replacedImages": 1.0, "finishedVideo": price}
    return [PlannedStage(product, key, "new", cost, True) for key, cost in credits_of.items()]


def coming(planned: list[PlannedStage], slots: int = 4) -> Forecast:
    return forecast(planned, typical=SECONDS.__getitem__, slots=slots)


def test_a_price_that_nobody_knows_is_counted_and_not_added() -> None:
    sums = coming([*chain("a"), *chain("b", None)])
    assert (sums.tasks, sums.credits, sums.unpriced) == (6, 6.0, 1)
    assert [stage.stage for stage in sums.stages] == list(BY_KEY)


@pytest.mark.parametrize(("products", "slots", "seconds"), [(1, 99, 185.0), (40, 4, 1850.0)])
def test_it_takes_as_long_as_one_chain_or_as_the_slots_are_filled(
    products: int, slots: int, seconds: float
) -> None:
    planned = [one for number in range(products) for one in chain(str(number))]
    assert coming(planned, slots).seconds == seconds


@given(
    st.lists(
        st.builds(
            PlannedStage,
            st.sampled_from("abcd"),
            st.sampled_from(list(BY_KEY)),
            st.sampled_from(["new", "photo changed"]),
            st.one_of(st.none(), st.floats(0, 9)),
            st.booleans(),
        ),
        max_size=30,
    ),
    st.integers(1, 6),
)
def test_stages_add_up_to_the_whole(planned: list[PlannedStage], slots: int) -> None:
    sums = coming(planned, slots)
    assert sum(stage.products for stage in sums.stages) == len(planned)
    assert sum(sum(stage.reasons.values()) for stage in sums.stages) == len(planned)
    assert sums.tasks == sum(one.submits for one in planned)
    known = [one.credits for one in planned if one.submits and one.credits is not None]
    assert sums.credits == pytest.approx(sum(known))
    alone = sum(SECONDS[one.stage] for one in planned if one.submits)
    assert alone / slots <= sums.seconds + 1e-9 <= alone + 1e-9
