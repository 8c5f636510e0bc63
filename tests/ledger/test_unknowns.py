"""Rows whose answer was lost, as the look into Topview's credit log needs them."""

import pytest

from tests.ledger.conftest import STAGE, VIDEO, Clock, reserve, row_in
from topview_pipeline.ledger import IllegalMove, Ledger, Task, TaskState


def lose(ledger: Ledger, product_id: str = "a") -> Task:
    return row_in(ledger, TaskState.UNKNOWN, product_id)


def test_an_adopted_row_is_polled_by_the_next_worker_from_now_on(
    ledger: Ledger, clock: Clock
) -> None:
    task = lose(ledger)
    clock.now += 9 * 3600.0
    ledger.workers.beat("me")
    adopted = ledger.unknowns.adopt(task.id, "x", why="the only one", who="ada@host")
    assert (adopted.state, adopted.topview_task_id) == (TaskState.PENDING, "x")
    assert adopted.deadline_at == clock.now + (task.deadline_at - task.reserved_at)
    assert ledger.orphans.all() == [adopted], "though its worker is alive"
    last = ledger.history.events(task.id)[-1]
    assert (last.what, last.who) == ("pending", "ada@host")
    assert last.detail == {"from": "unknown", "topview_task_id": "x", "why": "the only one"}


@pytest.mark.parametrize("state", sorted(set(TaskState) - {TaskState.UNKNOWN}))
def test_only_an_unknown_row_is_adopted(ledger: Ledger, state: TaskState) -> None:
    row = row_in(ledger, state)
    with pytest.raises(IllegalMove, match=f"it is {state.value}"):
        ledger.unknowns.adopt(row.id, "x", why="the only one", who="me")


def test_a_void_row_keeps_its_evidence_and_leaves_its_work_to_be_sent_again(
    ledger: Ledger,
) -> None:
    task = lose(ledger)
    ledger.tasks.void(task.id, why="not charged", who="me", evidence={"charges_read": 3})
    assert ledger.history.events(task.id)[-1].detail == {
        "from": "unknown",
        "why": "not charged",
        "charges_read": 3,
    }
    assert reserve(ledger).id != task.id


def test_the_log_is_due_every_ten_minutes_and_only_with_unknown_rows(
    ledger: Ledger, clock: Clock
) -> None:
    assert not ledger.unknowns.is_due(clock.now)
    task = lose(ledger)
    assert ledger.unknowns.is_due(clock.now)
    ledger.unknowns.note_look([task.id], topview_time=clock.now, who="me")
    assert not ledger.unknowns.is_due(clock.now + 599.0)
    assert ledger.unknowns.is_due(clock.now + 600.0)
    assert ledger.unknowns.is_due(clock.now - 60.0)  # the clock was set back
    ledger.tasks.void(task.id, why="", who="me")
    assert not ledger.unknowns.is_due(clock.now + 600.0)


def test_the_first_look_is_remembered_by_topviews_clock(ledger: Ledger) -> None:
    task, other = lose(ledger, "a"), lose(ledger, "b")
    ledger.unknowns.note_look([task.id], topview_time=100.0, who="me")
    ledger.unknowns.note_look([task.id], topview_time=900.0, who="me")
    ledger.unknowns.note_look([other.id], topview_time=None, who="me")
    assert ledger.unknowns.first_looks([task.id, other.id]) == {task.id: 100.0}
    assert ledger.unknowns.first_looks([]) == {}


def test_every_row_that_a_nameless_charge_may_belong_to_is_listed(ledger: Ledger) -> None:
    unknown, given_up, named = (lose(ledger, name) for name in "abc")
    ledger.tasks.void(given_up.id, why="", who="me")
    ledger.unknowns.adopt(named.id, "x", why="", who="me")
    reserved = reserve(ledger, "e")
    row_in(ledger, TaskState.VOID, "never sent")
    nameless = [row.id for row in ledger.unknowns.without_task_id({STAGE})]
    assert nameless == [unknown.id, given_up.id, reserved.id]
    assert ledger.unknowns.without_task_id({VIDEO}) == []
    assert {id_: stage for id_, (stage, _) in ledger.unknowns.charged("xy").items()} == {"x": STAGE}
