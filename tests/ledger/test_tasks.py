"""The state machine, and the questions that engine, sensor and plan ask about the rows."""

from __future__ import annotations

import pytest

from tests.ledger.conftest import (
    MOVES,
    STAGE,
    VIDEO,
    Clock,
    bring,
    open_at,
    record_of,
    reserve,
    row_in,
)
from topview_pipeline.ledger import LIVE, IllegalMove, Ledger, LedgerError, Task, TaskState
from topview_pipeline.ledger import MOVES as TABLE

HOUR = 3600.0

ALLOWED = {
    (TaskState.RESERVED, "accepted"): TaskState.PENDING,
    (TaskState.RESERVED, "unknown"): TaskState.UNKNOWN,
    (TaskState.RESERVED, "failed"): TaskState.FAILED,
    (TaskState.RESERVED, "void"): TaskState.VOID,
    (TaskState.PENDING, "succeeded"): TaskState.SUCCEEDED,
    (TaskState.PENDING, "failed"): TaskState.FAILED,
    (TaskState.PENDING, "overdue"): TaskState.OVERDUE,
    (TaskState.SUCCEEDED, "stored"): TaskState.STORED,
    (TaskState.SUCCEEDED, "expired"): TaskState.EXPIRED,
    (TaskState.STORED, "file_gone"): TaskState.SUCCEEDED,
    (TaskState.UNKNOWN, "accepted"): TaskState.PENDING,
    (TaskState.UNKNOWN, "void"): TaskState.VOID,
    (TaskState.OVERDUE, "succeeded"): TaskState.SUCCEEDED,
    (TaskState.OVERDUE, "failed"): TaskState.FAILED,
    (TaskState.OVERDUE, "expired"): TaskState.EXPIRED,
    (TaskState.OVERDUE, "void"): TaskState.VOID,
}
"""The design's table of states, as moves."""


def test_the_moves_of_these_tests_are_the_ledgers_table() -> None:
    made = {(state, to) for (state, _), to in ALLOWED.items()}
    assert made == {(state, to) for state, targets in TABLE.items() for to in targets}


@pytest.mark.parametrize("state", TaskState)
def test_every_move_of_the_table_and_no_other(ledger: Ledger, state: TaskState) -> None:
    for name, move in MOVES.items():
        row = row_in(ledger, state, f"for {name}")
        to = ALLOWED.get((state, name))
        events = ledger.history.events(row.id)
        if to is None:
            with pytest.raises(IllegalMove, match=f"^task row {row.id}: it is {state.value} and c"):
                move(ledger, row.id)
            assert ledger.tasks.get(row.id) == row
            assert ledger.history.events(row.id) == events
            continue
        moved = move(ledger, row.id)
        assert moved.state is to
        assert moved == ledger.tasks.get(row.id)
        (event,) = ledger.history.events(row.id)[len(events) :]
        assert (event.what, event.who, event.detail["from"]) == (to.value, "me", state.value)


def test_a_row_keeps_what_each_move_says(ledger: Ledger, clock: Clock) -> None:
    row = reserve(ledger, estimate=3.0, seconds=7.5, mode="pro", credit_limit=50.0)
    assert (row.reserved_at, row.deadline_at) == (clock.now, clock.now + 1200.0)
    assert (row.request, row.inputs) == ({"text": "words"}, {"productScene": "version"})
    assert (row.seconds, row.mode, row.credit_limit, row.worker) == (7.5, "pro", 50.0, "me")
    clock.now += 1
    pending = MOVES["accepted"](ledger, row.id)
    assert (pending.topview_task_id, pending.pending_at) == (f"topview-{row.id}", clock.now)
    clock.now += 1
    done = MOVES["succeeded"](ledger, row.id)
    assert (done.succeeded_at, done.booked_at) == (clock.now, clock.now)
    assert (done.result, done.cost_credits) == ({"url": "x"}, 2.0)
    clock.now += 1
    stored = MOVES["stored"](ledger, row.id)
    assert (stored.stored_at, stored.artifacts) == (clock.now, [{"name": "x"}])
    assert stored.worker == "me", "it is in work until Dagster has the event"
    ledger.tasks.measured(row.id, {"sharp": False})
    assert ledger.tasks.get(row.id).quality == {"sharp": False}
    ledger.tasks.reported(row.id, "a", who="me", quality={"sharp": True})
    assert ledger.tasks.get(row.id).quality == {"sharp": True}
    MOVES["file_gone"](ledger, row.id)
    assert MOVES["stored"](ledger, row.id).quality is None, "the new file was not measured"


def test_a_failed_row_says_what_may_follow(ledger: Ledger, clock: Clock) -> None:
    row = row_in(ledger, TaskState.PENDING)
    failed = ledger.tasks.failed(
        row.id, code="3", message="busy", retryable=True, not_before=clock.now + 30, who="me"
    )
    assert (failed.error_code, failed.error_message) == ("3", "busy")
    assert (failed.retryable, failed.not_before) == (True, clock.now + 30)
    assert (failed.closed_at, failed.worker) == (clock.now, None)


def test_a_topview_task_belongs_to_one_row(ledger: Ledger) -> None:
    one, other = reserve(ledger, "a"), reserve(ledger, "b")
    ledger.tasks.accepted(one.id, "task-1", who="me")
    with pytest.raises(IllegalMove, match=f"Topview task task-1: row {one.id} has that already"):
        ledger.tasks.accepted(other.id, "task-1", who="me")
    assert ledger.tasks.get(other.id).state is TaskState.RESERVED


def test_an_answer_that_comes_after_all_goes_to_the_worker_that_waited(
    ledger: Ledger, clock: Clock
) -> None:
    """Another worker took this one for dead, while its machine slept between POST and answer."""
    row = row_in(ledger, TaskState.UNKNOWN)
    clock.now += 9 * HOUR
    late = MOVES["accepted"](ledger, row.id)
    assert (late.worker, late.deadline_at) == ("me", clock.now + 1200.0)
    assert late.error_message is None


def test_rows_of_another_account_are_not_seen_and_not_moved(ledger: Ledger, other: Ledger) -> None:
    row = row_in(ledger, TaskState.UNKNOWN)
    ledger.uploads.remember("hash", "file-1", format="png")
    for touch in (MOVES["void"], MOVES["accepted"], lambda _, n: other.tasks.adopt(n, worker="x")):
        with pytest.raises(LedgerError, match=f"task row {row.id}: .*no such row"):
            touch(other, row.id)
    assert other.tasks.to_decide(row.work, "a", None).rows == other.unknowns.rows() == []
    assert other.tasks.slots_taken() == 0
    assert other.uploads.find("hash") is None
    assert not other.has_tasks()
    assert ledger.tasks.get(row.id) == row


# Workers and their rows.


def test_a_row_of_a_living_worker_is_not_adopted(ledger: Ledger) -> None:
    row = row_in(ledger, TaskState.PENDING)
    assert ledger.tasks.adopt(row.id, worker="other") is None
    assert ledger.tasks.adopt(row.id, worker="me") == row
    assert ledger.tasks.get(row.id) == row


@pytest.mark.parametrize("leave", ["die", "end", "let go"])
def test_a_row_without_a_living_worker_is_adopted_once(
    ledger: Ledger, clock: Clock, leave: str
) -> None:
    row = row_in(ledger, TaskState.PENDING)
    if leave == "die":
        clock.now += 31.0
    elif leave == "end":
        ledger.workers.end("me")
    else:
        ledger.tasks.release(row.id, worker="me")
    for worker in ("second", "third"):
        ledger.workers.start(worker, run_id="later")
    adopted = ledger.tasks.adopt(row.id, worker="second")
    assert adopted is not None
    assert adopted.worker == "second"
    assert ledger.tasks.adopt(row.id, worker="third") is None
    event = ledger.history.events(row.id)[-1]
    assert (event.what, event.who) == ("adopted", "second")
    assert event.detail == {"from": "me" if leave == "die" else None}


@pytest.mark.parametrize("state", [TaskState.RESERVED, TaskState.UNKNOWN, TaskState.FAILED])
def test_what_has_nothing_to_follow_is_returned_as_it_is(ledger: Ledger, state: TaskState) -> None:
    row = row_in(ledger, state)
    ledger.workers.end("me")
    found = ledger.tasks.adopt(row.id, worker="other")
    assert found is not None
    assert (found.state, found.worker) == (state, None)


def test_orphans_are_what_must_be_brought_home_the_most_urgent_first(
    ledger: Ledger, clock: Clock
) -> None:
    rows: dict[str, Task] = {}
    for state in TaskState:
        rows[state.value] = row_in(ledger, state, state.value)
    clock.now -= 60.0
    rows["earlier"] = row_in(ledger, TaskState.STORED, "earlier")
    clock.now += 60.0
    rows["reported"] = row_in(ledger, TaskState.STORED, "reported")
    ledger.tasks.reported(rows["reported"].id, "reported", who="me")
    assert ledger.orphans.all() == [], "their worker is alive"

    ledger.workers.end("me")
    ledger.workers.start("living", run_id="other")
    MOVES["accepted"](ledger, reserve(ledger, "another's", worker="living").id)
    names = {row.id: name for name, row in rows.items()}
    found = [names[row.id] for row in ledger.orphans.all()]
    assert found == ["earlier", "succeeded", "stored", "pending"]


@pytest.mark.parametrize(("later", "is_due"), [(HOUR - 1, False), (HOUR, True), (-HOUR - 1, True)])
def test_an_overdue_task_is_asked_about_hourly_also_when_the_clock_was_set_back(
    ledger: Ledger, clock: Clock, later: float, is_due: bool
) -> None:
    row = row_in(ledger, TaskState.OVERDUE)
    clock.now += 100.0
    ledger.tasks.queried(row.id)
    clock.now += later
    assert [one.id for one in ledger.orphans.all()] == ([row.id] if is_due else [])


@pytest.mark.parametrize(
    ("seconds", "beats", "is_lost"),
    [(0.0, True, False), (60.0, True, False), (61.0, True, True), (31.0, False, True)],
)
def test_a_reservation_is_lost_when_its_submit_cannot_be_under_way(
    ledger: Ledger, clock: Clock, seconds: float, beats: bool, is_lost: bool
) -> None:
    row = reserve(ledger)
    clock.now += seconds
    if beats:
        ledger.workers.beat("me")
    assert ledger.orphans.lost(submit_seconds=60.0) == ([row] if is_lost else [])


def fail(ledger: Ledger, times: int = 1, *, not_before: float | None = None) -> Task:
    for attempt in range(1, times + 1):
        row = reserve(ledger, attempt=attempt)
        row = ledger.tasks.failed(
            row.id, code=None, message="no", retryable=True, not_before=not_before, who="me"
        )
    return row


@pytest.mark.parametrize(
    ("failures", "later", "then", "is_due"),
    [
        (1, 59.0, None, False),
        (1, 60.0, None, True),
        (2, 60.0, None, True),
        (3, 60.0, None, False),  # a person is asked
        (1, 60.0 + 86_401.0, None, False),  # a day too late: the next plan knows better
        (1, -59.0, None, False),  # it may be another machine's clock
        (1, -61.0, None, True),  # the clock was set back: it would wait for ever
        (1, 60.0, TaskState.PENDING, False),
        (1, 60.0, TaskState.VOID, True),  # nothing came of the second attempt
    ],
)
def test_a_failed_task_is_due_again_when_its_time_has_come(
    ledger: Ledger,
    clock: Clock,
    failures: int,
    later: float,
    then: TaskState | None,
    is_due: bool,
) -> None:
    row = fail(ledger, failures, not_before=clock.now + 60.0)
    if then is not None:
        bring(ledger, reserve(ledger, attempt=2), then)
    clock.now += later
    assert ledger.orphans.retries_due() == ([row] if is_due else [])


def test_what_topview_refused_is_never_due(ledger: Ledger) -> None:
    row = row_in(ledger, TaskState.PENDING)
    ledger.tasks.failed(
        row.id, code="4000", message="bad", retryable=False, not_before=None, who="me"
    )
    assert ledger.orphans.retries_due() == []


# Reports to Dagster.


def made(ledger: Ledger, work: str, *products: str, stage: str = STAGE) -> Task:
    """A stored row, reported for some products; the first one paid."""
    row = row_in(ledger, TaskState.STORED, products[0], work=work, stage=stage)
    for product in products:
        ledger.tasks.reported(row.id, product, who="me")
    return ledger.tasks.get(row.id)


def test_a_reported_row_is_no_longer_in_work(ledger: Ledger, clock: Clock) -> None:
    row = made(ledger, "w", "a")
    assert (row.reported_at, row.worker) == (clock.now, None)
    clock.now += 60.0
    ledger.tasks.reported(row.id, "b", who="me")
    assert ledger.tasks.get(row.id) == row, "the first time counts"


def test_a_product_stands_on_the_row_last_reported_for_it(ledger: Ledger) -> None:
    """Its inputs went from A to B and back to A: the newest row is not the one that counts."""
    first = made(ledger, "A", "a")
    second = made(ledger, "B", "a")
    assert ledger.tasks.last_made("a", STAGE) == second
    ledger.tasks.reported(first.id, "a", who="me")
    assert ledger.tasks.last_made("a", STAGE) == first


def test_two_products_stand_on_one_row_that_one_of_them_paid(ledger: Ledger) -> None:
    shared = made(ledger, "same photo", "payer", "other")
    video = made(ledger, "video", "other", stage=VIDEO)
    assert ledger.tasks.last_made("other", STAGE) == shared
    assert ledger.tasks.last_made("payer", STAGE) == shared
    assert ledger.tasks.last_made("other", VIDEO) == video
    assert ledger.tasks.last_made("payer", VIDEO) is None


def test_a_row_whose_file_is_gone_counts_until_it_is_out_of_reach(ledger: Ledger) -> None:
    former, row = made(ledger, "former", "a"), made(ledger, "w", "a")
    gone = MOVES["file_gone"](ledger, row.id)
    assert ledger.tasks.last_made("a", STAGE) == gone
    MOVES["expired"](ledger, row.id)
    assert ledger.tasks.last_made("a", STAGE) == former


def test_what_has_led_to_no_result_is_known_by_product_and_stage(ledger: Ledger) -> None:
    made(ledger, "A", "a")
    failed = row_in(ledger, TaskState.FAILED, "a", work="B")
    row_in(ledger, TaskState.VOID, "a", work="B")
    row_in(ledger, TaskState.FAILED, "b", work="C")
    again = row_in(ledger, TaskState.PENDING, "b", work="C", attempt=2)
    video = row_in(ledger, TaskState.OVERDUE, "a", stage=VIDEO, work="V")
    assert ledger.tasks.unmade() == [failed, again, video]


def test_a_result_reported_since_makes_up_for_an_attempt(ledger: Ledger) -> None:
    """Its inputs went from A to B, where it failed, and back to A: nothing is wrong any more."""
    first = made(ledger, "A", "a", "b")
    failed = row_in(ledger, TaskState.FAILED, "a", work="B")
    ledger.tasks.reported(first.id, "b", who="me")
    assert ledger.tasks.unmade() == [failed], "b's report says nothing of a"
    ledger.tasks.reported(first.id, "a", who="me")
    assert ledger.tasks.unmade() == []


def test_at_a_glance_is_what_the_rows_say_one_by_one(ledger: Ledger) -> None:
    made(ledger, "A", "a")
    made(ledger, "B", "a", "b")
    made(ledger, "video", "a", stage=VIDEO)
    fail(ledger)
    reserve(ledger, generation=1, work="A")
    rows = [row for state in TaskState for row in ledger.tasks.in_state([state])]
    glances = ledger.tasks.glances(results_of=[STAGE])
    assert {glance.id for of_work in glances.values() for glance in of_work} == {
        row.id for row in rows
    }
    for row in rows:
        (glance,) = (one for one in glances[row.work] if one.id == row.id)
        for name in glance._fields:
            expected = getattr(row, name)
            if name == "inputs":
                expected = {}
            if name == "result" and row.stage != STAGE:
                expected = None
            assert getattr(glance, name) == expected, name
    last = ledger.tasks.last_made_all(results_of=[VIDEO])
    assert set(last) == {("a", STAGE), ("b", STAGE), ("a", VIDEO)}
    assert ledger.tasks.last_made_ids() == {key: glance.id for key, glance in last.items()}
    for (product, stage), glance in last.items():
        same = ledger.tasks.last_made(product, stage)
        assert same is not None
        assert (glance.id, glance.inputs) == (same.id, same.inputs)
        assert glance.result == (same.result if stage == VIDEO else None)


# Healing from the store.


def test_a_result_that_only_the_store_knows_becomes_a_row_free(
    ledger: Ledger, ledger_url: str, clock: Clock
) -> None:
    row = row_in(ledger, TaskState.STORED, estimate=3.0)
    clock.now += 60.0
    empty = open_at(ledger_url, clock, uid="an account without a row")
    healed = empty.tasks.heal(record_of(row))
    assert record_of(healed) == record_of(row)
    assert (healed.state, healed.booked_at) == (TaskState.STORED, row.succeeded_at)
    assert empty.tasks.get(healed.id) == healed
    assert [event.what for event in empty.history.events(healed.id)] == ["healed"]
    assert empty.tasks.heal(record_of(row)) == healed, "only once"
    assert empty.orphans.all() == [healed], "the next worker reports it"
    empty.close()


@pytest.mark.parametrize("state", sorted(LIVE))
def test_a_live_row_stays_as_it_is_whatever_the_store_has(ledger: Ledger, state: TaskState) -> None:
    row = row_in(ledger, state)
    assert ledger.tasks.heal(record_of(row)) == row


def test_a_row_let_go_by_somebody_else_stays(ledger: Ledger) -> None:
    row = row_in(ledger, TaskState.PENDING)
    ledger.tasks.release(row.id, worker="other")
    assert ledger.tasks.get(row.id).worker == "me"
