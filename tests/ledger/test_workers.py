"""A worker is alive while its heartbeat is recent by the database's clock, and in no other way."""

import pytest

from tests.ledger.conftest import Clock, row_in
from topview_pipeline.ledger import DEAD_AFTER_SECONDS, HEARTBEAT_SECONDS, Ledger, TaskState


def test_a_worker_lives_as_long_as_it_beats(ledger: Ledger, clock: Clock) -> None:
    for _ in range(10):
        clock.now += HEARTBEAT_SECONDS
        ledger.workers.beat("me")
    assert ledger.workers.alive() == {"me"}
    assert ledger.workers.is_alive("me")


@pytest.mark.parametrize(
    ("seconds", "is_alive"),
    [(0.0, True), (DEAD_AFTER_SECONDS, True), (DEAD_AFTER_SECONDS + 0.1, False), (9e6, False)],
)
@pytest.mark.parametrize("direction", [1, -1])
def test_a_silent_worker_is_dead_also_when_the_clock_was_set_back(
    ledger: Ledger, clock: Clock, seconds: float, direction: int, is_alive: bool
) -> None:
    clock.now += direction * seconds
    assert ledger.workers.is_alive("me") == is_alive
    assert ledger.workers.alive() == ({"me"} if is_alive else set())
    assert ledger.workers.runs() == {"run": is_alive}


def test_nobody_and_strangers_are_not_alive(ledger: Ledger, other: Ledger) -> None:
    assert not ledger.workers.is_alive(None)
    assert not ledger.workers.is_alive("never started")
    assert other.workers.alive() == set()


def test_a_worker_that_ends_leaves_its_rows_to_the_next_at_once(ledger: Ledger) -> None:
    row = row_in(ledger, TaskState.PENDING)
    ledger.workers.start("other", run_id="run")
    ledger.workers.end("me")
    assert ledger.workers.alive() == {"other"}
    assert ledger.tasks.get(row.id).worker is None
    ledger.workers.end("me")  # a second goodbye harms nobody


def test_a_run_that_ended_or_has_not_begun_is_not_dead(ledger: Ledger) -> None:
    ledger.workers.end("me")
    assert ledger.workers.runs() == {}


def test_a_run_lives_while_one_of_its_workers_does(ledger: Ledger, clock: Clock) -> None:
    clock.now += 3600.0
    ledger.workers.start("restarted", run_id="run")
    assert ledger.workers.runs() == {"run": True}


def test_the_row_of_a_worker_that_died_is_removed_some_time(ledger: Ledger, clock: Clock) -> None:
    clock.now += 6 * 86_400.0
    ledger.workers.start("other", run_id="later")
    assert ledger.workers.runs() == {"run": False, "later": True}
    clock.now += 2 * 86_400.0
    ledger.workers.start("third", run_id="later still")
    assert ledger.workers.runs() == {"later": False, "later still": True}
