"""Credit limits, in the reserve transaction: a day's, a run's, and what is on its way."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ledger.conftest import Clock, ask, bring, open_ledger, reserve, row_in
from topview_pipeline.ledger import Ledger, OverLimit, Reserved, Task, TaskState
from topview_pipeline.ledger.budget import midnight_after


def paid(ledger: Ledger, task: Task, credits_: float | None) -> Task:
    ledger.tasks.accepted(task.id, f"topview-{task.id}", who="me")
    return ledger.tasks.succeeded(task.id, result={}, cost_credits=credits_, who="me")


def over(answer: Any) -> OverLimit:
    assert isinstance(answer, OverLimit), answer
    return answer


def test_what_does_not_fit_under_the_days_limit_is_refused_until_midnight(
    ledger: Ledger, clock: Clock
) -> None:
    paid(ledger, reserve(ledger, "a", estimate=6.0, credits_a_day=10.0), 6.0)
    refused = over(ask(ledger, "b", estimate=5.0, credits_a_day=10.0, slots=0))
    assert refused.detail == (
        "it would cost about 5 credits (a test), and today 6 of 10 are spent or on their way"
    )
    assert refused == OverLimit("day", refused.detail, midnight_after(clock.now))
    assert isinstance(ask(ledger, "c", estimate=4.0, credits_a_day=10.0), Reserved)


@pytest.mark.parametrize(
    ("state", "spent"),
    [
        (TaskState.RESERVED, 6.0),
        (TaskState.PENDING, 6.0),
        (TaskState.UNKNOWN, 6.0),
        (TaskState.OVERDUE, 6.0),
        (TaskState.SUCCEEDED, 2.0),  # Topview booked 2
        (TaskState.STORED, 2.0),
        (TaskState.EXPIRED, 2.0),
        (TaskState.FAILED, 0.0),  # Topview returns the credits
        (TaskState.VOID, 0.0),
    ],
)
def test_what_is_or_may_be_paid_counts_for_the_day_and_the_run(
    ledger: Ledger, state: TaskState, spent: float
) -> None:
    row_in(ledger, state, "a", estimate=6.0)
    assert ledger.budget.today().total == spent
    fits = 10.0 - spent
    for limit in ({"credits_a_day": 10.0}, {"credit_limit": 10.0}):
        over(ask(ledger, "b", estimate=fits + 0.1, **limit))
    assert isinstance(ask(ledger, "b", estimate=fits, credits_a_day=10.0), Reserved)


def test_without_topviews_price_the_estimate_stays_booked(ledger: Ledger) -> None:
    done = paid(ledger, reserve(ledger, "a", estimate=9.0), None)
    assert (ledger.budget.today().booked, ledger.budget.today().expected) == (9.0, 0.0)
    ledger.tasks.stored(done.id, artifacts=[], who="me")
    ledger.tasks.file_gone(done.id, why="deleted", who="me")
    assert ledger.budget.today().total == 9.0, "a download costs nothing"


def test_a_new_utc_day_begins_with_nothing_booked_but_with_what_is_on_its_way(
    ledger: Ledger, clock: Clock
) -> None:
    clock.now = midnight_after(clock.now) - 1
    paid(ledger, reserve(ledger, "a", estimate=6.0), 6.0)
    reserve(ledger, "b", estimate=3.0)
    assert ledger.budget.today().total == 9.0
    clock.now += 1
    assert ledger.budget.today().total == 3.0
    refused = over(ask(ledger, "c", estimate=1.1, credit_limit=10.0))
    assert "run run 9 of 10" in refused.detail, "a run's limit knows no midnight"


def test_nothing_that_is_free_is_ever_over_a_limit(ledger: Ledger) -> None:
    assert isinstance(ask(ledger, "a", estimate=0.0, credits_a_day=0.0, credit_limit=0.0), Reserved)


@pytest.mark.parametrize(("limit", "of"), [("credits_a_day", "day"), ("credit_limit", "run")])
def test_under_a_limit_nothing_is_sent_whose_price_nobody_knows(
    ledger: Ledger, clock: Clock, limit: str, of: str
) -> None:
    unknown: dict[str, Any] = {"estimate": None, "estimate_source": "nothing says what pro costs"}
    refused = over(ask(ledger, "a", mode="pro", **{limit: 10.0}, **unknown))
    assert refused.of == of
    assert refused.detail == "there is a credit limit, and nothing says what pro costs"
    assert refused.fix == "add the price, or run without a limit"
    assert refused.until == clock.now + 3600.0  # somebody may have named it
    assert isinstance(ask(ledger, estimate=None, mode="pro"), Reserved)


def test_a_limit_that_is_just_the_sum_is_kept_and_not_exceeded(ledger: Ledger) -> None:
    """In binary, 0.1 and 0.2 are more than 0.3."""
    limits = {"credit_limit": 0.3, "credits_a_day": 0.3}
    for estimate in (0.1, 0.2):
        assert isinstance(ask(ledger, f"costs {estimate}", estimate=estimate, **limits), Reserved)
    over(ask(ledger, "more", estimate=0.01, credit_limit=0.3))


def test_a_runs_limit_counts_the_rows_of_its_root_run(ledger: Ledger) -> None:
    paid(ledger, reserve(ledger, "a", estimate=6.0, credit_limit=10.0), 6.0)
    reserve(ledger, "other", run_id="another", estimate=50.0)
    refused = over(ask(ledger, "b", estimate=5.0, credit_limit=10.0))
    assert (refused.of, refused.until) == ("run", None)
    assert "run run 6 of 10" in refused.detail
    again = ask(ledger, "b", run_id="2", root_run_id="run", estimate=5.0, credit_limit=10.0)
    over(again)  # executing the run again does not begin its limit again
    assert isinstance(ask(ledger, "b", estimate=4.0, credit_limit=10.0), Reserved)


def test_the_days_limit_counts_also_for_a_run_with_room_of_its_own(ledger: Ledger) -> None:
    assert over(ask(ledger, estimate=5.0, credits_a_day=4.0, credit_limit=100.0)).of == "day"
    assert ledger.tasks.slots_taken() == 0


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0.1, 9.0), st.sampled_from(TaskState), st.floats(0.0, 1.0)),
        max_size=25,
    )
)
def test_no_history_of_tasks_ever_goes_over_the_limit(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[float, TaskState, float]]
) -> None:
    """Charges are at most the estimates here: then the limit holds to the credit."""
    ledger = open_ledger(tmp_path_factory.mktemp("ledger"), Clock())
    spent = 0.0
    for number, (estimate, fate, share) in enumerate(history):
        answer = ask(ledger, f"p{number}", estimate=estimate, credits_a_day=20.0)
        if isinstance(answer, OverLimit):
            assert spent + estimate > 20.0 - 1e-9
            continue
        assert isinstance(answer, Reserved)
        if fate is TaskState.SUCCEEDED:
            paid(ledger, answer.task, estimate * share)
            spent += estimate * share or estimate  # 0: Topview has not booked it yet
            continue
        row = bring(ledger, answer.task, fate)
        if fate not in (TaskState.FAILED, TaskState.VOID):
            spent += row.cost_credits or estimate
        if row.cost_credits is not None and row.cost_credits > estimate:
            break  # a charge above its estimate: the limit cannot have known
    else:
        assert spent <= 20.0 + 1e-9
    assert ledger.budget.today().total == pytest.approx(spent)
    ledger.close()
