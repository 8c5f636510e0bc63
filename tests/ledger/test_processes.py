"""Several real processes over one ledger: what holds between them, on SQLite and on PostgreSQL."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any, TypeVar

import pytest

from tests.ledger.conftest import ask, bring, open_at, reserve, row_in
from topview_pipeline.ledger import (
    AlreadyLive,
    NoSlot,
    OverLimit,
    Reserved,
    Task,
    TaskState,
)
from topview_pipeline.ledger.schema import task

T = TypeVar("T")
PROCESSES = 3
SLOTS = 3
LIMIT = 39.0
"""Credits; a task is expected to cost 2 and costs 2."""

_barrier: Any = None


def _join_crew(barrier: Any) -> None:
    global _barrier
    _barrier = barrier


def _at_once(work: Callable[..., T], *args: Any) -> T:
    """Every process of the crew waits here until all are here, so each takes one piece of work."""
    _barrier.wait(timeout=60)
    return work(*args)


class Crew:
    """Processes that begin the same work at the same moment."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def do(self, work: Callable[..., T], *args: Any) -> list[T]:
        """The result of each process; each is given its number as last argument."""
        begun = [self._pool.submit(partial(_at_once, work, *args, n)) for n in range(PROCESSES)]
        return [one.result(timeout=100) for one in begun]


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(PROCESSES)
    with ProcessPoolExecutor(
        PROCESSES, mp_context=context, initializer=_join_crew, initargs=(barrier,)
    ) as pool:
        yield Crew(pool)


def _make_all(url: str, me: int) -> int:
    """Bring products of my own into the store, whenever a slot is free."""
    ledger = open_at(url)
    waiting = [f"p{me}-{n}" for n in range(6)]
    most = 0
    while waiting:
        # One look is one moment: a count above the slots would have been there.
        answer = ask(ledger, waiting[0], slots=SLOTS, worker=f"worker-{me}")
        most = max(most, ledger.tasks.slots_taken())
        if isinstance(answer, Reserved):
            bring(ledger, answer.task, TaskState.STORED)
            ledger.tasks.reported(answer.task.id, waiting.pop(0), who="me")
        else:
            assert isinstance(answer, NoSlot)
    ledger.close()
    return most


@pytest.mark.slow
def test_slots_are_never_exceeded_and_every_move_is_kept(crew: Crew, ledger_url: str) -> None:
    assert max(crew.do(_make_all, ledger_url)) <= SLOTS
    ledger = open_at(ledger_url)
    rows = ledger.tasks.in_state(tuple(TaskState))
    assert [row.state for row in rows] == [TaskState.STORED] * (6 * PROCESSES)
    assert _most_at_once(rows) <= SLOTS
    assert ledger.budget.today().total == 2.0 * len(rows)
    assert len(ledger.tasks.last_made_all()) == len(rows)
    ledger.close()


def _most_at_once(rows: list[Task]) -> int:
    """By the ledger's own times."""
    began = [(row.reserved_at, 1) for row in rows]
    ended = [(row.succeeded_at or 0.0, -1) for row in rows]
    held, most = 0, 0
    for _, change in sorted(began + ended):
        held += change
        most = max(most, held)
    return most


def _reserve_the_same(url: str, me: int) -> list[str]:
    ledger = open_at(url)
    answers = [ask(ledger, f"p{n}", worker=f"worker-{me}") for n in range(10)]
    ledger.uploads.remember("the same bytes", f"file-{me}", format="png")
    ledger.hashes.put_many({f"/{n}.png": (str(me), "aa") for n in range(20)})
    ledger.close()
    return [type(answer).__name__ for answer in answers]


def test_the_same_work_is_reserved_once_and_the_same_knowledge_is_kept_once(
    crew: Crew, ledger_url: str
) -> None:
    answers = crew.do(_reserve_the_same, ledger_url)
    for of_one_product in zip(*answers, strict=True):
        assert sorted(of_one_product) == [AlreadyLive.__name__] * (PROCESSES - 1) + [
            Reserved.__name__
        ]
    ledger = open_at(ledger_url)
    assert len(ledger.tasks.in_state([TaskState.RESERVED])) == 10
    assert str(ledger.uploads.find("the same bytes")).startswith("file-")
    assert len(ledger.hashes.get_many([f"/{n}.png" for n in range(20)])) == 20
    ledger.close()


def _spend(url: str, of: str, me: int) -> float:
    """Reserve until the limit; what was reserved is booked meanwhile."""
    ledger = open_at(url)
    limit = {"credits_a_day": LIMIT} if of == "day" else {"credit_limit": LIMIT}
    most = 0.0
    for n in range(12):
        answer = ask(ledger, f"p{me}-{n}", estimate=2.0, worker=f"worker-{me}", **limit)
        most = max(most, ledger.budget.today().total)
        if isinstance(answer, Reserved):
            bring(ledger, answer.task, TaskState.STORED)
        else:
            assert isinstance(answer, OverLimit)
    ledger.close()
    return most


@pytest.mark.parametrize("of", ["day", "run"])
def test_a_credit_limit_holds_while_tasks_are_booked(crew: Crew, ledger_url: str, of: str) -> None:
    """A row on its way from expected to booked is in one of the two sums, never in none."""
    assert max(crew.do(_spend, ledger_url, of)) <= LIMIT
    ledger = open_at(ledger_url)
    assert ledger.budget.today().total == LIMIT - 1.0
    ledger.close()


def _adopt(url: str, row_id: int, me: int) -> bool:
    ledger = open_at(url)
    ledger.workers.start(f"worker-{me}", run_id="later")
    taken = ledger.tasks.adopt(row_id, worker=f"worker-{me}")
    ledger.close()
    return taken is not None


def test_one_process_adopts_a_row_that_nobody_works_on(crew: Crew, ledger_url: str) -> None:
    ledger = open_at(ledger_url)
    row = row_in(ledger, TaskState.PENDING)
    assert sorted(crew.do(_adopt, ledger_url, row.id)) == [False] * (PROCESSES - 1) + [True]
    ledger.close()


def _open(url: str, me: int) -> str:
    ledger = open_at(url)
    reserve(ledger, f"new-{me}")
    ledger.close()
    return ledger.account


def test_an_empty_database_opened_by_all_at_once_is_one_ledger(crew: Crew, new_url: str) -> None:
    """SQLite does not wait by itself while another process changes a new file to WAL."""
    assert len(set(crew.do(_open, new_url))) == 1
    ledger = open_at(new_url)
    assert ledger.tasks.slots_taken() == PROCESSES
    ledger.close()


def _hold_the_lock(url: str, pipe: Any) -> None:
    ledger = open_at(url)
    with ledger._database.write(lock=ledger.account) as connection:
        connection.execute(task.update().values(worker="killed"))
        pipe.send("within")
        pipe.recv()  # never comes


def test_a_process_killed_within_a_transaction_keeps_no_lock_and_no_change(
    ledger_url: str,
) -> None:
    ledger = open_at(ledger_url)
    row = reserve(ledger)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_hold_the_lock, args=(ledger_url, theirs))
    process.start()
    assert ours.recv() == "within"
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert bring(ledger, row, TaskState.PENDING).worker == "me"
    ledger.close()
