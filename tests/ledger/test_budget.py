"""Credit limits, in the reserve transaction: a day's, a run's, and what is on its way."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ledger.conftest import Clock, ask, order, pend, reserve
from topview_pipeline.ledger import (
    HeldReason,
    Ledger,
    Order,
    OverLimit,
    Reserved,
    Task,
    TaskState,
    Wanted,
    midnight_after,
)

DAY = 86_400.0


def limited(ledger: Ledger, product: str, credits_: float | None, run: str = "run") -> Order:
    """What a run with a limit of its own orders."""
    placed = ledger.orders.place(
        [Wanted(product, "replacedImages", "ordered")],
        run_id=run,
        root_run_id=run,
        owner="me",
        credit_limit=credits_,
    )
    return placed.orders[product, "replacedImages"]


def paid(ledger: Ledger, task: Task, credits_: float | None) -> Task:
    pend(ledger, task)
    return ledger.tasks.succeeded(task.id, result={}, cost_credits=credits_, who="me")


def over(answer: Any) -> OverLimit:
    assert isinstance(answer, OverLimit), answer
    return answer


def test_what_does_not_fit_under_the_days_limit_is_refused_until_midnight(
    ledger: Ledger, clock: Clock
) -> None:
    paid(ledger, reserve(ledger, order(ledger, "a"), estimate=6.0, credits_a_day=10.0), 6.0)
    refused = over(ask(ledger, order(ledger, "b"), estimate=5.0, credits_a_day=10.0))
    assert refused.reason is HeldReason.BUDGET
    assert refused.until == midnight_after(clock.now)
    assert refused.estimate == 5.0
    assert "about 5 credits (a test)" in refused.detail
    assert "6 of 10" in refused.detail
    assert isinstance(ask(ledger, order(ledger, "c"), estimate=4.0, credits_a_day=10.0), Reserved)


@pytest.mark.parametrize(
    "state", [TaskState.RESERVED, TaskState.PENDING, TaskState.UNKNOWN, TaskState.STALLED]
)
def test_what_is_or_may_be_on_its_way_counts_with_its_estimate(
    ledger: Ledger, state: TaskState
) -> None:
    row = reserve(ledger, order(ledger, "a"), estimate=6.0)
    if state in (TaskState.PENDING, TaskState.STALLED):
        pend(ledger, row)
    if state in (TaskState.UNKNOWN, TaskState.STALLED):
        ledger.tasks.ended(row.id, state, why="test", who="me")
    over(ask(ledger, order(ledger, "b"), estimate=5.0, credits_a_day=10.0))


def test_a_failed_task_returns_its_estimate(ledger: Ledger) -> None:
    row = pend(ledger, reserve(ledger, order(ledger, "a"), estimate=6.0))
    wanted = order(ledger, "b")
    over(ask(ledger, wanted, estimate=5.0, credits_a_day=10.0))
    ledger.tasks.failed(row.id, code=None, message="no", retryable=True, not_before=None, who="me")
    assert isinstance(ask(ledger, wanted, estimate=5.0, credits_a_day=10.0), Reserved)


def test_what_topview_booked_counts_instead_of_the_estimate(ledger: Ledger) -> None:
    paid(ledger, reserve(ledger, order(ledger, "a"), estimate=9.0), 2.0)
    assert ledger.budget.today().total == 2.0


def test_without_topviews_price_the_estimate_stays_booked(ledger: Ledger) -> None:
    done = paid(ledger, reserve(ledger, order(ledger, "a"), estimate=9.0), None)
    ledger.tasks.stored(done.id, artifacts=[], who="me")
    assert (ledger.budget.today().booked, ledger.budget.today().expected) == (9.0, 0.0)


def test_a_new_utc_day_begins_with_nothing_booked_but_with_what_is_on_its_way(
    ledger: Ledger, clock: Clock
) -> None:
    clock.now = midnight_after(clock.now) - 1
    paid(ledger, reserve(ledger, order(ledger, "a"), estimate=6.0), 6.0)
    reserve(ledger, order(ledger, "b"), estimate=3.0)
    assert ledger.budget.today().total == 9.0
    clock.now += 1
    assert ledger.budget.today().total == 3.0


def test_nothing_that_is_free_is_ever_over_a_limit(ledger: Ledger) -> None:
    wanted = order(ledger, "a", stage="bgRemovedImage")
    assert isinstance(ask(ledger, wanted, estimate=0.0, credits_a_day=0.0), Reserved)


def test_with_a_limit_nothing_is_sent_whose_price_nobody_knows(ledger: Ledger) -> None:
    wanted = order(ledger, "a")
    refused = over(ask(ledger, wanted, estimate=None, mode="pro", credits_a_day=10.0))
    assert "name its price in TOPVIEW_PRICES" in refused.detail
    assert refused.until is not None  # looked at again: somebody may have named it
    assert isinstance(ask(ledger, wanted, estimate=None, mode="pro"), Reserved)


def test_a_runs_own_limit_counts_all_tasks_of_its_orders(ledger: Ledger) -> None:
    paid(ledger, reserve(ledger, limited(ledger, "a", 10.0), estimate=6.0), 6.0)
    refused = over(ask(ledger, limited(ledger, "b", 10.0), estimate=5.0))
    assert (refused.reason, refused.until) == (HeldReason.RUN_LIMIT, None)
    assert ledger.budget.of_run("run") == (6.0, 10.0)


def test_a_run_that_goes_on_with_orders_does_not_lift_their_limit(ledger: Ledger) -> None:
    paid(ledger, reserve(ledger, limited(ledger, "a", 10.0), estimate=6.0), 6.0)
    wanted = limited(ledger, "b", 10.0)
    ledger.orders.give_up("me")
    taken = ledger.orders.place(
        [Wanted("b", "replacedImages", "ordered")],
        run_id="of the sensor",
        root_run_id="of the sensor",
        owner="another",
        only_open=True,
    )
    assert taken.orders["b", "replacedImages"].id == wanted.id
    over(ask(ledger, wanted, estimate=5.0, run_id="of the sensor", owner="another"))


def test_a_new_explicit_run_brings_its_own_limit_or_none(ledger: Ledger) -> None:
    paid(ledger, reserve(ledger, limited(ledger, "a", 10.0), estimate=6.0), 6.0)
    wanted = limited(ledger, "b", 10.0)
    over(ask(ledger, wanted, estimate=5.0))
    limited(ledger, "b", 4.0, run="another")
    over(ask(ledger, wanted, estimate=5.0))
    limited(ledger, "b", None, run="a third")
    assert isinstance(ask(ledger, wanted, estimate=5.0), Reserved)


def test_executing_a_run_again_does_not_begin_its_limit_anew(ledger: Ledger) -> None:
    paid(ledger, reserve(ledger, limited(ledger, "a", 10.0), estimate=6.0), 6.0)
    again = ledger.orders.place(
        [Wanted("b", "replacedImages", "ordered")],
        run_id="again",
        root_run_id="run",
        owner="me",
        credit_limit=10.0,
    ).orders["b", "replacedImages"]
    over(ask(ledger, again, estimate=5.0, run_id="again"))


def test_a_run_of_a_schedule_does_not_lift_the_limit_of_a_person(ledger: Ledger) -> None:
    paid(ledger, reserve(ledger, limited(ledger, "a", 10.0), estimate=6.0), 6.0)
    wanted = limited(ledger, "b", 10.0)
    ledger.orders.place(
        [Wanted("b", "replacedImages", "ordered")],
        run_id="nightly",
        root_run_id="nightly",
        owner="me",
        keep_limits=True,
    )
    over(ask(ledger, wanted, estimate=5.0, run_id="nightly"))


def nightly(
    ledger: Ledger, *stages: str, product: str = "b", limit: float = 10.0, run: str = "nightly"
) -> dict[str, Order]:
    """What a schedule's run with a limit of its own orders of a product, by stage."""
    placed = ledger.orders.place(
        [Wanted(product, stage, "ordered") for stage in stages or ("replacedImages",)],
        run_id=run,
        root_run_id=run,
        owner="me",
        credit_limit=limit,
        keep_limits=True,
    )
    return {stage: order for (_, stage), order in placed.orders.items()}


@pytest.mark.parametrize("persons_limit", [None, 50.0])
def test_a_night_takes_no_order_of_a_person_under_its_own_limit(
    ledger: Ledger, persons_limit: float | None
) -> None:
    paid(ledger, reserve(ledger, nightly(ledger, product="a")["replacedImages"], estimate=6.0), 6.0)
    before = limited(ledger, "b", persons_limit, run="person")
    wanted = nightly(ledger, "replacedImages", "finishedVideo")
    assert wanted["replacedImages"].limit_run_id == before.limit_run_id
    assert wanted["finishedVideo"].limit_run_id == "nightly", "only what is new is the night's"
    assert isinstance(ask(ledger, wanted["replacedImages"], estimate=5.0), Reserved)


def test_what_did_not_fit_under_a_night_is_the_next_nights_with_all_that_waits_for_it(
    ledger: Ledger,
) -> None:
    stages = ("replacedImages", "finishedVideo")
    first = nightly(ledger, *stages, run="monday", limit=1.0)
    refused = over(ask(ledger, first["replacedImages"], estimate=5.0))
    ledger.orders.hold(first["replacedImages"].id, refused.reason, refused.detail)
    ledger.orders.hold(first["finishedVideo"].id, HeldReason.UPSTREAM, "waits for replacedImages")

    second = nightly(ledger, *stages, run="tuesday")

    assert {order.limit_run_id for order in second.values()} == {"tuesday"}
    assert isinstance(ask(ledger, second["replacedImages"], estimate=5.0), Reserved)


def test_the_days_limit_counts_also_for_a_run_with_room_of_its_own(ledger: Ledger) -> None:
    refused = over(ask(ledger, limited(ledger, "a", 100.0), estimate=5.0, credits_a_day=4.0))
    assert refused.reason is HeldReason.BUDGET


def test_a_refusal_for_the_price_takes_no_slot(ledger: Ledger) -> None:
    over(ask(ledger, order(ledger, "a"), estimate=5.0, credits_a_day=4.0))
    assert ledger.tasks.slots_held() == 0


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(0.1, 9.0),
            st.sampled_from(["reserved", "pending", "paid", "failed", "unknown", "released"]),
            st.floats(0.0, 1.0),
        ),
        max_size=25,
    )
)
def test_no_history_of_tasks_ever_goes_over_the_limit(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[float, str, float]]
) -> None:
    """Charges are at most the estimates here: then the limit holds to the credit."""
    from tests.ledger.conftest import open_ledger

    ledger = open_ledger(tmp_path_factory.mktemp("ledger"), Clock())
    spent = 0.0
    for number, (estimate, fate, share) in enumerate(history):
        answer = ask(
            ledger, order(ledger, f"p{number}"), slots=99, estimate=estimate, credits_a_day=20.0
        )
        if isinstance(answer, OverLimit):
            assert spent + estimate > 20.0 - 1e-9
            continue
        assert isinstance(answer, Reserved)
        row = answer.task
        if fate == "paid":
            paid(ledger, row, estimate * share)
            spent += estimate * share
            continue
        if fate == "failed":
            ledger.tasks.failed(
                row.id, code=None, message="no", retryable=False, not_before=None, who="me"
            )
            continue
        if fate == "pending":
            pend(ledger, row)
        if fate in ("unknown", "released"):
            ledger.tasks.ended(row.id, TaskState(fate), why="test", who="me")
        if fate != "released":
            spent += estimate
    assert spent <= 20.0 + 1e-9
    assert ledger.budget.today().total == pytest.approx(spent)
    ledger.close()
