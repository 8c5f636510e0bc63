"""Every row of the decision table."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topview_pipeline.ledger import Task, TaskState
from topview_pipeline.ledger.states import LIVE
from topview_pipeline.producer.decision import Action, Circumstances, decide

NOW = 1_800_000_000.0
ME, ALIVE, DEAD = "me", "alive", "dead"


def row(state: TaskState, **changes: Any) -> Task:
    """A task row, reserved ten seconds ago by a producer that died since."""
    values: dict[str, Any] = dict.fromkeys(Task.__dataclass_fields__)
    values |= {
        "id": 1,
        "stage": "replacedImages",
        "attempt": 1,
        "state": state,
        "run_id": "run before",
        "owner": DEAD,
        "reserved_at": NOW - 10.0,
        "deadline_at": NOW + 1190.0,
        "retryable": True,
    }
    return Task(**values | changes)


def here(**changes: Any) -> Circumstances:
    """An explicit run's circumstances, for a paid stage."""
    values: dict[str, Any] = {
        "now": NOW,
        "me": ME,
        "run_id": "this run",
        "explicit": True,
        "free": False,
        "submit_seconds": 150.0,
        "is_alive": lambda owner: owner in (ME, ALIVE),
        "is_stored": lambda _: True,
    }
    return Circumstances(**values | changes)


SENSOR = {"explicit": False}
GONE = {"is_stored": lambda _: False}
FREE = {"free": True}
LATE = {"deadline_at": NOW - 1.0}


@pytest.mark.parametrize(
    ("state", "of_row", "of_here", "action"),
    [
        (TaskState.STORED, {}, {}, Action.REUSE),
        (TaskState.STORED, {}, GONE, Action.DOWNLOAD),
        (TaskState.SUCCEEDED, {}, {}, Action.DOWNLOAD),
        (TaskState.SUCCEEDED, {"owner": None}, {}, Action.DOWNLOAD),
        (TaskState.SUCCEEDED, {"owner": ALIVE}, {}, Action.WATCH),
        (TaskState.PENDING, {}, {}, Action.FOLLOW),
        (TaskState.PENDING, {"owner": None}, {}, Action.FOLLOW),
        (TaskState.PENDING, {"owner": ME}, {}, Action.FOLLOW),
        (TaskState.PENDING, {"owner": ALIVE}, {}, Action.WATCH),
        (TaskState.STALLED, {}, {}, Action.HOLD_STALLED),
        (TaskState.STALLED, {"last_query_at": NOW - 3599.0}, {}, Action.HOLD_STALLED),
        (TaskState.STALLED, {"last_query_at": NOW - 3600.0}, {}, Action.ASK),
        (TaskState.RESERVED, {"owner": ALIVE}, {}, Action.WATCH),
        (TaskState.RESERVED, {"owner": ME}, {}, Action.WATCH),
        (TaskState.RESERVED, {}, {}, Action.TO_UNKNOWN),
        (TaskState.RESERVED, {"owner": None}, {}, Action.TO_UNKNOWN),
        (TaskState.RESERVED, {"owner": ALIVE, "reserved_at": NOW - 151}, {}, Action.TO_UNKNOWN),
        (TaskState.UNKNOWN, {}, {}, Action.HOLD_UNKNOWN),
        (TaskState.UNKNOWN, LATE, {}, Action.HOLD_UNKNOWN),
        (TaskState.UNKNOWN, {}, FREE, Action.HOLD_UNKNOWN),
        (TaskState.UNKNOWN, LATE, FREE, Action.RELEASE),
        (TaskState.EXPIRED, {}, {}, Action.HOLD_EXPIRED),
        (TaskState.EXPIRED, {}, FREE, Action.SUBMIT),
        (TaskState.FAILED, {}, {}, Action.SUBMIT),
        (TaskState.FAILED, {"not_before": NOW + 9}, {}, Action.SUBMIT),
        (TaskState.FAILED, {"not_before": NOW + 9}, SENSOR, Action.HOLD_RETRY),
        (TaskState.FAILED, {"not_before": NOW + 9, "run_id": "this run"}, {}, Action.HOLD_RETRY),
        (TaskState.FAILED, {"not_before": NOW - 9}, SENSOR, Action.SUBMIT),
        (TaskState.FAILED, {"retryable": False}, {}, Action.REFUSED),
        (TaskState.FAILED, {"retryable": False}, SENSOR, Action.REFUSED),
        (TaskState.RELEASED, {}, {}, Action.SUBMIT),
        (TaskState.SUPERSEDED, {}, {}, Action.SUBMIT),
    ],
)
def test_one_row_decides(
    state: TaskState, of_row: dict[str, Any], of_here: dict[str, Any], action: Action
) -> None:
    assert decide([row(state, **of_row)], here(**of_here)).action is action


def test_without_rows_it_is_sent_for_the_first_time() -> None:
    decision = decide([], here())
    assert (decision.action, decision.attempt, decision.task) == (Action.SUBMIT, 1, None)


def _failures(*runs: str) -> list[Task]:
    return [
        row(TaskState.FAILED, id=n, attempt=n, run_id=run) for n, run in enumerate(runs, start=1)
    ]


@pytest.mark.parametrize(
    ("runs", "explicit", "action"),
    [
        (["x", "x"], False, Action.SUBMIT),
        (["x", "x", "x"], False, Action.USED_UP),
        (["x", "x", "x"], True, Action.SUBMIT),
        (["x", "x", "x", "this run"], True, Action.USED_UP),
        (["this run", "this run"], True, Action.SUBMIT),
        (["this run", "this run", "this run"], True, Action.USED_UP),
        (["x"] * 9, True, Action.SUBMIT),
    ],
)
def test_three_attempts_by_itself_and_one_more_for_each_explicit_run(
    runs: list[str], explicit: bool, action: Action
) -> None:
    decision = decide(_failures(*runs), here(explicit=explicit))
    assert decision.action is action
    if action is Action.SUBMIT:
        assert decision.attempt == len(runs) + 1


def test_a_retry_does_not_wait_a_day_for_a_clock_that_was_set_back() -> None:
    wait = {"reserved_at": NOW - 10.0, "not_before": NOW + 50.0}
    failed = row(TaskState.FAILED, **wait)
    held = decide([failed], here(explicit=False))
    assert (held.action, held.until) == (Action.HOLD_RETRY, NOW + 50.0)
    assert decide([failed], here(explicit=False, now=NOW - 86_400.0)).action is Action.SUBMIT


def test_a_scene_that_died_is_made_anew_but_not_twice_by_one_run() -> None:
    first, again = (
        row(TaskState.SUPERSEDED, id=n, run_id=run) for n, run in ((7, "this run"), (8, "this run"))
    )
    assert decide([first], here()).action is Action.SUBMIT
    assert decide([first, again], here()).action is Action.HOLD_DEAD_IMAGE
    assert decide([first, again], here(run_id="another run")).action is Action.SUBMIT


def test_what_failed_before_a_scene_was_made_does_not_count_when_it_is_made_anew() -> None:
    rows = [*_failures("x", "x", "x", "x"), row(TaskState.SUPERSEDED, id=9)]
    decision = decide(rows, here(explicit=False))
    assert (decision.action, decision.attempt) == (Action.SUBMIT, 1)
    refused = row(TaskState.FAILED, id=10, retryable=False)
    assert decide([*rows, refused], here()).action is Action.REFUSED


def test_a_released_row_counts_as_no_attempt() -> None:
    rows = [*_failures("x", "x"), *(row(TaskState.RELEASED, id=n) for n in range(3, 9))]
    decision = decide(rows, here(explicit=False))
    assert (decision.action, decision.attempt) == (Action.SUBMIT, 3)


def test_holds_say_when_to_look_again() -> None:
    stalled = row(TaskState.STALLED, last_query_at=NOW - 600.0)
    assert decide([stalled], here()).until == NOW + 3000.0
    unknown = row(TaskState.UNKNOWN)
    assert decide([unknown], here()).until is None
    assert decide([unknown], here(free=True)).until == unknown.deadline_at


@given(
    ended=st.lists(
        st.sampled_from([state for state in TaskState if state not in LIVE]), max_size=6
    ),
    live=st.sampled_from(sorted(LIVE)),
    explicit=st.booleans(),
    free=st.booleans(),
    owner=st.sampled_from([ME, ALIVE, DEAD, None]),
    age=st.floats(0.0, 1e6),
)
def test_nothing_is_ever_sent_over_a_live_row(
    ended: list[TaskState],
    live: TaskState,
    explicit: bool,
    free: bool,
    owner: str | None,
    age: float,
) -> None:
    rows = [row(state, id=n) for n, state in enumerate(ended)]
    rows.append(row(live, id=99, owner=owner, reserved_at=NOW - age))
    decision = decide(rows, here(explicit=explicit, free=free))
    assert decision.action is not Action.SUBMIT
    assert decision.task is not None
    assert decision.task.id == 99
