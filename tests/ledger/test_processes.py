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
import sqlalchemy as sa

from tests.ledger.conftest import ask, open_at, order, pend, reservation, reserve, store
from tests.ledger.test_versions import shape, write_former_ledger
from topview_pipeline.ledger import (
    AlreadyLive,
    NoSlot,
    OverLimit,
    Owner,
    Reserved,
    Task,
    TaskState,
    Wanted,
)
from topview_pipeline.ledger.schema import order_run, orders, task

T = TypeVar("T")
PROCESSES = 4
SLOTS = 3
LIMIT = 40.0
"""Credits a day; a task costs 2."""
STAGE = "replacedImages"

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
        """What each process makes of it; each is given its number as last argument."""
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
    """Bring products of my own from order to store, whenever a slot is free."""
    ledger = open_at(url)
    waiting = [order(ledger, f"p{me}-{n}", run=f"run-{me}") for n in range(6)]
    most = 0
    while waiting:
        # One look is one moment: a count above the slots would have been there.
        answer = ask(ledger, waiting[0], slots=SLOTS, owner=f"owner-{me}")
        most = max(most, ledger.tasks.slots_held())
        if isinstance(answer, Reserved):
            waiting.pop(0)
            store(ledger, answer.task)
        else:
            assert isinstance(answer, NoSlot)
    ledger.close()
    return most


def test_slots_are_never_exceeded_and_every_move_is_kept(crew: Crew, ledger_url: str) -> None:
    assert max(crew.do(_make_all, ledger_url)) <= SLOTS
    ledger = open_at(ledger_url)
    rows = ledger.tasks.all()
    assert [row.state for row in rows] == [TaskState.STORED] * (6 * PROCESSES)
    assert _most_at_once(rows) <= SLOTS
    assert ledger.budget.today().total == 2.0 * len(rows)
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
    wanted = [order(ledger, f"p{n}", run=f"run-{me}") for n in range(10)]
    answers = [ask(ledger, one, slots=100) for one in wanted]
    ledger.close()
    return [type(answer).__name__ for answer in answers]


def test_the_same_work_is_reserved_once(crew: Crew, ledger_url: str) -> None:
    answers = crew.do(_reserve_the_same, ledger_url)
    for of_one_product in zip(*answers, strict=True):
        assert sorted(of_one_product) == [AlreadyLive.__name__] * 3 + [Reserved.__name__]
    ledger = open_at(ledger_url)
    assert len(ledger.tasks.all()) == len(ledger.orders.open_orders()) == 10
    ledger.close()


def _place_and_remember(url: str, me: int) -> list[int]:
    ledger = open_at(url)
    wanted = [Wanted(f"p{n}", STAGE, "ordered") for n in range(20)]
    placed = ledger.orders.place(wanted, run_id=f"run-{me}", root_run_id="root", owner="me")
    ledger.uploads.remember("the same bytes", f"file-{me}", format="png")
    owner = Owner()
    assert ledger.producers.start(owner, run_id=f"run-{me}")
    assert not ledger.producers.start(owner, run_id=f"run-{me}")
    ledger.close()
    return [one.id for one in placed.orders.values()]


def test_runs_that_order_the_same_join_and_each_is_written_down(
    crew: Crew, ledger_url: str
) -> None:
    placed = crew.do(_place_and_remember, ledger_url)
    assert all(one == placed[0] for one in placed)
    ledger = open_at(ledger_url)
    with ledger._database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(order_run)) == 80
        assert connection.scalar(sa.select(sa.func.count()).select_from(orders)) == 20
    assert str(ledger.uploads.find("the same bytes")).startswith("file-")
    ledger.close()


def _spend(url: str, me: int) -> float:
    """Reserve until the limit; what was reserved is booked meanwhile."""
    ledger = open_at(url)
    most = 0.0
    for n in range(12):
        wanted = order(ledger, f"p{me}-{n}", run=f"run-{me}")
        priced = reservation(wanted, estimate=2.0, owner=f"owner-{me}")
        answer = ledger.tasks.reserve(priced, slots=100, credits_a_day=LIMIT)
        most = max(most, ledger.budget.today().total)
        if isinstance(answer, Reserved):
            store(ledger, answer.task)
        else:
            assert isinstance(answer, OverLimit)
    ledger.close()
    return most


def test_a_credit_limit_holds_while_tasks_are_booked(crew: Crew, ledger_url: str) -> None:
    """A row on its way from expected to booked is in one of the two sums, never in none."""
    assert max(crew.do(_spend, ledger_url)) <= LIMIT
    ledger = open_at(ledger_url)
    assert ledger.budget.today().total == LIMIT
    ledger.close()


def _adopt(url: str, row_id: int, me: int) -> bool:
    ledger = open_at(url)
    taken = ledger.tasks.adopt(row_id, owner=f"owner-{me}", is_alive=lambda one: one is not None)
    ledger.close()
    return taken is not None


def test_one_process_adopts_a_row_that_nobody_watches(crew: Crew, ledger_url: str) -> None:
    ledger = open_at(ledger_url)
    row = pend(ledger, reserve(ledger, order(ledger)))
    ledger.tasks.give_up("me")
    assert sorted(crew.do(_adopt, ledger_url, row.id)) == [False, False, False, True]
    ledger.close()


def _open(url: str, me: int) -> str:
    ledger = open_at(url)
    order(ledger, f"new-{me}")
    ledger.close()
    return ledger.account


def test_an_empty_database_opened_by_all_at_once_is_one_ledger(crew: Crew, new_url: str) -> None:
    assert len(set(crew.do(_open, new_url))) == 1
    ledger = open_at(new_url)
    assert len(ledger.orders.open_orders()) == PROCESSES
    ledger.close()


def test_a_former_ledger_opened_by_all_at_once_is_upgraded_once(crew: Crew, new_url: str) -> None:
    write_former_ledger(new_url)
    crew.do(_open, new_url)
    assert "run_limit" in shape(new_url)
    ledger = open_at(new_url)
    assert len(ledger.tasks.all()) == 3
    assert len(ledger.orders.open_orders()) == 2 + PROCESSES
    ledger.close()


def _hold_the_lock(url: str, told: Any) -> None:
    ledger = open_at(url)
    with ledger._database.write(lock=ledger.account) as connection:
        connection.execute(task.update().values(owner="killed"))
        told.send("within")
        told.recv()  # never comes


def test_a_process_killed_within_a_transaction_keeps_no_lock_and_no_change(
    ledger_url: str,
) -> None:
    ledger = open_at(ledger_url)
    row = reserve(ledger, order(ledger))
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_hold_the_lock, args=(ledger_url, theirs))
    process.start()
    assert ours.recv() == "within"
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert pend(ledger, row).owner == "me"
    ledger.close()
