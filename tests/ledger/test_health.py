"""Health: nothing that needs a person is passed over, and nothing is asked that nobody can do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ledger.conftest import VIDEO, Clock, bring, reserve, row_in
from topview_pipeline.ledger import Ledger, Task, TaskState
from topview_pipeline.ledger.health import Answer, health

DAY = 86400.0


def ask(ledger: Ledger, credits_a_day: float | None = None) -> dict[str, Answer]:
    """The answers that say that something is not well."""
    return {
        name: answer
        for name, answer in health(ledger, credits_a_day=credits_a_day).items()
        if answer.count
    }


def fail(
    ledger: Ledger, product_id: str, *, retryable: bool = False, attempt: int = 1, **changes: Any
) -> Task:
    row = reserve(ledger, product_id, attempt=attempt, **changes)
    return ledger.tasks.failed(
        row.id, code="1", message="no such file", retryable=retryable, not_before=None, who="me"
    )


def accept(ledger: Ledger, *products: str) -> None:
    ledger.catalogue.accept(products=products)


@pytest.mark.parametrize("state", [TaskState.RESERVED, TaskState.PENDING, TaskState.STORED])
def test_a_day_on_which_all_goes_well_has_nothing_to_say(ledger: Ledger, state: TaskState) -> None:
    row_in(ledger, state)
    row_in(ledger, TaskState.SUCCEEDED, "b")
    row_in(ledger, TaskState.VOID, "c")
    assert ask(ledger) == {}


# Failures.


def test_a_failure_says_what_and_how_to_fix_it_and_counts_by_product(ledger: Ledger) -> None:
    for stage in ("replacedImages", VIDEO):
        fail(ledger, "mug", stage=stage, work=stage)
    fail(ledger, "hat", retryable=True, attempt=3)
    (answer,) = ask(ledger).values()
    assert answer.count == 2
    hat, mug, _ = answer.sample
    assert (hat.product, hat.what) == ("hat", "failed 3 times, last: no such file")
    assert "one more attempt" in hat.fix
    assert (mug.product, mug.stage, mug.what) == ("mug", VIDEO, "no such file")
    assert "only --force sends" in mug.fix
    assert "run the products again" in answer.fix


def test_thousands_of_cases_show_twenty(ledger: Ledger) -> None:
    for number in range(30):
        fail(ledger, f"p{number}")
    found = ask(ledger)["products_failed"]
    assert (found.count, len(found.sample)) == (30, 20)


def test_what_is_tried_again_by_itself_is_no_failure_yet(ledger: Ledger) -> None:
    fail(ledger, "mug", retryable=True, attempt=2)
    assert ask(ledger) == {}


def test_what_left_the_catalogue_is_no_failure_until_it_comes_back(ledger: Ledger) -> None:
    fail(ledger, "mug")
    assert ask(ledger)["products_failed"].count == 1, "before any catalogue was accepted"
    accept(ledger, "hat", "mug")
    accept(ledger, "hat")
    assert ask(ledger) == {}
    accept(ledger, "hat", "mug")
    assert ask(ledger)["products_failed"].count == 1


# Tasks.


@pytest.mark.parametrize(
    ("state", "name", "fix"),
    [
        (TaskState.UNKNOWN, "tasks_unknown", "tasks reconcile"),
        (TaskState.OVERDUE, "tasks_overdue", "tasks void"),
    ],
)
def test_a_task_that_a_person_can_settle_is_named(
    ledger: Ledger, state: TaskState, name: str, fix: str
) -> None:
    row = row_in(ledger, state, "mug")
    ((found, answer),) = ask(ledger).items()
    assert (found, answer.count) == (name, 1)
    assert fix in answer.fix
    (case,) = answer.sample
    assert (case.product, case.task_id) == ("mug", row.topview_task_id or "")
    assert case.what
    assert "tasks void" in case.fix


def test_a_paid_result_that_is_not_brought_home_is_seen_in_time(
    ledger: Ledger, clock: Clock
) -> None:
    """Topview throws it away after seven days."""
    row = row_in(ledger, TaskState.SUCCEEDED, "red mug")
    forgotten = row_in(ledger, TaskState.PENDING, "hat")
    clock.now += 2 * DAY
    assert ask(ledger) == {}
    clock.now += 2 * DAY
    answer = ask(ledger)["results_about_to_expire"]
    case, pending = answer.sample
    assert (case.product, case.task_id) == ("red mug", row.topview_task_id)
    assert (pending.product, pending.task_id) == ("hat", forgotten.topview_task_id)
    assert "nobody has asked" in pending.what
    assert "Topview keeps it until 2027-01-22" in case.what
    assert "pending_task_sensor" in answer.fix

    ledger.tasks.expired(row.id, why="gone", who="me")

    answer = ask(ledger)["results_about_to_expire"]
    case, _ = answer.sample
    assert "run --force --product 'red mug' --stage replacedImages" in case.fix
    assert "force" in answer.fix


def test_an_expired_result_that_was_forced_or_left_the_catalogue_is_history(
    ledger: Ledger,
) -> None:
    accept(ledger, "hat", "mug")
    for product_id in ("hat", "mug"):
        row_in(ledger, TaskState.EXPIRED, product_id)
    bring(ledger, reserve(ledger, "mug", generation=1), TaskState.PENDING)
    assert [one.product for one in ask(ledger)["results_about_to_expire"].sample] == ["hat"]
    accept(ledger, "mug")
    assert ask(ledger) == {}


# The account.


@pytest.mark.parametrize(
    ("limit", "is_used_up"), [(None, False), (5.0, False), (4.0, True), (2.0, True), (0.0, True)]
)
def test_credits_are_used_up_when_the_dearest_task_has_no_room(
    ledger: Ledger, limit: float | None, is_used_up: bool
) -> None:
    """Each product waits as soon as its task does not fit: a limit is hardly ever met exactly."""
    row_in(ledger, TaskState.STORED, estimate=2.5)  # Topview booked 2
    assert ("credits_used_up" in ask(ledger, limit)) == is_used_up
    if is_used_up:
        answer = ask(ledger, limit)["credits_used_up"]
        assert f"2 of today's {limit:g} credits" in answer.sample[0].what
        assert "TOPVIEW_CREDIT_LIMIT" in answer.fix


def test_a_catalogue_that_is_not_accepted_is_named_until_it_is(ledger: Ledger) -> None:
    ledger.catalogue.hold("5 of its 6 products are gone")
    (answer,) = ask(ledger).values()
    assert answer.sample[0].what == "5 of its 6 products are gone"
    assert "--accept-change" in answer.fix
    accept(ledger, "mug")
    assert ask(ledger) == {}
