"""How long a task ran is only known when somebody watched it end."""

from __future__ import annotations

from tests.ledger.conftest import Clock, order, pend, reserve
from topview_pipeline.ledger import Ledger, Task, TaskState


def _pending(ledger: Ledger, name: str) -> Task:
    return pend(ledger, reserve(ledger, order(ledger, name)))


def _adopt(ledger: Ledger, row: Task, owner: str = "two") -> None:
    assert ledger.tasks.adopt(row.id, owner=owner, is_alive=lambda _: False) is not None


def _store(ledger: Ledger, row: Task) -> None:
    ledger.tasks.succeeded(row.id, result={}, cost_credits=None, who="me")
    ledger.tasks.stored(row.id, artifacts=[], who="me")


def test_what_was_left_alone_on_its_way_was_perhaps_done_long_before(
    ledger: Ledger, clock: Clock
) -> None:
    watched, brought_home, fetched_late = (
        _pending(ledger, name) for name in ("watched", "brought home", "fetched late")
    )
    _store(ledger, watched)
    clock.now += 36_000.0
    _adopt(ledger, brought_home)
    _store(ledger, brought_home)
    ledger.tasks.succeeded(fetched_late.id, result={}, cost_credits=None, who="me")
    clock.now += 36_000.0
    _adopt(ledger, fetched_late)
    ledger.tasks.stored(fetched_late.id, artifacts=[], who="me")

    assert ledger.history.seen_late() == {brought_home.id, fetched_late.id}
    assert ledger.history.seen_late([watched.id, fetched_late.id]) == {fetched_late.id}
    assert ledger.history.seen_late([]) == frozenset()


def test_who_takes_a_stored_row_up_says_nothing_about_how_long_it_ran(
    ledger: Ledger, clock: Clock
) -> None:
    """Its run died before Dagster had the event."""
    row = _pending(ledger, "watched")
    _store(ledger, row)
    clock.now += 36_000.0
    _adopt(ledger, row)
    assert ledger.history.seen_late() == frozenset()


def test_a_lost_answer_that_was_found_again_began_before_it_was_found(
    ledger: Ledger, clock: Clock
) -> None:
    row = reserve(ledger, order(ledger))
    ledger.tasks.ended(row.id, TaskState.UNKNOWN, why="the answer was lost", who="me")
    clock.now += 36_000.0
    ledger.unknowns.adopt(row.id, "topview-1", why="it was in the log", who="ann")
    _adopt(ledger, row)
    _store(ledger, row)
    assert ledger.history.seen_late() == {row.id}
