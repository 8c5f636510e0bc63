"""The table of moves: each allowed one works, every other is refused and changes nothing."""

from collections.abc import Callable
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ledger.conftest import Clock, open_at, order, pend, reserve
from tests.postgres import Postgres
from topview_pipeline.ledger import CostSeen, IllegalMove, Ledger, Task, TaskState
from topview_pipeline.ledger.states import LIVE, MOVES

Move = Callable[[Ledger, Task], Task]


def _ended(state: TaskState) -> Move:
    return lambda ledger, task: ledger.tasks.ended(task.id, state, why="test", who="me")


ACTS: dict[TaskState, Move] = {
    TaskState.PENDING: pend,
    TaskState.SUCCEEDED: lambda ledger, task: ledger.tasks.succeeded(
        task.id, result={}, cost_credits=1.0, who="me"
    ),
    TaskState.STORED: lambda ledger, task: ledger.tasks.stored(task.id, artifacts=[], who="me"),
    TaskState.FAILED: lambda ledger, task: ledger.tasks.failed(
        task.id, code=None, message="m", retryable=True, not_before=None, who="me"
    ),
    **{
        state: _ended(state)
        for state in (
            TaskState.UNKNOWN,
            TaskState.STALLED,
            TaskState.RELEASED,
            TaskState.EXPIRED,
            TaskState.SUPERSEDED,
        )
    },
}


def _lost(ledger: Ledger, task: Task) -> Task:
    return ledger.tasks.lost_from_store(task.id, detail="gone", who="me")


_WAYS: dict[TaskState, tuple[Move, ...]] = {
    TaskState.RESERVED: (),
    TaskState.PENDING: (pend,),
    TaskState.SUCCEEDED: (pend, ACTS[TaskState.SUCCEEDED]),
    TaskState.STORED: (pend, ACTS[TaskState.SUCCEEDED], ACTS[TaskState.STORED]),
    TaskState.FAILED: (ACTS[TaskState.FAILED],),
    TaskState.UNKNOWN: (ACTS[TaskState.UNKNOWN],),
    TaskState.STALLED: (pend, ACTS[TaskState.STALLED]),
    TaskState.RELEASED: (ACTS[TaskState.RELEASED],),
    TaskState.EXPIRED: (pend, ACTS[TaskState.SUCCEEDED], ACTS[TaskState.EXPIRED]),
    TaskState.SUPERSEDED: (
        pend,
        ACTS[TaskState.SUCCEEDED],
        ACTS[TaskState.STORED],
        ACTS[TaskState.SUPERSEDED],
    ),
}


def _row_in(ledger: Ledger, state: TaskState) -> Task:
    task = reserve(ledger, order(ledger))
    for act in _WAYS[state]:
        act(ledger, task)
    return ledger.tasks.get(task.id)


@pytest.mark.parametrize("state", TaskState)
@pytest.mark.parametrize("to", ACTS)
def test_every_move_of_the_table_and_no_other(
    ledger: Ledger, state: TaskState, to: TaskState
) -> None:
    task = _row_in(ledger, state)
    assert task.state is state
    # Only a lost file leads from the store back to succeeded; a late answer does not.
    if to in MOVES[state] and (state, to) != (TaskState.STORED, TaskState.SUCCEEDED):
        assert ACTS[to](ledger, task).state is to
    else:
        with pytest.raises(IllegalMove, match=f"row {task.id}"):
            ACTS[to](ledger, task)
        assert ledger.tasks.get(task.id) == task


@pytest.mark.parametrize("state", TaskState)
def test_only_a_stored_file_can_be_lost(ledger: Ledger, state: TaskState) -> None:
    task = _row_in(ledger, state)
    if state is TaskState.STORED:
        assert _lost(ledger, task).state is TaskState.SUCCEEDED
    else:
        with pytest.raises(IllegalMove):
            _lost(ledger, task)


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
@settings(
    max_examples=25,
    deadline=None,
)
@given(tried=st.lists(st.sampled_from([*ACTS, None]), max_size=12))
def test_no_sequence_of_moves_makes_a_second_live_row(
    postgres: Postgres, backend: str, tried: list[TaskState | None]
) -> None:
    with TemporaryDirectory() as folder:
        file = f"sqlite:///{folder}/ledger.db"
        ledger = open_at(file if backend == "sqlite" else postgres.emptied(), Clock())
        wanted = order(ledger)
        task = reserve(ledger, wanted)
        for to in tried:
            before = ledger.tasks.get(task.id).state
            if to is None:
                if before not in LIVE:
                    task = reserve(ledger, wanted)
                continue
            try:
                ACTS[to](ledger, task)
            except IllegalMove:
                assert ledger.tasks.get(task.id).state is before
            else:
                assert to in MOVES[before]
            rows = ledger.tasks.of_fingerprint(task.fingerprint)
            assert sum(row.state in LIVE for row in rows) <= 1
        ledger.close()


def test_a_topview_task_belongs_to_one_row(ledger: Ledger) -> None:
    one, other = reserve(ledger, order(ledger, "a")), reserve(ledger, order(ledger, "b"))
    ledger.tasks.accepted(one.id, "task-1", who="me")
    with pytest.raises(IllegalMove, match="another row of the ledger has already"):
        ledger.tasks.accepted(other.id, "task-1", who="me")
    assert ledger.tasks.get(other.id).state is TaskState.RESERVED


def test_a_lost_answer_that_is_found_becomes_pending(ledger: Ledger) -> None:
    task = _row_in(ledger, TaskState.UNKNOWN)
    assert pend(ledger, task).topview_task_id == f"topview-{task.id}"


def test_credits_are_booked_when_topview_tells_them(ledger: Ledger) -> None:
    task = pend(ledger, reserve(ledger, order(ledger)))
    done = ledger.tasks.succeeded(task.id, result={"a": 1}, cost_credits=None, who="me")
    assert (done.cost_credits, done.result) == (None, {"a": 1})
    assert ledger.history.cost_seen("replacedImages", None) == CostSeen(None, None)
