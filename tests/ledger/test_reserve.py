"""The reserve transaction: one live row a fingerprint, and never more than the slots."""

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from tests.ledger.conftest import Clock, ask, bring, reserve, row_in
from topview_pipeline.ledger import AlreadyLive, Ledger, NoSlot, Reserved, TaskState
from topview_pipeline.ledger.schema import task


@pytest.mark.parametrize("state", TaskState)
def test_work_is_reserved_again_only_when_its_row_has_ended(
    ledger: Ledger, state: TaskState
) -> None:
    row = row_in(ledger, state)
    answer = ask(ledger, attempt=2)
    if state in (TaskState.FAILED, TaskState.VOID, TaskState.EXPIRED):
        assert isinstance(answer, Reserved)
        assert answer.task == ledger.tasks.get(answer.task.id)
    else:
        assert answer == AlreadyLive(row.id)


def test_the_schema_itself_refuses_a_second_live_row(ledger: Ledger) -> None:
    row = reserve(ledger)
    with ledger._database.read() as connection:
        values = connection.execute(sa.select(task).where(task.c.id == row.id)).one()._asdict()
    del values["id"]
    with pytest.raises(IntegrityError), ledger._database.write() as connection:
        connection.execute(task.insert(), values)
    with ledger._database.write() as connection:
        connection.execute(task.insert(), {**values, "state": TaskState.VOID})


@pytest.mark.parametrize("state", TaskState)
def test_a_slot_is_held_from_the_reservation_until_topview_is_done(
    ledger: Ledger, state: TaskState
) -> None:
    row_in(ledger, state, "a")
    holds = state in (TaskState.RESERVED, TaskState.PENDING, TaskState.UNKNOWN)
    assert ledger.tasks.slots_taken() == int(holds)
    answer = ask(ledger, "b", slots=1)
    assert answer == NoSlot(1) if holds else isinstance(answer, Reserved)


def test_a_lost_answer_holds_its_slot_until_its_deadline(ledger: Ledger, clock: Clock) -> None:
    row_in(ledger, TaskState.UNKNOWN, deadline_seconds=100.0)
    clock.now += 99.0
    assert ask(ledger, "b", slots=1) == NoSlot(1)
    clock.now += 1.0
    reserve(ledger, "b", slots=1)


def test_a_row_that_came_while_a_product_waited_for_its_slot_is_decided_on_first(
    ledger: Ledger,
) -> None:
    """A person forced the work meanwhile: the attempt that waited would pay a second time."""
    forced = row_in(ledger, TaskState.STORED, generation=1)
    assert ask(ledger, seen=0) == AlreadyLive(forced.id)
    assert isinstance(ask(ledger, seen=forced.id), Reserved)


def test_a_canary_of_another_run_that_came_meanwhile_is_counted_first(ledger: Ledger) -> None:
    """Runs that begin at the same moment would send as many canaries each."""
    other = reserve(ledger, "other", canary_group="kitchen", run_id="another run")
    reserve(ledger, "third", canary_group="bath")
    assert ask(ledger, canary_group="kitchen", seen_of_group=0) == AlreadyLive(other.id)
    assert isinstance(ask(ledger, canary_group="kitchen", seen_of_group=other.id), Reserved)
    assert [row.product_id for row in ledger.history.tried("kitchen")] == ["other", "a"]


def test_workers_short_of_slots_take_turns(ledger: Ledger, clock: Clock) -> None:
    """A run of thousands has every slot: the next free one is not for its next product."""
    for worker in ("many", "few"):
        ledger.workers.start(worker, run_id=worker)
        clock.now += 1.0
    held = reserve(ledger, "a", slots=1, worker="many")
    asked = iter("bcdefgh")

    def wants(worker: str) -> bool:
        return isinstance(ask(ledger, next(asked), slots=1, worker=worker), Reserved)

    assert not wants("few")
    bring(ledger, held, TaskState.FAILED)
    assert not wants("many")
    clock.now += 1.0
    assert wants("few")
    # Served just now, it does not go before the other again.
    bring(ledger, ledger.tasks.in_state([TaskState.RESERVED])[0], TaskState.FAILED)
    assert not wants("few")
    assert wants("many")


@pytest.mark.parametrize("gone", ["dead", "wants no more", "ended"])
def test_a_turn_is_not_kept_for_a_worker_that_is_gone(
    ledger: Ledger, clock: Clock, gone: str
) -> None:
    for worker in ("many", "few"):
        ledger.workers.start(worker, run_id=worker)
        clock.now += 1.0
    held = reserve(ledger, "a", slots=1, worker="many")
    assert ask(ledger, "b", slots=1, worker="few") == NoSlot(1)
    bring(ledger, held, TaskState.FAILED)
    if gone == "ended":
        ledger.workers.end("few")
    else:
        clock.now += 10.0 if gone == "wants no more" else 60.0
        ledger.workers.beat("many")
    assert isinstance(ask(ledger, "c", slots=1, worker="many"), Reserved)
