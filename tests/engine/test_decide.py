"""Every row of the decision table, and the generation that a work item stands for."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topview_pipeline.engine.decide import Action, Circumstances, decide, generation_of
from topview_pipeline.ledger import LIVE, Task, TaskState

NOW = 1_800_000_000.0
ME, ALIVE, DEAD = "me", "alive", "dead"
RESERVED, PENDING, SUCCEEDED, STORED, FAILED, UNKNOWN, OVERDUE, VOID, EXPIRED = TaskState


def row(state: TaskState, **changes: Any) -> Task:
    """A task row, reserved ten seconds ago by a worker that died since."""
    values: dict[str, Any] = {
        "id": 1,
        "pipeline": "acme",
        "stage": "replacedImages",
        "product_id": "a",
        "work": "work",
        "generation": 0,
        "fingerprint": "work 0",
        "attempt": 1,
        "state": state,
        "run_id": "run before",
        "root_run_id": "run before",
        "queued_at": NOW - 20.0,
        "reserved_at": NOW - 10.0,
        "deadline_at": NOW + 1190.0,
        "worker": DEAD,
        "retryable": True,
    }
    return Task(**values | changes)


def here(**changes: Any) -> Circumstances:
    """An explicit run's circumstances, for a paid stage."""
    values: dict[str, Any] = {
        "now": NOW,
        "worker": ME,
        "occasion": "this run",
        "explicit": True,
        "free": False,
        "submit_seconds": 150.0,
        "is_alive": lambda worker: worker == ALIVE,
        "has_files": lambda _: True,
    }
    return Circumstances(**values | changes)


SENSOR = {"explicit": False}
GONE = {"has_files": lambda _: False}
FREE = {"free": True}
LATE = {"deadline_at": NOW - 1.0}


@pytest.mark.parametrize(
    ("state", "of_row", "of_here", "action"),
    [
        (STORED, {}, {}, Action.REUSE),
        (STORED, {}, GONE, Action.DOWNLOAD),
        (SUCCEEDED, {}, {}, Action.DOWNLOAD),
        (SUCCEEDED, {"worker": None}, {}, Action.DOWNLOAD),
        (SUCCEEDED, {"worker": ALIVE}, {}, Action.WAIT),
        (PENDING, {}, {}, Action.POLL),
        (PENDING, {"worker": None}, {}, Action.POLL),
        (PENDING, {"worker": ME}, {}, Action.POLL),
        (PENDING, {"worker": ALIVE}, {}, Action.WAIT),
        (OVERDUE, {}, {}, Action.HOLD_OVERDUE),
        (OVERDUE, {"last_query_at": NOW - 3599.0}, {}, Action.HOLD_OVERDUE),
        (OVERDUE, {"last_query_at": NOW - 3600.0}, {}, Action.ASK),
        (OVERDUE, {"last_query_at": NOW + 86_400.0}, {}, Action.ASK),  # the clock was set back
        (RESERVED, {"worker": ALIVE}, {}, Action.WAIT),
        (RESERVED, {"worker": ME}, {}, Action.WAIT),
        (RESERVED, {}, {}, Action.LOST),
        (RESERVED, {"worker": None}, {}, Action.LOST),
        (RESERVED, {"worker": ALIVE, "reserved_at": NOW - 151.0}, {}, Action.LOST),
        (UNKNOWN, {}, {}, Action.HOLD_UNKNOWN),
        (UNKNOWN, LATE, {}, Action.HOLD_UNKNOWN),
        (UNKNOWN, {}, FREE, Action.HOLD_UNKNOWN),
        (UNKNOWN, LATE, FREE, Action.VOID),
        (EXPIRED, {}, {}, Action.HOLD_EXPIRED),
        (EXPIRED, {}, FREE, Action.SUBMIT),
        (FAILED, {}, {}, Action.SUBMIT),
        (FAILED, {"not_before": NOW + 9.0}, {}, Action.SUBMIT),
        (FAILED, {"not_before": NOW + 9.0}, SENSOR, Action.HOLD_RETRY),
        (FAILED, {"not_before": NOW + 9.0, "run_id": "this run"}, {}, Action.HOLD_RETRY),
        (FAILED, {"not_before": NOW - 9.0}, SENSOR, Action.SUBMIT),
        (FAILED, {"retryable": False}, {}, Action.REJECTED),
        (FAILED, {"retryable": False}, SENSOR, Action.REJECTED),
        (VOID, {}, {}, Action.SUBMIT),
    ],
)
def test_one_row_decides(
    state: TaskState, of_row: dict[str, Any], of_here: dict[str, Any], action: Action
) -> None:
    assert decide([row(state, **of_row)], here(**of_here)).action is action


def _failures(*runs: str) -> list[Task]:
    return [
        row(FAILED, id=number, attempt=number, run_id=run) for number, run in enumerate(runs, 1)
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
def test_three_attempts_by_itself_and_one_more_a_run(
    runs: list[str], explicit: bool, action: Action
) -> None:
    decision = decide(_failures(*runs), here(explicit=explicit))
    assert decision.action is action
    if action is Action.SUBMIT:
        assert decision.attempt == len(runs) + 1


def test_a_void_row_counts_as_no_attempt() -> None:
    rows = [*_failures("x", "x"), *(row(VOID, id=number) for number in range(3, 9))]
    decision = decide(rows, here(explicit=False))
    assert (decision.action, decision.attempt) == (Action.SUBMIT, 3)


def test_a_retry_does_not_wait_a_day_for_a_clock_that_was_set_back() -> None:
    failed = row(FAILED, reserved_at=NOW - 10.0, not_before=NOW + 50.0)
    held = decide([failed], here(explicit=False))
    assert (held.action, held.until) == (Action.HOLD_RETRY, NOW + 50.0)
    assert decide([failed], here(explicit=False, now=NOW - 86_400.0)).action is Action.SUBMIT


def test_holds_say_when_to_look_again() -> None:
    assert decide([row(OVERDUE, last_query_at=NOW - 600.0)], here()).until == NOW + 3000.0
    unknown = row(UNKNOWN)
    assert decide([unknown], here()).until is None
    assert decide([unknown], here(free=True)).until == unknown.deadline_at


@given(
    ended=st.lists(
        st.sampled_from([state for state in TaskState if state not in LIVE]), max_size=6
    ),
    live=st.sampled_from(sorted(LIVE)),
    explicit=st.booleans(),
    free=st.booleans(),
    worker=st.sampled_from([ME, ALIVE, DEAD, None]),
    age=st.floats(0.0, 1e6),
)
def test_nothing_is_ever_sent_over_a_live_row(
    ended: list[TaskState],
    live: TaskState,
    explicit: bool,
    free: bool,
    worker: str | None,
    age: float,
) -> None:
    rows = [row(state, id=number) for number, state in enumerate(ended)]
    rows.append(row(live, id=99, worker=worker, reserved_at=NOW - age))
    decision = decide(rows, here(explicit=explicit, free=free))
    assert decision.action is not Action.SUBMIT
    assert decision.row is not None
    assert decision.row.id == 99


@pytest.mark.parametrize(
    ("rows", "plain", "forced"),
    [
        ([], 0, 0),
        ([(STORED, 0, "x")], 0, 1),
        ([(STORED, 0, "x"), (STORED, 1, "y")], 1, 2),
        ([(STORED, 0, "x"), (FAILED, 1, "y")], 0, 2),  # what is there counts
        ([(FAILED, 0, "x"), (FAILED, 1, "y")], 1, 2),
        ([(FAILED, 0, "x")], 0, 1),
        ([(STORED, 0, "x"), (VOID, 1, "y")], 0, 1),  # nothing was made of it
        ([(VOID, 0, "x")], 0, 0),
        # The same root run again, as Dagster executes it after a crash: what it made counts.
        ([(STORED, 0, "x"), (STORED, 1, "root")], 1, 1),
        ([(STORED, 0, "x"), (FAILED, 1, "root")], 0, 1),
        ([(STORED, 0, "x"), (VOID, 1, "root")], 0, 1),
        ([(STORED, 0, "x"), (STORED, 1, "root"), (STORED, 2, "y")], 2, 1),
    ],
)
def test_force_takes_the_next_generation_once_for_a_root_run(
    rows: list[tuple[TaskState, int, str]], plain: int, forced: int
) -> None:
    tasks = [row(state, generation=number, root_run_id=root) for state, number, root in rows]
    for force, expected in ((False, plain), (True, forced)):
        found = generation_of(tasks, "a", pipeline="acme", force=force, root_run_id="root")
        assert found == expected


@pytest.mark.parametrize(
    ("rows", "last_made", "expected"),
    [
        ([(STORED, "a"), (STORED, "b")], None, 0),  # its own, of which Dagster has no event yet
        ([(STORED, "b"), (STORED, "b")], 0, 0),  # another product paid for what it has
        ([(STORED, "b"), (STORED, "b")], None, 1),  # it has nothing yet
        ([(STORED, "a"), (STORED, "b")], 1, 1),  # its own was forgotten, it took the next
        ([(FAILED, "a"), (STORED, "b")], None, 1),
        ([(EXPIRED, "a"), (STORED, "b"), (STORED, "b")], 0, 2),
        ([(STORED, "a"), (STORED, "other/a")], None, 0),  # its namesake was forced
        ([(STORED, "other/a"), (STORED, "other/a")], 0, 0),
    ],
)
def test_a_product_keeps_the_generation_it_has_of_shared_work(
    rows: list[tuple[TaskState, str]], last_made: int | None, expected: int
) -> None:
    """Another's force, or a result that Topview forgot, must not cost it a new video."""
    tasks = [
        row(
            state,
            id=number,
            generation=number,
            product_id=of.removeprefix("other/"),
            pipeline="other" if of.startswith("other/") else "acme",
        )
        for number, (state, of) in enumerate(rows)
    ]
    found = generation_of(
        tasks,
        "a",
        pipeline="acme",
        force=False,
        root_run_id="root",
        last_made=last_made,
    )
    assert found == expected
