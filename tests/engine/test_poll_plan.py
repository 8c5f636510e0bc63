"""When a task is queried: never too often, never too late, close around the expected end."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topview_pipeline.engine.poll_plan import PollPlan

_seconds = st.floats(-1e6, 1e7, allow_nan=False)


@given(
    known=st.lists(_seconds, max_size=30),
    shortest=st.floats(0.01, 300.0),
    elapsed=st.floats(-1e6, 1e9),
)
def test_the_delay_is_never_shorter_than_allowed_nor_longer_than_a_minute(
    known: list[float], shortest: float, elapsed: float
) -> None:
    delay = PollPlan(known, shortest=shortest).delay(elapsed)
    assert math.isfinite(delay)
    assert shortest <= delay <= max(shortest, 60.0)


def _queries(plan: PollPlan, *, begin: float, end: float) -> int:
    at, count = 0.0, 0
    while at < end:
        at += plan.delay(at)
        count += begin <= at < end
    return count


@pytest.mark.parametrize("median", [20.0, 60.0, 300.0])
def test_few_queries_early_and_close_ones_around_the_expected_end(median: float) -> None:
    durations = [median * factor for factor in (0.6, 0.8, 0.9, 1.0, 1.1, 1.25, 1.7)]
    plan = PollPlan(durations, shortest=median / 100)
    early = _queries(plan, begin=0.0, end=median / 2)
    around = _queries(plan, begin=median * 0.8, end=median * 1.3)
    assert early <= 3
    assert around >= 3 * max(early, 1)


def test_it_trusts_only_what_it_has_seen_a_few_times() -> None:
    plan = PollPlan([], shortest=3.0)
    assert plan.typical is None
    for _ in range(5):
        plan.learn(100.0)
    assert plan.typical == pytest.approx(100.0)
    assert plan.delay(0.0) > 30.0


@pytest.mark.parametrize("elapsed", [0.2, 0.4, 1.0])
def test_what_outlasts_the_short_ones_of_a_burst_is_not_left_alone(elapsed: float) -> None:
    plan = PollPlan([0.07] * 5, shortest=0.1)
    assert plan.delay(elapsed) == pytest.approx(0.1)


def test_a_clock_that_was_set_back_teaches_nothing() -> None:
    plan = PollPlan([10.0] * 5, shortest=1.0)
    plan.learn(-86400.0)
    plan.learn(0.0)
    assert plan.typical == pytest.approx(10.0)
    assert plan.delay(9.0) < 2.0
