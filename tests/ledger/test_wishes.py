"""When a held order is due: at its time, and at once when a clock was set back since."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topview_pipeline.ledger import HeldReason, Order, OrderState, due_at, wait_until

NOW = 1_800_000_000.0
DAY = 86_400.0
_VALUES: dict[str, Any] = dict.fromkeys(Order.__dataclass_fields__)
_ORDER = Order(
    **{
        **_VALUES,
        "state": OrderState.OPEN,
        "held_reason": HeldReason.RETRY,
        "updated_at": NOW,
        "held_until": NOW + 600.0,
    }
)


@pytest.mark.parametrize(
    ("now", "due"),
    [
        (NOW, NOW + 600.0),
        (NOW + 599.0, NOW + 600.0),
        (NOW + DAY, NOW + 600.0),
        # The machine that held it was half a minute ahead: not every skew is a clock set back.
        (NOW - 30.0, NOW + 600.0),
        (NOW - 601.0, NOW - 601.0),
        (NOW - DAY, NOW - DAY),
    ],
)
def test_a_hold_is_due_at_its_time_and_at_once_after_a_clock_was_set_back(
    now: float, due: float
) -> None:
    assert due_at(_ORDER, now) == due


def test_what_waits_for_a_person_is_never_due_by_itself() -> None:
    assert due_at(replace(_ORDER, held_until=None), NOW) is None


def test_what_is_not_held_is_due() -> None:
    assert due_at(replace(_ORDER, held_reason=None, held_until=None), NOW) == NOW


@given(agreed=st.floats(-10.0, 1e6), since=st.floats(0.0, 2e9), now=st.floats(0.0, 2e9))
def test_no_wait_is_ever_longer_than_twice_what_was_agreed(
    agreed: float, since: float, now: float
) -> None:
    until = since + agreed
    left = wait_until(until, since=since, now=now) - now
    assert left <= 2 * max(until - since, 0.0)
