"""The reserve transaction: one live row per work, slots, pause and order, across processes."""

import threading

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from tests.ledger.conftest import Clock, ask, open_at, order, pend, reserve, store
from topview_pipeline.ledger import (
    AlreadyLive,
    Ledger,
    NoSlot,
    OrderClosed,
    Paused,
    Reserved,
    TaskState,
)
from topview_pipeline.ledger.schema import orders, task


def test_a_second_reservation_of_the_same_work_names_the_first(ledger: Ledger) -> None:
    wanted = order(ledger)
    row = reserve(ledger, wanted)
    assert ask(ledger, wanted) == AlreadyLive(row.id)


def test_the_schema_itself_refuses_a_second_live_row(ledger: Ledger) -> None:
    row = reserve(ledger, order(ledger))
    with ledger._database.write() as connection:
        values = dict(connection.execute(sa.select(task).where(task.c.id == row.id)).one()._mapping)
        del values["id"]
    with pytest.raises(IntegrityError), ledger._database.write() as connection:
        connection.execute(task.insert().values(values))
    with ledger._database.write() as connection:
        connection.execute(task.insert().values({**values, "state": "released"}))


def test_the_schema_itself_refuses_a_second_open_order(ledger: Ledger) -> None:
    wanted = order(ledger)
    with ledger._database.write() as connection:
        row = connection.execute(sa.select(orders).where(orders.c.id == wanted.id)).one()
        values = {**row._mapping}
        del values["id"]
    with pytest.raises(IntegrityError), ledger._database.write() as connection:
        connection.execute(orders.insert().values(values))


def test_many_threads_never_hold_more_than_the_slots(ledger_url: str) -> None:
    first = open_at(ledger_url)
    wanted = [order(first, f"p{n}") for n in range(12)]
    answers: list[object] = []

    def work(mine: int) -> None:
        ledger = open_at(ledger_url)
        answers.extend(ask(ledger, one, slots=3) for one in wanted[mine::3])
        ledger.close()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(answer, Reserved) for answer in answers) == 3
    assert sum(isinstance(answer, NoSlot) for answer in answers) == 9
    assert first.tasks.slots_held() == 3
    first.close()


def test_many_threads_create_one_ledger(new_url: str) -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            open_at(new_url).close()
        except BaseException as error:  # noqa: BLE001 - told by the test
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_unknown_holds_its_slot_until_the_deadline_and_others_as_the_table_says(
    ledger: Ledger, clock: Clock
) -> None:
    lost = reserve(ledger, order(ledger, "lost"), deadline_seconds=100.0)
    ledger.tasks.ended(lost.id, TaskState.UNKNOWN, why="lost", who="me")
    pend(ledger, reserve(ledger, order(ledger, "pending")))
    stalled = pend(ledger, reserve(ledger, order(ledger, "stalled")))
    ledger.tasks.ended(stalled.id, TaskState.STALLED, why="slow", who="me")
    store(ledger, reserve(ledger, order(ledger, "stored")))
    assert ledger.tasks.slots_held() == 2
    assert ask(ledger, order(ledger, "other"), slots=2) == NoSlot(2)
    clock.now += 100.0
    assert ledger.tasks.slots_held() == 1
    reserve(ledger, order(ledger, "other"), slots=2)


def test_nothing_is_reserved_for_an_order_that_is_closed(ledger: Ledger) -> None:
    wanted = order(ledger)
    ledger.orders.withdraw_runs(["run"], who="person")
    assert ask(ledger, wanted) == OrderClosed(None)
    again = order(ledger)
    ledger.orders.failed(again.id, {"what": "refused", "mend": "change it"})
    assert ask(ledger, again) == OrderClosed({"what": "refused", "mend": "change it"})


def test_work_that_another_run_finished_is_reused_though_the_order_is_done(
    ledger: Ledger,
) -> None:
    wanted = order(ledger)
    row = store(ledger, reserve(ledger, wanted))
    ledger.orders.done(wanted.id, row.id)
    assert ask(ledger, wanted) == AlreadyLive(row.id)


def test_4007_shrinks_the_slots_and_they_grow_again(ledger: Ledger, clock: Clock) -> None:
    pend(ledger, reserve(ledger, order(ledger, "a")))
    ledger.accounts.shrink_slots(ours=1)
    waiting = [order(ledger, f"p{n}") for n in range(5)]
    assert ask(ledger, waiting[0], slots=8) == NoSlot(1)
    for grown, wanted in enumerate(waiting, start=1):
        clock.now += 30.0
        reserve(ledger, wanted, slots=8)
        if grown < len(waiting):
            assert ask(ledger, waiting[grown], slots=8) == NoSlot(grown + 1)


def test_4007_without_tasks_of_ours_still_leaves_one_slot_to_try(ledger: Ledger) -> None:
    ledger.accounts.shrink_slots(ours=0)
    reserve(ledger, order(ledger, "a"), slots=8)
    assert isinstance(ask(ledger, order(ledger, "b"), slots=8), NoSlot)


@pytest.mark.parametrize("seconds", [-86400.0, 3600.0])
def test_a_clock_that_was_set_opens_the_slots_again(
    ledger: Ledger, clock: Clock, seconds: float
) -> None:
    ledger.accounts.shrink_slots(ours=0)
    clock.now += seconds
    for n in range(4):
        reserve(ledger, order(ledger, f"p{n}"), slots=4)


def _pause(ledger: Ledger) -> None:
    ledger.accounts.stop_submits(code="4100", message="no credits", who="me")


def test_a_pause_stops_all_and_a_fresh_refusal_changes_nothing(
    ledger: Ledger, clock: Clock
) -> None:
    _pause(ledger)
    clock.now += 5.0
    _pause(ledger)
    assert ask(ledger, order(ledger)) == Paused("4100", "no credits", clock.now + 55.0)


def test_refused_probes_double_the_wait_from_a_minute_to_an_hour(
    ledger: Ledger, clock: Clock
) -> None:
    waits = []
    for _ in range(9):
        _pause(ledger)
        pause = ledger.accounts.pause()
        assert pause is not None
        waits.append(pause.probe_at - clock.now)
        clock.now = pause.probe_at
    assert waits == [60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3600.0, 3600.0, 3600.0]


def test_a_trial_lets_one_through_and_its_acceptance_ends_the_pause(ledger: Ledger) -> None:
    _pause(ledger)
    ledger.accounts.allow_trial(who="probe")
    trial = reserve(ledger, order(ledger, "a"))
    other = order(ledger, "b")
    assert isinstance(ask(ledger, other), NoSlot)
    ledger.accounts.allow_trial(who="another probe")
    assert isinstance(ask(ledger, other), NoSlot)
    pend(ledger, trial)
    assert ledger.accounts.pause() is None
    reserve(ledger, other)


def test_a_trial_that_was_never_sent_passes_to_the_next(ledger: Ledger) -> None:
    _pause(ledger)
    ledger.accounts.allow_trial(who="probe")
    trial = reserve(ledger, order(ledger, "a"))
    ledger.tasks.ended(trial.id, TaskState.RELEASED, why="busy", who="me")
    reserve(ledger, order(ledger, "b"))


def test_a_refused_trial_pauses_for_twice_as_long(ledger: Ledger, clock: Clock) -> None:
    _pause(ledger)
    ledger.accounts.allow_trial(who="probe")
    _pause(ledger)
    pause = ledger.accounts.pause()
    assert pause is not None
    assert pause.probe_at == clock.now + 120.0
    assert isinstance(ask(ledger, order(ledger)), Paused)
